"""The file of hashes: what stands in it, and that it says the same as the files of versions."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tools.hashes import hash_lines, made_for

ROOT = Path(__file__).parents[2]
SHA256 = "0123456789abcdef" * 4


def package(name: str, url: str, **archive: Any) -> dict[str, Any]:
    info = {"url": url, **({"archive_info": archive} if archive else {})}
    return {"metadata": {"name": name, "version": "1.2"}, "download_info": info}


def versions(name: str) -> set[str]:
    lines = (ROOT / name).read_text().splitlines()
    return {line.split()[0].lower() for line in lines if line and not line.startswith("#")}


def test_a_line_has_name_version_and_hash_and_no_address() -> None:
    one = package("b", "https://user:planted@host/simple/b-1.2.whl", hashes={"sha256": SHA256})
    other = package("A", "file:///planted/A-1.2.tar.gz", hashes={"sha256": SHA256})
    first, _, *lines = hash_lines([one, other, package("descgen-recognize", "file:///planted")])
    assert lines == [f"A==1.2 --hash=sha256:{SHA256}", f"b==1.2 --hash=sha256:{SHA256}"]
    assert first == made_for()


def test_a_package_without_hash_is_refused() -> None:
    with pytest.raises(SystemExit, match=r"No sha256 of own 1\.2"):
        list(hash_lines([package("own", "file:///folder")]))


def test_the_file_has_the_versions_that_were_tested_and_no_address() -> None:
    first, _, *lines = (ROOT / "hashes.txt").read_text().splitlines()
    assert re.fullmatch(r"# For Linux x86_64 glibc, CPython 3\.\d+", first)
    assert all(re.fullmatch(r"[\w.-]+==[\w.+]+ --hash=sha256:[0-9a-f]{64}", line) for line in lines)
    assert versions("hashes.txt") == versions("constraints.txt") | versions("offline.txt") | versions("tests/axe.txt")
