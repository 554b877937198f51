"""Finding a record by the start of its id, as people type it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from vrmpy_tune.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vrmpy_tune.records.record import Record

_ID_START: Final = re.compile(r"[0-9a-f]{6,64}")


def check_id(record_id: str) -> None:
    """Raise :class:`UsageError` unless the text is an id, or the start of one."""
    if not _ID_START.fullmatch(record_id):
        raise UsageError(
            f"'{record_id}' is no record id: an id has 6 to 64 digits, 0-9 and a-f. "
            "List them with: vrmpy-tune records ls"
        )


def only_one(found: Sequence[Record], record_id: str) -> Record | None:
    """Return the single record found, or None; refuse an ambiguous start of an id."""
    if len(found) > 1:
        raise UsageError(f"Several records' ids start with {record_id}: give more digits.")
    return found[0] if found else None
