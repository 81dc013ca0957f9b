"""Identify weights: digests of local files, commits of Hugging Face repositories.

Both programs determine the revision of encoders and LLMs here, without loading them.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Sequence
from pathlib import Path

from db.errors import UserError

_HUB_SECONDS = 10.0  # to wait for the first answer of the hub


def sha256_of(path: Path) -> str:
    """Return the hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def path_of(name: str) -> Path:
    """Return the path that a name may be, `~` expanded; what can be none is a path that is not there."""
    try:
        path = Path(name).expanduser()
        path.exists()
    except (OSError, RuntimeError):  # too long for a file, the home of nobody
        return Path(os.devnull) / "nothing"
    return path


def folder_digest(folder: Path, suffixes: Collection[str], *, end: str = "") -> str:
    """Return the sha256 of the names and contents of a model folder's files with some suffixes.

    `end` is appended to the hashed list of files: digests in databases and in feature stores differ in it.

    Raises:
        UserError: the folder holds no model.
    """
    if not (folder / "config.json").is_file():
        raise UserError(f"{folder} has no config.json: not a folder that transformers' save_pretrained wrote.")
    return files_digest(folder, suffixes, end=end)


def files_digest(folder: Path, suffixes: Collection[str], *, end: str = "") -> str:
    """Return the sha256 of the names and contents of a folder's files with some suffixes; see `folder_digest`."""
    files = sorted(path for path in folder.iterdir() if path.suffix in suffixes)
    listing = "\n".join(f"{path.name} {sha256_of(path)}" for path in files)
    return hashlib.sha256((listing + end).encode()).hexdigest()


def split_revision(name: str) -> tuple[str, str | None]:
    """Return the repository and the revision of `OWNER/NAME@REVISION`; the revision is None if none is given."""
    repository, _, revision = name.partition("@")
    return repository, revision or None


def hub_commit(
    repository: str,
    revision: str | None = None,
    *,
    hint: str,
    copy: str = "hf:FOLDER",
    files: Sequence[str] = ("config.json",),
) -> str:
    """Return the commit of a repository on the hub: that of `revision`, or of `main`.

    The local cache is asked first, so `main` is the commit that was newest at the first use. If the hub were asked
    first, the keys of descriptors and features would change whenever somebody pushes to the repository, and each run
    would need the network. To update to the newest commit: `hf download REPOSITORY`.

    Before a download, the metadata of one file is requested: this shows within seconds that the repository is out of
    reach, gated or missing, while a download first retries for a minute.

    Args:
        repository: OWNER/NAME.
        revision: a commit, tag or branch; None is `main`.
        hint: end of the error messages: what works without the hub.
        copy: how a copy of the repository's files in a folder is named; "" if it cannot be.
        files: small files of which the repository has at least one.

    Raises:
        UserError: it is not in the cache, and cannot be fetched from the hub.
    """
    from huggingface_hub import errors

    page = f"https://huggingface.co/{repository}"
    try:
        return _cached_commit(repository, revision, files) or _fetched_commit(repository, revision, files)
    except errors.GatedRepoError as error:
        raise UserError(f"{page} is gated. {_ACCESS} {hint}") from error
    except (errors.RepositoryNotFoundError, errors.HFValidationError) as error:
        raise UserError(
            f"There is no folder {repository}, and no repository {page} that you may read. "
            f"If it is private, run: hf auth login. {hint}"
        ) from error
    except errors.RemoteEntryNotFoundError as error:
        raise UserError(f"{page} has no {' or '.join(files)}: not a model in the form that is read here.") from error
    except errors.RevisionNotFoundError as error:
        raise UserError(f"{page} has no revision {revision}: no commit, tag or branch of that name.") from error
    except Exception as error:  # out of reach; the version of the hub's client decides which HTTP library raises
        raise UserError(unreachable(repository, error, hint=hint, copy=copy)) from error


def _cached_commit(repository: str, revision: str | None, files: Sequence[str]) -> str | None:
    from huggingface_hub import try_to_load_from_cache

    cached = (try_to_load_from_cache(repository, file, revision=revision) for file in files)
    return next((_commit_of(path) for path in cached if isinstance(path, str)), None)


def _fetched_commit(repository: str, revision: str | None, files: Sequence[str]) -> str:
    from huggingface_hub import errors, get_hf_file_metadata, hf_hub_download, hf_hub_url

    file, *others = files
    try:
        get_hf_file_metadata(hf_hub_url(repository, file, revision=revision), timeout=_HUB_SECONDS)
    except errors.RemoteEntryNotFoundError:
        if not others:
            raise
        return _fetched_commit(repository, revision, others)
    return _commit_of(hf_hub_download(repository, file, revision=revision))  # the cache notes its commit


def _commit_of(path: str) -> str:
    return Path(path).parent.name  # .../snapshots/COMMIT/config.json


def hub_file(repository: str, file: str, commit: str) -> Path | None:
    """Return the path of a repository's file in the local cache, or None if it is not there."""
    from huggingface_hub import try_to_load_from_cache

    path = try_to_load_from_cache(repository, file, revision=commit)
    return Path(path) if isinstance(path, str) else None


_ACCESS = "Accept its licence or ask for access on that page, then run: hf auth login."


def unreachable(repository: str, error: Exception, *, hint: str, copy: str = "hf:FOLDER") -> str:
    """Return the error message for a model that is not in the cache and cannot be fetched; see `hub_commit`."""
    from huggingface_hub.constants import HF_HUB_CACHE

    named = f" A copy in a folder is {copy}." if copy else ""
    return (
        f"https://huggingface.co/{repository} is not in the local cache {HF_HUB_CACHE} and could not be fetched "
        f"({first_line(error)}). If it is gated: {_ACCESS}{named} {hint}"
    )


def first_line(error: Exception) -> str:
    """Return the first line of an error's message, or its type if that is empty."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
