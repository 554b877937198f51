"""What a database driver says, turned into a sentence with the path and a remedy."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from sqlalchemy.exc import SQLAlchemyError

from vrmpy_tune.errors import StoreError
from vrmpy_tune.records.damage import remedy

if TYPE_CHECKING:
    from collections.abc import Iterator

_SENTENCES: Final = (
    (
        ("not a database", "file is encrypted"),
        "{location} is not a record store. Name another file with --records, or move it away.",
    ),
    (
        ("malformed", "corrupt"),
        "The record store {location} is damaged. {remedy}",
    ),
    (
        ("is full", "disk i/o error", "no space left"),
        "The disk that holds the record store {location} is full or failing; nothing was written. "
        "Free some space, then run the same command again.",
    ),
    (
        ("readonly", "read-only", "unable to open", "permission denied"),
        "The record store {location} cannot be opened for writing: check the permissions of the "
        "file and its directory, or name another store with --records.",
    ),
    (
        ("locked", "busy", "lock timeout"),
        "The record store {location} is locked by another process for longer than 4 s. Wait for "
        "it to end, or name another store with --records.",
    ),
    (
        ("connection", "could not connect", "password authentication", "shutting down"),
        "The record store {location} cannot be reached. Check that the server runs and that the "
        "URL's host, user and database exist.",
    ),
)
"""What drivers say, in lower case, and what to tell the user; the first match counts."""


class DamagedStoreError(StoreError):
    """A SQLite file contradicts itself; what it holds may be read without SQLite."""


class StoreUnreachableError(StoreError):
    """A database server is away; it may come back."""


_AWAY: Final = ("57P01", "57P02", "57P03", "53300")
"""PostgreSQL's states of shutting down, having crashed, starting, and being full of clients."""

_OTHER: Final = ("ProgrammingError", "DataError", "NotSupportedError")
"""The driver's exceptions without a state that are not about the connection."""

_NOT_DAMAGE: Final = (
    "full",
    "readonly",
    "read-only",
    "unable to open",
    "permission",
    "locked",
    "busy",
)
"""What SQLite says where the file may well be sound."""


def store_error(location: str, error: Exception) -> StoreError:
    """Return the readable form of a driver's error."""
    cause = getattr(error, "orig", None) or error
    said = str(cause).strip().splitlines()
    detail = said[0] if said else type(error).__name__
    lower = detail.lower()
    is_damage = isinstance(cause, sqlite3.DatabaseError) and not any(
        sign in lower for sign in _NOT_DAMAGE
    )
    kind = DamagedStoreError if is_damage else StoreError
    if _is_away(cause):
        kind, lower = StoreUnreachableError, "connection"
    for signs, sentence in _SENTENCES:
        if any(sign in lower for sign in signs):
            told = sentence.format(location=location, remedy=remedy(location))
            return kind(f"{told} (The database said: {detail}.)")
    return kind(
        f"The record store {location} cannot be used: {detail}. Name another one with --records."
    )


def _is_away(cause: object) -> bool:
    """Whether PostgreSQL's driver says that there is no server, or that it went away."""
    if not type(cause).__module__.startswith("psycopg") or type(cause).__name__ in _OTHER:
        return False
    state = getattr(cause, "sqlstate", None)
    return state is None or state.startswith("08") or state in _AWAY


@contextmanager
def readable_errors(location: str) -> Iterator[None]:
    """Raise :class:`StoreError` for whatever a database driver raises inside."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error) as error:
        raise store_error(location, error) from error
