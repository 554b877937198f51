"""One builder at a time, among processes."""

from __future__ import annotations

import fcntl
from contextlib import contextmanager
from typing import TYPE_CHECKING

from vrmpy_tune.errors import ToolchainError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file ``path``, waiting for it; the kernel frees it if this process dies.

    Raises
    ------
    ToolchainError
        If the file's directory cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w")
    except OSError as error:
        raise ToolchainError(
            f"The cache directory {path.parent} cannot be written ({error.strerror}). "
            "Set VRMPY_TUNE_CACHE to a directory that can."
        ) from error
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
