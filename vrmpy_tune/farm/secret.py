"""The farm key: the secret that tuners, trackers and serving hosts share."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Final

import platformdirs

from vrmpy_tune.errors import FarmError

KEY_VARIABLE: Final = "VRMPY_TUNE_FARM_KEY"
"""Environment variable that holds the key itself."""

FILE_VARIABLE: Final = "VRMPY_TUNE_FARM_KEY_FILE"
"""Environment variable that names the file with the key."""

LEAST_BYTES: Final = 16
"""Shortest key: 128 bits, if it is random."""

TAG_BYTES: Final = 32
"""Size of a tag (HMAC-SHA256)."""


class FarmKey:
    """Signs and checks; never prints itself.

    Parameters
    ----------
    secret:
        The shared secret.

    Raises
    ------
    FarmError
        If it is shorter than 16 bytes.
    """

    def __init__(self, secret: bytes) -> None:
        if len(secret) < LEAST_BYTES:
            raise FarmError(
                f"The farm key has {len(secret)} bytes; at least {LEAST_BYTES} are needed. "
                "Make one: openssl rand -hex 32"
            )
        self._secret = secret

    def __repr__(self) -> str:
        return "FarmKey(...)"

    def tag(self, purpose: str, *parts: bytes) -> bytes:
        """Return the tag of ``parts``, which is valid for this purpose alone."""
        message = hashlib.sha256()
        for part in (purpose.encode(), *parts):
            message.update(len(part).to_bytes(8, "little"))
            message.update(part)
        return hmac.digest(self._secret, message.digest(), "sha256")

    def accepts(self, tag: bytes, purpose: str, *parts: bytes) -> bool:
        """Whether ``tag`` was made with this key, for this purpose, of these parts."""
        return hmac.compare_digest(tag, self.tag(purpose, *parts))


def default_file() -> Path:
    """Return the file that is used when neither variable is set."""
    return platformdirs.user_config_path("vrmpy-tune") / "farm.key"


def load_key(*, create: bool = False) -> FarmKey:
    """Return the farm key of the environment, or of its file.

    Parameters
    ----------
    create:
        Make the default file, readable by its owner alone, if nothing names a key.

    Raises
    ------
    FarmError
        If there is no key, or its file cannot be read or is readable by others.
    """
    if secret := os.environ.get(KEY_VARIABLE):
        return FarmKey(secret.strip().encode())
    chosen = os.environ.get(FILE_VARIABLE)
    path = Path(chosen) if chosen else default_file()
    if create and not chosen:
        _create(path)
    return read_key(path)


def read_key(file: Path | str) -> FarmKey:
    """Return the farm key in a file.

    Raises
    ------
    FarmError
        If it cannot be read, or others can read it.
    """
    path = Path(file)
    try:
        mode = path.stat().st_mode
        secret = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise FarmError(
            f"There is no farm key: {path} cannot be read. Copy it from the host that runs "
            f"`vrmpy-tune farm tracker`, or set {KEY_VARIABLE} or {FILE_VARIABLE}."
        ) from error
    if mode & 0o077:
        raise FarmError(f"Others can read the farm key {path}. Run: chmod 600 {path}")
    return FarmKey(secret.encode())


def _create(path: Path) -> None:
    """Write a new key, unless there is one; of two that try at once, the first wins."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32) + "\n")
        # A link, unlike a rename, fails when the name is taken.
        with suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        temporary.unlink()
