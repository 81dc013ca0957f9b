"""What is said of a name that no LLM has: the true reason, and a form that opens."""

from __future__ import annotations

from pathlib import Path

import pytest

from db.errors import UsageError
from descriptor_gen.llms.registry import open_llm


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("gpt-4.1-mini", "It is there as --llm gpt. "),
        ("GPT-4.1-mini-2025-04-14", "It is there as --llm gpt. "),
        ("Llama-3.1-8B-Instruct", "It is there as --llm llama. "),
        ("Qwen/Qwen2.5-7B-Instruct", "It is there as --llm qwen. "),
        ("SmolLM2-135M-Instruct", "It is there as --llm smollm2. "),
        ("opena:gpt-4.1-mini", "Did you mean --llm openai:gpt-4.1-mini? "),
        ("OpenAI:gpt4", "Did you mean --llm openai:gpt4? "),
        ("HF:owner/name", "Did you mean --llm hf:owner/name? "),
        ("huggingface:owner/name", "Did you mean --llm hf:owner/name? "),
        ("hf :my model", "Did you mean --llm 'hf:my model'? "),
        ("gpt-4o", "For a model of OpenAI: --llm openai:gpt-4o. "),
        ("o3-mini", "For a model of OpenAI: --llm openai:o3-mini. "),
        ("qwen2.5:7b", "For a model of a server: --llm openai:qwen2.5:7b --base-url URL. "),
        ("owner/name@v1", "For a repository of Hugging Face: --llm hf:owner/name@v1. "),
        ("https://huggingface.co/owner/name", "For a repository of Hugging Face: --llm hf:owner/name. "),
        ("/nowhere/model", "There is no folder or file /nowhere/model. "),
        ("~/nowhere", "There is no folder or file ~/nowhere. "),
        ("nowhere/", "There is no folder or file nowhere/. "),
        ("weights.bin", "The file weights.bin is no .gguf file; the folder of a model is --llm hf:FOLDER. "),
        ("lama", "Did you mean llama? "),
        ("something-else", ""),
    ],
)
def test_an_unknown_name_leads_to_one_that_opens(
    name: str, hint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("weights.bin").touch()
    with pytest.raises(UsageError) as caught:
        open_llm(name)
    known = "smollm2, llama, mistral, qwen, gpt; or hf:<repo or folder"
    assert str(caught.value).startswith(f"Unknown LLM {name!r}. {hint}Known: {known}")


def test_a_folder_and_a_file_in_the_home_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    (tmp_path / "one.gguf").write_bytes(b"GGUF")
    for name in ("model", "one.gguf"):
        assert open_llm(f"~/{name}").identity == open_llm(str(tmp_path / name)).identity
