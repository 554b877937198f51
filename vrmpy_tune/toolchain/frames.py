"""Messages between a process and its workers: JSON with its length in front."""

from __future__ import annotations

import json
import os
import select
import struct
import time
from typing import Any, Final

_LENGTH: Final = struct.Struct("<I")
_CHUNK: Final = 1 << 20


class ClosedError(Exception):
    """The other side closed the pipe."""


class DeadlineError(Exception):
    """The other side said nothing in time."""


def send(descriptor: int, message: dict[str, Any]) -> None:
    """Write one message; raises ``ClosedError`` if nobody reads."""
    data = json.dumps(message).encode()
    view = memoryview(_LENGTH.pack(len(data)) + data)
    try:
        while view:
            view = view[os.write(descriptor, view) :]
    except BrokenPipeError as error:
        raise ClosedError from error


def receive(descriptor: int, timeout_s: float | None = None) -> dict[str, Any]:
    """Read one message.

    Raises
    ------
    ClosedError
        If the pipe ends before or within a message.
    DeadlineError
        If the message is not complete after ``timeout_s`` seconds.
    """
    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    (length,) = _LENGTH.unpack(_read(descriptor, _LENGTH.size, deadline))
    message: dict[str, Any] = json.loads(_read(descriptor, length, deadline))
    return message


def _read(descriptor: int, size: int, deadline: float | None) -> bytes:
    parts = []
    while size:
        if deadline is not None:
            left = max(0.0, deadline - time.monotonic())
            if not select.select([descriptor], [], [], left)[0]:
                raise DeadlineError
        part = os.read(descriptor, min(size, _CHUNK))
        if not part:
            raise ClosedError
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
