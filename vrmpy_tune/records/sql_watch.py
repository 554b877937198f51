"""Noticing that a database server has frozen: its connections stay open, and never answer.

The operating system of a frozen server still acknowledges what is sent, so that no time-out of the
network applies; and some statements rightly take long.  So when a statement has been silent for a
while, another connection is tried.  If that is not answered either, all that wait are cut off.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SILENT_S: Final = 3.0
"""Silence of one statement after which the server is asked whether it is alive."""

_LOOK_S: Final = 0.25


class Driven(Protocol):
    """What is needed of a driver's connection."""

    def fileno(self) -> int:
        """Return the descriptor of its socket."""


class SilenceWatch:
    """Watches statements, and cuts the connections of those that a frozen server holds.

    Parameters
    ----------
    is_alive:
        Returns whether the server answers a new connection, within a few seconds.
    """

    def __init__(self, is_alive: Callable[[], bool]) -> None:
        self._is_alive = is_alive
        self._since: dict[int, tuple[float, Driven]] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False

    @contextmanager
    def over(self, connection: Driven) -> Iterator[None]:
        """Watch what is asked of the server inside."""
        self.begin(connection)
        try:
            yield
        finally:
            self.end(connection)

    def begin(self, connection: Driven) -> None:
        """Note that a statement is sent."""
        with self._changed:
            self._since[id(connection)] = (time.monotonic(), connection)
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._look, name="silence", daemon=True)
                self._thread.start()
            self._changed.notify()

    def end(self, connection: Driven) -> None:
        """Note that the server answered, or that the connection is gone."""
        with self._changed:
            self._since.pop(id(connection), None)

    def close(self) -> None:
        """End the watching thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _look(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._since or self._closed)
                if self._closed:
                    return
                oldest = min(began for began, _ in self._since.values())
            if time.monotonic() - oldest < SILENT_S:
                time.sleep(_LOOK_S)
                continue
            asked = time.monotonic()
            alive = self._is_alive()
            with self._changed:
                for key, (began, connection) in list(self._since.items()):
                    if began > asked:
                        continue
                    if alive:
                        self._since[key] = (time.monotonic(), connection)
                    else:
                        _cut(connection)


def _cut(connection: Driven) -> None:
    """Shut the socket down, which ends the wait of the thread that uses it."""
    try:
        with socket.socket(fileno=os.dup(connection.fileno())) as line:
            line.shutdown(socket.SHUT_RDWR)
    except Exception:
        # Closed already; the driver has an exception of its own for that.
        return
