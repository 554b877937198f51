"""New files beside the ones that they will replace."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def create_beside(path: Path, mode: int = 0o666) -> tuple[int, Path]:
    """Create an empty hidden file in the directory of ``path``, to be renamed to ``path`` later.

    Unlike :func:`tempfile.mkstemp`, the file has the permissions that the user's umask leaves, as
    any file that a program creates has.  The directory is created, too.

    Parameters
    ----------
    path:
        The file that will be replaced.
    mode:
        Permissions, less those that the umask takes away.

    Returns
    -------
    descriptor, file:
        A descriptor that is open for writing, and the file's path.

    Raises
    ------
    OSError
        If the file cannot be created.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        file = path.parent / f".{path.name[:200]}.{secrets.token_hex(6)}"
        try:
            return os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode), file
        except FileExistsError:
            continue
