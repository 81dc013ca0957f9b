"""Archives of strangers: nothing is written outside the folder, nothing damaged passes for whole, nothing fills the
disk."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from db.errors import UserError
from recognizer.datasets.prepare.archives import unpack
from recognizer.datasets.prepare.download import fetch
from tests.fixtures.archives import rar_of, tar_of, zip_of
from tests.fixtures.file_server import FileServer

Entry = tuple[str, bytes, str]  # name, type of the entry in tar, what it links to
VIDEO = os.urandom(200_000)  # not compressible: damage hits it, and not only headers


def tar_with(*entries: Entry, mode: str = "w:gz") -> bytes:
    """Return a tar archive of entries of any type; those that hold something hold `x`."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:  # type: ignore[call-overload]
        for name, kind, link in entries:
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, link
            entry.size = 1 if kind == tarfile.REGTYPE else 0
            archive.addfile(entry, io.BytesIO(b"x"))
    return out.getvalue()


def zip_with(name: str, content: bytes, *, mode: int = stat.S_IFREG) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        entry = zipfile.ZipInfo("x")
        entry.filename, entry.external_attr, entry.create_system = name, (mode | 0o644) << 16, 3
        archive.writestr(entry, content)
    return out.getvalue()


def files_in(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): b"" if path.is_dir() else path.read_bytes()
        for path in folder.rglob("*")
        if path.is_symlink() or path.exists()
    }


def refusal(tmp_path: Path, name: str, content: bytes) -> str:
    """Unpack into an empty folder in an empty folder; return the one line of the error."""
    archive, outer = tmp_path / name, tmp_path / "outer"
    archive.write_bytes(content)
    with pytest.raises(UserError) as error:
        unpack(archive, outer / "inner" / "root")
    message = str(error.value)
    assert "\n" not in message
    assert name in message
    assert all(path.startswith("inner/root") or path == "inner" for path in files_in(outer))
    assert not any(path.is_symlink() for path in outer.rglob("*"))
    return message


OUT = ["../out", "a/../../out", "a/../out", "/out", "..", "\\out", "..\\out", "C:\\out", "C:out", "a/.."]


@pytest.mark.parametrize("name", OUT)
def test_names_that_lead_out_of_the_folder_are_refused(tmp_path: Path, name: str) -> None:
    said = "a name that leads out of the folder"
    assert said in refusal(tmp_path, "a.tar.gz", tar_with((name, tarfile.REGTYPE, "")))
    assert said in refusal(tmp_path, "a.zip", zip_with(name, b"x"))


KINDS = {
    "link": tarfile.SYMTYPE,
    "hard link": tarfile.LNKTYPE,
    "character device": tarfile.CHRTYPE,
    "block device": tarfile.BLKTYPE,
    "pipe": tarfile.FIFOTYPE,
    "sparse file": tarfile.GNUTYPE_SPARSE,
    "unknown": b"Z",
}


@pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))
def test_links_and_devices_are_refused_wherever_they_lead(tmp_path: Path, kind: bytes) -> None:
    for target in ("a", "/etc/passwd", "../../out"):
        said = refusal(tmp_path, "a.tar", tar_with(("a", tarfile.REGTYPE, ""), ("b", kind, target), mode="w"))
        assert "was refused: it holds 'b'" in said


@pytest.mark.parametrize("mode", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK])
def test_links_and_devices_in_zip_are_refused(tmp_path: Path, mode: int) -> None:
    assert "a link or a device" in refusal(tmp_path, "a.zip", zip_with("b", b"/etc/passwd", mode=mode))


def test_a_chain_of_links_deeper_than_a_path_leads_nowhere(tmp_path: Path) -> None:
    """The attack on `realpath` in Python's own filter (CVE-2025-4517): long folders, and links up through them."""
    long, entries, inside = "d" * 247, list[Entry](), ""
    for step in "abcdefghijklmnop":
        entries += [(f"{inside}{long}", tarfile.DIRTYPE, ""), (f"{inside}{step}", tarfile.SYMTYPE, long)]
        inside += f"{long}/"
    top = "/".join("abcdefghijklmnop") + "/" + "l" * 254
    entries += [(top, tarfile.SYMTYPE, "../" * 16), ("escape", tarfile.SYMTYPE, f"{top}/../../out")]
    entries += [("escape/written", tarfile.REGTYPE, "")]
    assert "a link or a device" in refusal(tmp_path, "a.tar.gz", tar_with(*entries))


def test_a_link_that_is_in_the_folder_already_is_not_followed(tmp_path: Path) -> None:
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    root.mkdir()
    elsewhere.mkdir()
    (root / "val").symlink_to(elsewhere)
    (tmp_path / "a.tar.gz").write_bytes(tar_of({"val/x.mp4": b"x"}))
    with pytest.raises(UserError, match=r"a link in .* leads that out of the folder"):
        unpack(tmp_path / "a.tar.gz", root)
    assert not list(elsewhere.iterdir())


def test_a_file_with_another_name_outside_keeps_its_content(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    (tmp_path / "mine").write_bytes(b"mine")
    (tmp_path / "root" / "x.mp4").hardlink_to(tmp_path / "mine")
    for name, content in (("a.tar.gz", tar_of({"x.mp4": b"new"})), ("a.zip", zip_of({"x.mp4": b"new"}))):
        (tmp_path / name).write_bytes(content)
        unpack(tmp_path / name, tmp_path / "root")
        assert (tmp_path / "root" / "x.mp4").read_bytes() == b"new"
    assert (tmp_path / "mine").read_bytes() == b"mine"


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT])
def test_whole_archives_are_unpacked_as_before(tmp_path: Path, mode: str, form: int) -> None:
    files = {"val/a_1.mp4": VIDEO, "val/" + "long" * 20 + "/é.mp4": b"v", "empty": b""}
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode, format=form) as archive:  # type: ignore[call-overload]
        archive.addfile(_folder("val"))
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    (tmp_path / "a.tar.gz").write_bytes(out.getvalue())
    unpack(tmp_path / "a.tar.gz", tmp_path / "root")
    assert {name: found for name, found in files_in(tmp_path / "root").items() if name in files} == files


def _folder(name: str) -> tarfile.TarInfo:
    folder = tarfile.TarInfo(name)
    folder.type = tarfile.DIRTYPE
    return folder


def damaged(content: bytes) -> list[bytes]:
    """Return the archive cut off at 44 places, with one bit changed at 40, and with its last eight bytes wrong."""
    size = len(content)
    places = [size * step // 41 for step in range(1, 41)]
    flipped = [content[:at] + bytes([content[at] ^ 0x10]) + content[at + 1 :] for at in places]
    cut = [content[:at] for at in [*places, size - 1, size - 4, size - 8, size - 9]]
    return [*flipped, *cut, content[:-8] + bytes(8)]


def test_no_damaged_tar_gz_unpacks_as_a_whole_one(tmp_path: Path) -> None:
    whole = tar_of({"a.mp4": VIDEO, "b.mp4": VIDEO[:9000]})
    for content in damaged(whole):
        assert "cannot be unpacked" in refusal(tmp_path, "a.tar.gz", content)


def test_damage_behind_the_last_file_is_damage(tmp_path: Path) -> None:
    """The end of a tar archive is two blocks of zeros; only gzip's check sum behind them says whether all is right."""
    plain = gzip.decompress(tar_of({"a.mp4": VIDEO}))
    packed = bytearray(gzip.compress(plain))
    packed[-6] ^= 1
    assert "CRC check failed" in refusal(tmp_path, "a.tar.gz", bytes(packed))
    header_gone = plain[:512] + VIDEO + bytes(-len(VIDEO) % 512) + b"\xff" * 512 + plain[-1024:]
    assert "a header is damaged" in refusal(tmp_path, "b.tar.gz", gzip.compress(header_gone))
    assert "a header is damaged" in refusal(tmp_path, "c.tar.gz", gzip.compress(plain[: 512 + 200_192]))


def test_no_damaged_zip_unpacks_other_content(tmp_path: Path) -> None:
    files = {"a.mp4": VIDEO, "b.mp4": VIDEO[:9000]}
    for number, content in enumerate(damaged(zip_of(files))):
        (tmp_path / "a.zip").write_bytes(content)
        root = tmp_path / f"root{number}"
        if refused := _fault(tmp_path / "a.zip", root):
            assert "\n" not in refused
        else:
            assert files_in(root) == files


def _fault(archive: Path, root: Path) -> str:
    try:
        unpack(archive, root)
    except UserError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", ["a.tar.gz", "a.zip"])
def test_what_is_no_archive_is_one_line(tmp_path: Path, name: str) -> None:
    contents = [b"", b"<html>not found</html>" * 100, b"\x1f\x8b", b"\x1f\x8b\x08" + bytes(20), b"BZh9" + bytes(99)]
    for content in [*contents, b"\xfd7zXZ\x00" + bytes(99), b"PK\x05\x06" + b"\xff" * 18]:
        assert "cannot be unpacked" in refusal(tmp_path, name, content)


def test_an_encrypted_zip_is_one_line(tmp_path: Path) -> None:
    content = bytearray(zip_of({"a": b"x"}))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + offset] |= 1
    assert "encrypted" in refusal(tmp_path, "a.zip", bytes(content))


def bomb_zip() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zeros", bytes(120_000_000))
    return out.getvalue()


def bomb_tar() -> bytes:
    entry = tarfile.TarInfo("zeros")
    entry.size = 120_000_000
    return gzip.compress(entry.tobuf() + bytes(entry.size) + bytes(1024), 6)


def bomb_header() -> bytes:
    """Return an archive whose name is 120 MB long."""
    entry = tarfile.TarInfo("././@LongLink")
    entry.type, entry.size = tarfile.GNUTYPE_LONGNAME, 120_000_000
    return gzip.compress(entry.tobuf() + bytes(entry.size) + bytes(1024), 6)


@pytest.mark.parametrize(("name", "make"), [("a.zip", bomb_zip), ("a.tar.gz", bomb_tar), ("b.tar.gz", bomb_header)])
def test_an_archive_that_grows_a_hundredfold_is_refused(tmp_path: Path, name: str, make: Callable[[], bytes]) -> None:
    assert "was refused: it would grow to" in refusal(tmp_path, name, make())
    assert sum(map(len, files_in(tmp_path / "outer").values())) <= 100_000_000


def test_a_negative_size_does_not_turn_the_reader_in_circles(tmp_path: Path) -> None:
    """CVE-2025-8194."""
    entry = tarfile.TarInfo("a")
    header = bytearray(entry.tobuf(tarfile.GNU_FORMAT))
    header[124:136] = b"\xff" * 10 + struct.pack(">h", -512)
    header[148:156] = b" " * 8
    header[148:156] = f"{sum(header):06o}\0 ".encode()
    assert "a negative size" in refusal(tmp_path, "a.tar.gz", gzip.compress(bytes(header) + bytes(1024)))
    pax = io.BytesIO()
    with tarfile.open(fileobj=pax, mode="w", format=tarfile.PAX_FORMAT) as archive:
        entry.pax_headers = {"size": "-1024"}
        archive.addfile(entry)
    assert "a.tar.gz" in refusal(tmp_path, "a.tar.gz", gzip.compress(pax.getvalue()))


def test_links_that_a_rar_tool_made_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for a tool that unpacks a file, a link out of the folder and a hard link."""
    tools, archive = tmp_path / "bin", tmp_path / "a.rar"
    tools.mkdir()
    archive.write_bytes(rar_of({"x": b"x"}))
    monkeypatch.setenv("PATH", str(tools))
    for made in ("/bin/ln -s /etc b", "/bin/ln a b", "/usr/bin/mkfifo b"):
        (tools / "unrar").write_text(f'#!/bin/sh\nfor into; do :; done\ncd "$into" && echo x > a && {made}\n')
        (tools / "unrar").chmod(0o755)
        with pytest.raises(UserError, match=r"was refused: it holds '[ab]', a link or a device"):
            unpack(archive, tmp_path / "root")
        assert not list((tmp_path / "root").iterdir())


def test_a_download_ends_where_its_size_is_exceeded(tmp_path: Path, file_server: FileServer) -> None:
    content = bytes(5_000_000)
    file_server.files["a.zip"] = content
    url, seen = f"{file_server.url}/a.zip", list[int]()
    for tells_length, said in ((True, "the file there has 5000000 bytes"), (False, "more than 2000000 bytes")):
        file_server.tells_length = tells_length
        with pytest.raises(UserError, match=said):
            fetch({url: None}, tmp_path / "a.zip", size=2_000_000, on_progress=lambda done, total: seen.append(done))
        assert not list(tmp_path.iterdir())
    assert max(seen) <= 3
    fetch({url: hashlib.sha256(content).hexdigest()}, tmp_path / "a.zip", size=5_000_000)
    assert (tmp_path / "a.zip").read_bytes() == content
