"""Where estimated time and packets choose different schedules.

Records of a time metric carry their packets too, so that one search shows what the other figure
would have chosen among the same candidates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vrmpy_tune.measurement import is_time

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vrmpy_tune.records.record import Record


@dataclass(frozen=True)
class Disagreement:
    """The best candidates of one search by either figure.

    Attributes
    ----------
    by_time, by_packets:
        The best by estimated time, and by packets on the critical path.
    candidates:
        How many there were.
    """

    by_time: Record
    by_packets: Record
    candidates: int

    @property
    def loss(self) -> float:
        """How much longer what packets choose takes: 0.1 is 10%."""
        return self.by_packets.value / self.by_time.value - 1

    def as_json(self) -> dict[str, Any]:
        """Return both choices with where their time goes."""
        return {
            "workload": self.by_time.workload,
            "metric": self.by_time.metric,
            "candidates": self.candidates,
            "loss": self.loss,
            "by_time": _choice(self.by_time),
            "by_packets": _choice(self.by_packets),
        }


def disagreements(records: Iterable[Record]) -> list[Disagreement]:
    """Return the searches for time in which packets would have chosen otherwise, worst first."""
    searches: dict[tuple[str, str, str], list[Record]] = {}
    for record in records:
        if is_time(record.metric):
            key = (record.workload, record.target, record.metric)
            searches.setdefault(key, []).append(record)
    found = []
    for candidates in searches.values():
        by_time = min(candidates, key=lambda one: one.sort_key)
        by_packets = min(candidates, key=lambda one: (one.counts.packets_critical, one.sort_key))
        if by_packets.value > by_time.value:
            found.append(Disagreement(by_time, by_packets, len(candidates)))
    return sorted(found, key=lambda one: (-one.loss, one.by_time.workload))


def _choice(record: Record) -> dict[str, Any]:
    time = record.counts.time
    return {
        "record": record.id,
        "space": record.space,
        "estimated_us": record.value / 1e3,
        "packets_critical": record.counts.packets_critical,
        "packets_total": record.counts.packets_total,
        "time_us": time.as_json() if time else None,
    }
