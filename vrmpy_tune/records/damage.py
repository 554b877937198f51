"""What was skipped in a damaged store, told once."""

from __future__ import annotations

import logging
import re
import threading
from typing import Final

_LOG: Final = logging.getLogger(__name__)

_NAMED: Final = 5
"""Damaged rows that a warning names; further ones are only counted."""

_NO_DIGIT: Final = re.compile("[^0-9a-f]")


class Damage:
    """The damaged rows of one store, each named once however often it is met.

    Parameters
    ----------
    location:
        Where the store is, for messages.
    """

    def __init__(self, location: str) -> None:
        self._location = location
        self._rows: dict[str, str] = {}
        self._told = False
        self._guard = threading.Lock()

    @property
    def rows(self) -> dict[str, str]:
        """Why each row was skipped, by its id as far as that can be read."""
        return dict(self._rows)

    def note(self, row_id: object, reason: str) -> None:
        """Remember a row that was skipped."""
        # A damaged id may hold anything, terminal escapes too.
        name = _NO_DIGIT.sub("?", str(row_id))[:16]
        with self._guard:
            self._rows.setdefault(name, reason)

    def tell(self) -> None:
        """Warn of what was skipped, the first time that there is something to warn of."""
        with self._guard:
            if self._told or not self._rows:
                return
            self._told = True
        self._warn("Whatever else is sound is used.")

    def tell_salvage(self, sound: int) -> None:
        """Warn that the file was read without SQLite, and how many sound records that found."""
        with self._guard:
            self._told = True
        self._warn(
            f"SQLite cannot read all of the file, which was read page by page: {sound} records are "
            "sound and are used; what stood on pages that are gone is lost."
        )

    def _warn(self, rest: str) -> None:
        rows = self.rows
        named = "; ".join(f"{name}: {reason}" for name, reason in list(rows.items())[:_NAMED])
        more = f"; and {len(rows) - _NAMED} more" if len(rows) > _NAMED else ""
        _LOG.warning(
            "Skipped %d damaged row%s of the record store %s%s. %s %s",
            len(rows),
            "" if len(rows) == 1 else "s",
            self._location,
            f" ({named}{more})" if rows else "",
            rest,
            remedy(self._location),
        )


def remedy(location: str) -> str:
    """Return what to do about a damaged store."""
    return (
        "Restore it from a copy, or copy what is sound to a new store: "
        f"vrmpy-tune records merge {location} --records recovered.db"
    )
