"""Why a workload has no record: the nearest ones, and the fields that differ."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from vrmpy_tune.errors import RecordFormatError
from vrmpy_tune.measurement import METRICS, figure_text
from vrmpy_tune.records.skipped import skipped
from vrmpy_tune.records.trace_check import check_identity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from vrmpy_tune.records.record import Record
    from vrmpy_tune.records.safe_json import Json
    from vrmpy_tune.records.store import RecordReader

ABSENT: Final = "absent"
"""Shown for a field that one of two workload texts does not have."""


@dataclass(frozen=True)
class Difference:
    """One field in which a record is not what was asked for."""

    field: str
    wanted: str
    found: str

    def __str__(self) -> str:
        return f"{self.field} {self.found} instead of {self.wanted}"


@dataclass(frozen=True)
class Near:
    """A record, and every field in which it differs; none if it is the one asked for."""

    record: Record
    differences: tuple[Difference, ...]


@dataclass(frozen=True)
class Explanation:
    """What is stored nearest to a workload on a target, nearest first.

    Attributes
    ----------
    workload, target:
        What was asked for.
    nearest:
        The nearest records, each the best of its workload, target and metric.
    """

    workload: str
    target: str
    nearest: tuple[Near, ...]

    @property
    def is_hit(self) -> bool:
        """Whether the nearest record is exactly what was asked for."""
        return bool(self.nearest) and not self.nearest[0].differences

    def text(self) -> str:
        """Return the explanation in sentences, one a line."""
        if not self.nearest:
            return f"No record of {self.workload} on {self.target}: the store is empty."
        if self.is_hit:
            record = self.nearest[0].record
            return (
                f"{self.workload} on {self.target}: record {record.short_id}, "
                f"{figure_text(record.value, record.metric)} ({record.metric})."
            )
        lines = [f"No record of {self.workload} on {self.target}. The nearest:"]
        for near in self.nearest:
            differing = "; ".join(map(str, near.differences))
            lines.append(f"  {near.record.short_id} {near.record.workload}: {differing}")
        return "\n".join(lines)

    def to_json(self) -> dict[str, Json]:
        """Return the explanation as JSON data."""
        return {
            "workload": self.workload,
            "target": self.target,
            "nearest": [
                {
                    "record": near.record.id,
                    "workload": near.record.workload,
                    "target": near.record.target,
                    "metric": near.record.metric,
                    "value": near.record.value,
                    "differences": {
                        d.field: {"wanted": d.wanted, "found": d.found} for d in near.differences
                    },
                }
                for near in self.nearest
            ],
        }


def explain(
    reader: RecordReader,
    workload: str,
    target: str,
    metrics: Sequence[str] = METRICS,
    limit: int = 3,
) -> Explanation:
    """Find the records nearest to a workload on a target.

    Nearness counts the fields that differ, operator, target and metric among them; of equally many,
    the sizes that are nearer by ratio.

    Raises
    ------
    StoreError
        If the store cannot be read.
    """
    wanted = parse_workload_text(workload)
    ranked = sorted(reader.workloads(), key=lambda text: _distance(wanted, text))
    near: list[tuple[tuple[int, float], Near]] = []
    # One workload yields at most a record per target and metric; a few more than `limit` cover a
    # near workload that was tuned for other targets only.
    for text in ranked[: limit + 5]:
        for record in _sound(reader.best_of_each(text)):
            differences = _differences(wanted, record, target, metrics)
            distance = (len(differences), _distance(wanted, text)[1])
            near.append((distance, Near(record, differences)))
    near.sort(key=lambda item: (item[0], item[1].record.sort_key))
    return Explanation(workload, target, tuple(item[1] for item in near[:limit]))


def parse_workload_text(text: str) -> dict[str, str]:
    """Return the fields of ``op:key=value,...``, the operator under ``"operator"``."""
    operator, _, rest = text.partition(":")
    pairs = (pair.partition("=") for pair in rest.split(",") if pair)
    return {"operator": operator} | {key: value for key, _, value in pairs}


def _sound(records: Iterable[Record]) -> Iterator[Record]:
    """Yield the records that can be used at all, and say which cannot."""
    for record in records:
        try:
            check_identity(record.identity)
        except RecordFormatError as error:
            skipped(record, error)
        else:
            yield record


def _differences(
    wanted: dict[str, str], record: Record, target: str, metrics: Sequence[str]
) -> tuple[Difference, ...]:
    found = parse_workload_text(record.workload)
    differing = [
        Difference(key, wanted.get(key, ABSENT), found.get(key, ABSENT))
        for key in {**wanted, **found}
        if wanted.get(key) != found.get(key)
    ]
    if record.target != target:
        differing.append(Difference("target", target, record.target))
    if record.metric not in metrics:
        differing.append(Difference("metric", " or ".join(metrics), record.metric))
    return tuple(differing)


def nearness(wanted: dict[str, str], found: dict[str, str]) -> tuple[int, int, float]:
    """Compare the fields of two workloads, as :func:`parse_workload_text` returns them.

    Returns
    -------
    fields, words, doublings:
        How many fields differ, how many of these are not both sizes, and the sum of the doublings
        between the sizes that differ.
    """
    keys = {key for key in {**wanted, **found} if wanted.get(key) != found.get(key)}
    words, doublings = 0, 0.0
    for key in keys:
        sizes = (wanted.get(key, ""), found.get(key, ""))
        if all(size.isascii() and size.isdigit() and int(size) > 0 for size in sizes):
            doublings += abs(math.log2(int(sizes[0]) / int(sizes[1])))
        else:
            words += 1
    return len(keys), words, doublings


def _distance(wanted: dict[str, str], text: str) -> tuple[int, float]:
    """Count the fields that differ, and sum the doublings between their sizes."""
    found = parse_workload_text(text)
    fields, _, doublings = nearness(wanted, found)
    # Another operator's record is of no use, however similar its sizes.
    other_operator = 100 if wanted["operator"] != found["operator"] else 0
    return fields + other_operator, doublings
