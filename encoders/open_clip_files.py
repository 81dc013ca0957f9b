"""What an `open_clip:` name means: the configuration, the weights and the tokenizer, each at a fixed revision.

    open_clip:ARCH/TAG              published weights of open_clip's own list
    open_clip:ARCH/FILE             weights in a file, for an architecture of open_clip
    open_clip:hf-hub:ORG/REPO       a repository with open_clip_config.json; @REVISION at its end fixes a commit
    open_clip:local-dir:FOLDER      the same files in a folder

Everything here is read from open_clip's lists and from small files; weights are fetched by `Source.fetch`.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

from db.errors import UsageError, UserError, did_you_mean, first_few, letters, unknown
from encoders.openai_digests import OPENAI_CLIP
from encoders.weights import files_digest, hub_commit, hub_file, path_of, sha256_of, split_revision

PREFIX = "open_clip:"
FORMS = "open_clip:ARCH/TAG, open_clip:ARCH/FILE, open_clip:hf-hub:ORG/REPO, open_clip:local-dir:FOLDER"
CONFIG = "open_clip_config.json"
_HUB, _FOLDER = "hf-hub:", "local-dir:"
_HINT = "Without any download: --encoder objects (weaker)."
_FOLDER_FILES = (".safetensors", ".bin", ".pth", ".json", ".txt", ".model")
INSTALL = "pip install 'descgen-recognize[open-clip]'"
# How architectures of open_clip begin, for messages where it is not installed.
_FAMILIES = re.compile(
    r"(coca|convnext|EVA0|MobileCLIP|mt5|nllb-clip|PE-Core|RN\d|roberta|ViT|xlm-roberta)", re.IGNORECASE
)
_REPOSITORY_FILES = (CONFIG, "config.json", "README.md")  # small; one of them tells the commit


@dataclass(frozen=True, kw_only=True)
class Source:
    """An encoder of open_clip before its weights load.

    Attributes:
        id: its name, without paths.
        revision: of the weights: a commit, or the sha256 of a file or of a folder's files.
        name: what `open_clip.create_model` takes: an architecture, or `local-dir:` and a folder.
        fetch: returns the file of the weights; None: open_clip finds it in the folder of `name`.
        config: `model_cfg` of open_clip: both towers, their activation, the tokenizer.
        preprocessing: mean, std, interpolation and resize mode of frames, where the configuration names them.
        tokenizer: a repository of the hub, and its commit; None: that of `name`.
    """

    id: str
    revision: str
    name: Callable[[], str]
    fetch: Callable[[], Path] | None
    config: Mapping[str, Any]
    preprocessing: Mapping[str, Any] = field(default_factory=dict)
    tokenizer: tuple[str, str] | None = None

    @property
    def key(self) -> dict[str, str]:
        """What determines embeddings besides id and revision: a digest of the configuration and the preprocessing."""
        content = json.dumps([self.config, self.preprocessing], sort_keys=True, default=str)
        return {"config": hashlib.sha256(content.encode()).hexdigest()[:16]}

    @property
    def texts_key(self) -> dict[str, str]:
        return {"tokenizer": "@".join(self.tokenizer)} if self.tokenizer else {}


def source_of(name: str) -> Source:
    """Return what a name means, `open_clip:` included.

    Raises:
        UsageError: no such architecture, tag, file or folder, or weights of another activation.
        UserError: open_clip is not installed, or a repository is out of reach.
    """
    rest = name.removeprefix(PREFIX)
    if rest.startswith(_HUB):
        return _of_repository(rest.removeprefix(_HUB))
    if rest.startswith(_FOLDER):
        return _of_folder(Path(rest.removeprefix(_FOLDER)).expanduser())
    architecture, _, weights = rest.partition("/")
    config = _config_of(architecture, rest)
    tags = import_open_clip().list_pretrained_tags_by_model(architecture)
    if weights in tags:
        return _of_tag(architecture, weights, config)
    if weights and Path(weights).expanduser().is_file():
        return _of_file(architecture, Path(weights).expanduser(), config)
    if _canonical(weights) in tags:
        return _of_tag(architecture, _canonical(weights), config)
    raise UsageError(_no_weights(architecture, weights, tags))


def what_to_type(typed: str, *, guess: bool = False) -> str:
    """Return what to type for `ARCH` or `ARCH/TAG` that was typed without `open_clip:`; "" if it is no architecture.

    The architectures are read from file names: open_clip, which loads torch, is imported only for the tags of one.

    Args:
        typed: the name; the architecture in any case, with any hyphens.
        guess: whether an architecture that is only like it will do.
    """
    first, _, weights = typed.partition("/")
    known = _architectures()
    if not known:
        looks = guess and _FAMILIES.match(typed) is not None
        named = typed if weights else f"{typed}/TAG"
        return f"If it is of open_clip: {INSTALL}, then {_option(named)}" if looks else ""
    by_letters = {letters(name): name for name in known}
    if letters(typed) in by_letters:
        return _with_tags(by_letters[letters(typed)], "")
    near = get_close_matches(letters(first), by_letters, n=1, cutoff=0.85 if guess else 1.0)
    return _with_tags(by_letters[near[0]], weights) if near else ""


def _architectures() -> list[str]:
    """Return the architectures that come with open_clip, without importing it; none if it is not installed."""
    spec = find_spec("open_clip")
    folder = Path(spec.origin).parent / "model_configs" if spec and spec.origin else None
    return sorted(file.stem for file in folder.glob("*.json")) if folder else []


def _with_tags(architecture: str, weights: str) -> str:
    """Return what to type for an architecture of open_clip, with the weights that were typed, if they fit it."""
    subject = f"{architecture} is an architecture of open_clip"
    if weights and path_of(weights).is_file():
        return f"{subject}: {_option(f'{architecture}/{weights}')}"
    names = _opening(architecture)
    if _canonical(weights) in names:
        return f"{subject}: {_option(names[_canonical(weights)])}"
    if not names:
        return f"{subject}, without published weights: {_option(f'{architecture}/FILE')}"
    near = did_you_mean(weights, names) if weights else ""
    own = [tag for tag, name in names.items() if name.startswith(f"{architecture}/")] or list(names)
    tags = first_few(own, count=8)
    return f"{subject}. {near}Take one of its tags ({tags}), such as {_option(names[own[0]])}"


def without_architecture(file: str) -> str:
    """Return what is said of a file of weights that is named without its architecture."""
    return (
        f"The file {file} says no architecture: take {_option(f'ARCH/{file}')}, such as ViT-B-32 (GELU) or "
        "ViT-B-32-quickgelu (as OpenAI's weights)"
    )


def _opening(architecture: str) -> dict[str, str]:
    """Return `ARCH/TAG` by the tags of an architecture; of weights of QuickGELU, the architecture that computes it."""
    package = import_open_clip()
    names = {}
    for tag in package.list_pretrained_tags_by_model(architecture):
        quick = package.get_pretrained_cfg(architecture, tag).get("quick_gelu")
        other = quick and not package.get_model_config(architecture).get("quick_gelu")
        names[tag] = f"{architecture}-quickgelu/{tag}" if other else f"{architecture}/{tag}"
    return names


def _canonical(tag: str) -> str:
    """Return a tag as open_clip's own lookups read it."""
    return tag.lower().replace("-", "_")


def _option(name: str) -> str:
    return f"--encoder {shlex.quote(PREFIX + name)}"


def import_open_clip() -> ModuleType:
    """Return the package, or raise UserError with the command that installs it."""
    try:
        import open_clip
    except ImportError as error:
        raise UserError(f"Encoders of open_clip need the package open_clip_torch. Run: {INSTALL}") from error
    module: ModuleType = open_clip
    return module


def _config_of(architecture: str, name: str) -> dict[str, Any]:
    """Return the configuration of an architecture; `name` is what was typed after `open_clip:`."""
    known = import_open_clip().list_models()
    if architecture not in known:
        raise UsageError(_no_architecture(architecture, name, known))
    config: dict[str, Any] = import_open_clip().get_model_config(architecture)
    return config


def _no_architecture(architecture: str, name: str, known: list[str]) -> str:
    """Return the message for a name that begins with no architecture: a folder, a file, a repository, or a typo."""
    if name and path_of(name).is_dir():
        return f"{name} is a folder: take {_option(_FOLDER + name)}"
    if path_of(name).is_file():
        return without_architecture(name)
    if name.startswith(("/", "./", "../", "~")):
        return f"There is no folder or file {name}. Forms: {FORMS}"
    message = unknown("architecture of open_clip", architecture, known, listed=8)
    if "/" in name and not did_you_mean(architecture, known):
        message = f"Unknown architecture of open_clip {architecture!r}. For a repository: {_option(_HUB + name)}"
    return f"{message}. Forms: {FORMS}"


def _no_weights(architecture: str, weights: str, tags: list[str]) -> str:
    """Return the message for weights that are neither a tag of the architecture nor a file."""
    others = import_open_clip().list_pretrained_models_by_tag(weights) if weights else []
    plain = architecture.removesuffix("-quickgelu")
    if plain in others:
        return f"The weights {weights} were trained with GELU: take {_option(f'{plain}/{_canonical(weights)}')}"
    known = f"Weights of {architecture}: {', '.join(tags) or 'none are published'}, or a file"
    if not weights:
        return f"{PREFIX}{architecture} says no weights. {known}, such as {PREFIX}{architecture}/model.safetensors"
    return f"{unknown(f'weights of {architecture}', weights, tags)}, or a file: {PREFIX}{architecture}/FILE"


def _of_tag(architecture: str, tag: str, config: dict[str, Any]) -> Source:
    from open_clip.pretrained import download_pretrained_from_hf

    published = import_open_clip().get_pretrained_cfg(architecture, tag)
    if published.get("quick_gelu") and not config.get("quick_gelu"):
        raise UsageError(_trained_with_quick_gelu(f"The weights {tag}", architecture, tag))
    repository, _, file = published["hf_hub"].rpartition("/")
    copy = f"{PREFIX}{_FOLDER}FOLDER, or its file {PREFIX}{architecture}/FILE"
    commit = hub_commit(repository, hint=_HINT, copy=copy, files=_REPOSITORY_FILES)
    return Source(
        id=f"{PREFIX}{architecture}/{tag}",
        revision=commit,
        name=lambda: architecture,
        fetch=lambda: Path(download_pretrained_from_hf(repository, filename=file or None, revision=commit)),
        config=config,
        preprocessing=_preprocessing(published),
        tokenizer=_tokenizer(config),
    )


def _of_file(architecture: str, path: Path, config: dict[str, Any]) -> Source:
    revision = sha256_of(path)
    if revision in OPENAI_CLIP.values() and not config.get("quick_gelu"):
        raise UsageError(_trained_with_quick_gelu(f"{path} holds OpenAI's weights, which", architecture, str(path)))
    return Source(
        id=f"{PREFIX}{architecture}/{path.name}", revision=revision, name=lambda: architecture, fetch=lambda: path,
        config=config, tokenizer=_tokenizer(config),
    )  # fmt: skip


def _of_folder(folder: Path) -> Source:
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}. Forms: {FORMS}")
    model, preprocessing = _read_config(folder / CONFIG, str(folder))
    return Source(
        id=f"{PREFIX}{folder.resolve().name}", revision=files_digest(folder, _FOLDER_FILES),
        name=lambda: f"{_FOLDER}{folder}", fetch=None, config=model, preprocessing=preprocessing,
    )  # fmt: skip


def _of_repository(given: str) -> Source:
    from open_clip.pretrained import download_pretrained_from_hf

    repository, revision = split_revision(given)
    commit = hub_commit(repository, revision, hint=_HINT, copy=f"{PREFIX}{_FOLDER}FOLDER", files=(CONFIG,))
    path = hub_file(repository, CONFIG, commit)
    if path is None:
        raise UserError(f"{CONFIG} of {repository} is not in the local cache. Run: hf download {repository}")
    model, preprocessing = _read_config(path, repository)

    def name() -> str:
        return f"{_FOLDER}{Path(download_pretrained_from_hf(repository, revision=commit)).parent}"

    return Source(
        id=f"{PREFIX}{_HUB}{repository}", revision=commit, name=name, fetch=None,
        config=model, preprocessing=preprocessing, tokenizer=_tokenizer(model),
    )  # fmt: skip


def _read_config(path: Path, where: str) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        content = json.loads(path.read_bytes())
        return dict(content["model_cfg"]), _preprocessing(content.get("preprocess_cfg", {}))
    except FileNotFoundError as error:
        raise UserError(f"{where} has no {CONFIG}: not a model in the form of open_clip") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{where}: {CONFIG} is not one that open_clip writes, with model_cfg and preprocess_cfg"
        ) from error


def _preprocessing(stated: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is stated of preprocessing, without the size: that of the image tower holds."""
    names = ("mean", "std", "interpolation", "resize_mode", "fill_color")
    return {name: stated[name] for name in names if stated.get(name) is not None}


def _tokenizer(config: Mapping[str, Any]) -> tuple[str, str] | None:
    repository = config["text_cfg"].get("hf_tokenizer_name")
    if not repository:
        return None
    return repository, hub_commit(repository, hint=_HINT, copy="", files=("tokenizer_config.json", "config.json"))


def _trained_with_quick_gelu(subject: str, architecture: str, weights: str) -> str:
    known = import_open_clip().list_models()
    other = f"{architecture}-quickgelu"
    instead = f": take {_option(f'{other}/{weights}')}" if other in known else ""
    return (
        f"{subject} were trained with QuickGELU, and {architecture} computes GELU, which gives worse embeddings"
        f"{instead}"
    )
