"""Replace a file so that a reader, or a crash, sees the old content or the new, never a part."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from vrmpy_tune.errors import StoreError
from vrmpy_tune.new_file import create_beside

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def replace_file(path: Path, lines: Iterable[str]) -> int:
    """Write ``lines``, each with a line feed, to ``path``; return how many there were.

    Raises
    ------
    StoreError
        If the file cannot be written; an existing one is then as it was.
    """
    count = 0
    temporary: Path | None = None
    try:
        # In the same directory: a rename is atomic only within one file system.
        descriptor, temporary = create_beside(path)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as stream:
            for line in lines:
                stream.write(line)
                stream.write("\n")
                count += 1
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
        _sync_directory(path.parent)
    except OSError as error:
        raise StoreError(
            f"{path} cannot be written: {error.strerror or error}. "
            "Free some space or name another file."
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
    return count


def _sync_directory(directory: Path) -> None:
    """Make the rename itself durable."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
