"""Records that are passed over because they are no use, each named once."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from vrmpy_tune.records.record import Record

MAX_NAMED: Final = 20
"""Records that are named; of a store full of bad ones, the rest is only counted."""

_LOG: Final = logging.getLogger(__name__)

_seen: set[str] = set()


def skipped(record: Record, reason: object) -> None:
    """Warn that a record is passed over; the same one only once in a process."""
    if record.id in _seen:
        return
    _seen.add(record.id)
    if len(_seen) <= MAX_NAMED:
        _LOG.warning(
            "Record %s of %s is skipped: %s To see all of them: vrmpy-tune records verify",
            record.short_id, record.workload, reason,
        )  # fmt: skip
    elif len(_seen) == MAX_NAMED + 1:
        _LOG.warning("Further records are skipped for reasons like these, without a word.")


def skipped_count() -> int:
    """Return how many records were passed over in this process."""
    return len(_seen)
