"""Artifacts on the serving side, by what they contain: one upload serves every slot."""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Final

from vrmpy_tune.errors import FarmError
from vrmpy_tune.toolchain.cache import write_atomically

if TYPE_CHECKING:
    from pathlib import Path

    from vrmpy_tune.farm.secret import FarmKey

LARGEST_BLOB: Final = 256 << 20
"""Largest artifact, in bytes: object files have some 10 KB, input sets up to some 100 MB."""

LIMIT_BYTES: Final = 4 << 30
"""Size that the store is kept under."""

_DIGEST: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_PURPOSE: Final = "artifact"


def digest_of(content: bytes) -> str:
    """Return the name of an artifact: its SHA-256 in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def sign(key: FarmKey, digest: str) -> str:
    """Return the tag that an upload carries, in hexadecimal."""
    return key.tag(_PURPOSE, digest.encode()).hex()


class BlobStore:
    """Artifacts in one directory.

    Parameters
    ----------
    directory:
        Where they are; it exists and is nobody else's.
    key:
        The farm key.
    """

    def __init__(self, directory: Path, key: FarmKey, limit_bytes: int = LIMIT_BYTES) -> None:
        self._directory, self._key, self._limit_bytes = directory, key, limit_bytes
        self._sizes: dict[str, int] = {}
        """In order of their last use."""

    def find(self, digest: str) -> Path | None:
        """Return the file of an artifact, or None if it is not here.

        Raises
        ------
        FarmError
            If the name is no digest.
        """
        _check_name(digest)
        if digest not in self._sizes:
            return None
        self._sizes[digest] = self._sizes.pop(digest)
        return self._directory / digest

    def check_offer(self, digest: str, size: int, tag: str) -> None:
        """Check what an upload says of itself, before any of it is taken.

        Raises
        ------
        FarmError
            If its name is no digest, it is too large, or it is not signed with our key.
        """
        _check_name(digest)
        if not 0 <= size <= LARGEST_BLOB:
            raise FarmError(
                f"The upload {digest[:16]} has {size} bytes; at most {LARGEST_BLOB} are taken."
            )
        try:
            signature = bytes.fromhex(tag)
        except ValueError:
            signature = b""
        if not self._key.accepts(signature, _PURPOSE, digest.encode()):
            raise FarmError(f"The upload {digest[:16]} is not signed with this farm's key.")

    def add(self, digest: str, content: bytes) -> Path:
        """Keep an artifact whose offer was checked.

        Raises
        ------
        FarmError
            If the content is not what the name says, or the disk is full.
        """
        if digest_of(content) != digest:
            raise FarmError(f"The upload {digest[:16]} was altered: its SHA-256 differs.")
        path = self._directory / digest
        try:
            write_atomically(path, content)
        except OSError as error:
            raise FarmError(
                f"The artifact store {self._directory} cannot be written: {error.strerror}. "
                "Make room there."
            ) from error
        self._sizes[digest] = len(content)
        self._prune(digest)
        return path

    def _prune(self, newest: str) -> None:
        excess = sum(self._sizes.values()) - self._limit_bytes
        for digest in list(self._sizes):
            if excess <= 0 or digest == newest:
                return
            excess -= self._sizes.pop(digest)
            (self._directory / digest).unlink(missing_ok=True)


def _check_name(digest: object) -> None:
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise FarmError(f"'{str(digest)[:80]}' is no SHA-256, and so the name of no artifact.")
