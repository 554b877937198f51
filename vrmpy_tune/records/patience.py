"""Waiting for a database server that is away, without losing what was to be stored meanwhile."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TypeVar

from vrmpy_tune.records.jsonlines import encode_line
from vrmpy_tune.records.location import unstored_file
from vrmpy_tune.records.sql_errors import StoreUnreachableError
from vrmpy_tune.records.sql_reader import SqlReader

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from vrmpy_tune.records.outcomes import Failure
    from vrmpy_tune.records.record import Record
    from vrmpy_tune.records.store import Store

DEFAULT_WAIT_S: Final = 600.0
"""How long a server may be away before a run gives up."""

_ASK_S: Final = 1.0
"""Between two attempts."""

_REPEAT_S: Final = 30.0
"""Between two messages that it is still away."""

T = TypeVar("T")


class Patience:
    """Repeats what could not be asked of a server until it is back; used by several threads.

    Parameters
    ----------
    location:
        The store, for messages.
    say:
        Told that the server is away, that it still is, and that it is back.
    journal:
        File that gets what could not be stored when the waiting ends without the server.
    limit_s:
        Seconds after which the waiting ends.
    """

    def __init__(
        self,
        location: str,
        say: Callable[[str], None],
        journal: Path,
        limit_s: float = DEFAULT_WAIT_S,
    ) -> None:
        self.say = say
        self._location, self._journal, self._limit_s = location, journal, limit_s
        self._stop = threading.Event()
        self._guard = threading.Lock()
        self._away_since: float | None = None
        self._told = 0.0
        self._unstored = 0

    def stop(self) -> None:
        """End all waiting; what is asked from now on is tried once."""
        self._stop.set()

    def keep_trying(self, attempt: Callable[[], T]) -> T:
        """Return what ``attempt`` returns once the server is there.

        Raises
        ------
        StoreUnreachableError
            If it stayed away for the whole limit, or :meth:`stop` was called.
        """
        began = time.monotonic()
        while True:
            try:
                result = attempt()
            except StoreUnreachableError as error:
                if self._stop.is_set() or time.monotonic() - began > self._limit_s:
                    self._stop.set()
                    raise
                self._note_away(str(error))
                self._stop.wait(_ASK_S)
            else:
                self._note_back()
                return result

    def keep(self, items: Iterable[Record | Failure]) -> None:
        """Write to the journal what could not be stored."""
        with self._guard:
            self._journal.parent.mkdir(parents=True, exist_ok=True)
            with self._journal.open("a", encoding="ascii") as stream:
                for item in items:
                    stream.write(f"{encode_line(item)}\n")
                    self._unstored += 1

    def farewell(self, error: StoreUnreachableError) -> StoreUnreachableError:
        """Return the error that ends a run: what was waited for, and where everything is."""
        waited = 0.0 if self._away_since is None else time.monotonic() - self._away_since
        told = f"{error} Waited {waited:.0f} s for it."
        if self._unstored:
            told += (
                f" {self._unstored} outcomes measured meanwhile are in {self._journal}; store them "
                f"when it is back: vrmpy-tune records import {self._journal} --records "
                f"{self._location}"
            )
        return StoreUnreachableError(told)

    def _note_away(self, reason: str) -> None:
        with self._guard:
            now = time.monotonic()
            if self._away_since is None:
                self._away_since = self._told = now
                told = (
                    f"{reason} Waiting for it, at most {self._limit_s:.0f} s; what was measured is "
                    "kept. Ctrl-C ends the waiting."
                )
            elif now - self._told >= _REPEAT_S:
                self._told = now
                told = (
                    f"Still waiting for the record store {self._location}, for "
                    f"{now - self._away_since:.0f} s."
                )
            else:
                return
        self.say(told)

    def _note_back(self) -> None:
        with self._guard:
            if self._away_since is None:
                return
            seconds, self._away_since = time.monotonic() - self._away_since, None
        self.say(f"The record store {self._location} is back after {seconds:.0f} s.")


@contextmanager
def waiting_for_server(
    store: Store, say: Callable[[str], None], limit_s: float | None = None
) -> Iterator[Patience]:
    """Have all that is asked of a store wait for its server, should that go away.

    Stores without a server are as they were.

    Parameters
    ----------
    store:
        An open store.
    say:
        Told that the server is away, and that it is back; from several threads.
    limit_s:
        Seconds after which it is given up.

    Raises
    ------
    StoreUnreachableError
        If it was given up, with the place of what could not be stored.
    """
    patience = Patience(store.location, say, unstored_file(), limit_s or DEFAULT_WAIT_S)
    if isinstance(store, SqlReader):
        store.patience = patience
    try:
        yield patience
    except StoreUnreachableError as error:
        raise patience.farewell(error) from error
