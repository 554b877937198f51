"""A content-addressed store of build products, shared by any number of processes.

An entry is one file named ``<key>.<SHA-256 of its content>``.  Files appear by renaming, so that
nobody sees half of one, and an entry whose content no longer matches its name is dropped, not used.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

import platformdirs

from vrmpy_tune.errors import ToolchainError
from vrmpy_tune.new_file import create_beside

DIRECTORY_VARIABLE: Final = "VRMPY_TUNE_CACHE"
"""Environment variable that moves the cache."""

DEFAULT_LIMIT_BYTES: Final = 2 << 30

_PRUNE_EVERY: Final = 512
"""Additions between two looks at the cache's size: some 15 MB of executables."""

_PRUNE_TO: Final = 0.8
"""Share of the limit that pruning leaves, so that it is not needed again at once."""


def cache_directory() -> Path:
    """Return the directory of all that can be built again; it need not exist yet."""
    chosen = os.environ.get(DIRECTORY_VARIABLE)
    return Path(chosen).absolute() if chosen else platformdirs.user_cache_path("vrmpy-tune")


def content_key(*parts: str | bytes) -> str:
    """Return the key of what is made from ``parts`` (hexadecimal SHA-256).

    Parts are hashed with their lengths, so that moving text from one to the next changes the key.
    """
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "little"))
        digest.update(data)
    return digest.hexdigest()


class BuildCache:
    """Files by key, oldest use dropped first when they exceed a size.

    Parameters
    ----------
    directory:
        Where the files are; created when first written to.
    limit_bytes:
        Size that pruning keeps the cache under.
    """

    def __init__(self, directory: Path, limit_bytes: int = DEFAULT_LIMIT_BYTES) -> None:
        self._directory = directory
        self._limit_bytes = limit_bytes
        self._additions = 0

    def find(self, key: str) -> Path | None:
        """Return the entry's file, or ``None`` if there is none that is intact."""
        for path in self._shard(key).glob(f"{key}.*"):
            with suppress(FileNotFoundError):
                if _digest(path.read_bytes()) == path.suffix[1:]:
                    os.utime(path)
                    return path
                path.unlink()
        return None

    def add(self, key: str, content: bytes) -> Path:
        """Store ``content`` and return its file, which is complete from the moment it exists.

        Raises
        ------
        ToolchainError
            If the cache directory cannot be written.
        """
        path = self._shard(key) / f"{key}.{_digest(content)}"
        try:
            write_atomically(path, content, mode=0o777)
        except OSError as error:
            raise ToolchainError(
                f"The build cache {self._directory} cannot be written ({error.strerror}). "
                f"Make room there, or set {DIRECTORY_VARIABLE} to another directory."
            ) from error
        self._additions += 1
        if self._additions % _PRUNE_EVERY == 0:
            self.prune()
        return path

    def prune(self) -> int:
        """Remove entries until the cache is under its limit; return the bytes removed."""
        entries = []
        for path in self._directory.glob("??/*"):
            with suppress(FileNotFoundError):
                status = path.stat()
                entries.append((status.st_mtime, status.st_size, path))
        excess = sum(size for _, size, _ in entries) - self._limit_bytes
        if excess <= 0:
            return 0
        goal = excess + int(self._limit_bytes * (1 - _PRUNE_TO))
        removed = 0
        for _, size, path in sorted(entries):
            if removed >= goal:
                break
            path.unlink(missing_ok=True)
            removed += size
        return removed

    def _shard(self, key: str) -> Path:
        return self._directory / key[:2]


def write_atomically(path: Path, content: bytes, mode: int = 0o666) -> None:
    """Write a file that nobody sees before it is complete; the directory is created.

    A symbolic link at ``path`` is replaced; what it names stays as it is.
    """
    descriptor, temporary = create_beside(path, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
