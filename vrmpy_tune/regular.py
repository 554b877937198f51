"""Files that end: what a user names may be a pipe or a device, which could feed us for ever."""

from __future__ import annotations

import errno
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def check_regular(path: Path) -> None:
    """Check that a path does not name a pipe, a device or a socket.

    A directory is left to whoever opens it, and says so.

    Raises
    ------
    OSError
        If it does, or there is nothing of that name.
    """
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise OSError(errno.EINVAL, "It is no regular file", str(path))
