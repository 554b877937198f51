"""Whether a record is worse than what its workload is compiled with untuned.

A search by the critical path begins with the fixed rule's schedule, so that its best is never
worse.  A search by all packets may be: it takes one context where others would share the work.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vrmpy_tune.measurement import is_time

if TYPE_CHECKING:
    from vrmpy_tune.records.record import Record


def worse_than_fixed_rule(record: Record) -> str | None:
    """Return by how much a record's critical path is longer than the fixed rule's, in words.

    ``None`` if it is not, or if nobody measured the fixed rule (:func:`is_unknown`).  Estimated
    times have an order of their own, in which a longer critical path may be quicker.
    """
    rule = record.fixed_rule
    if rule is None or is_time(record.metric):
        return None
    critical = record.counts.packets_critical
    if critical <= rule.packets_critical:
        return None
    return (
        f"its critical path, {critical:,} packets, is {critical / rule.packets_critical:.2f} times "
        f"the fixed rule's, {rule.packets_critical:,}"
    )


def is_unknown(record: Record) -> bool:
    """Whether nobody measured what the fixed rule takes beside a record."""
    return record.fixed_rule is None and not is_time(record.metric)
