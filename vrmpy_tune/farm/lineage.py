"""Processes that end with the one that started them, and groups that are killed as a whole."""

from __future__ import annotations

import ctypes
import os
import signal
from contextlib import suppress
from typing import Final

from vrmpy_tune.farm.secret import FILE_VARIABLE, KEY_VARIABLE

_PR_SET_PDEATHSIG: Final = 1


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def kill_group(leader: int) -> None:
    """Kill a process and all of its group; nothing happens if they are gone, or for 0."""
    if leader <= 1:
        return
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(leader, signal.SIGKILL)


def environment_without_key() -> dict[str, str]:
    """Return the environment for processes that are not to know the farm key."""
    return {
        name: value
        for name, value in os.environ.items()
        if name not in (KEY_VARIABLE, FILE_VARIABLE)
    }
