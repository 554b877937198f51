"""Which record a compilation uses for a workload.

The order is: metric by metric, as in :data:`vrmpy_tune.measurement.METRICS`, for figures of
different metrics cannot be compared.  Within a metric, first the records of the toolchain at hand,
best first, then (unless ``exact``) those of other toolchains, best first.  The first one whose
trace replays is it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from vrmpy_tune.measurement import METRICS, figure_text
from vrmpy_tune.records.same_toolchain import differences, makes_same_code
from vrmpy_tune.records.view import StoreView

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from vrmpy_tune.records.record import Record
    from vrmpy_tune.records.store import RecordReader


class Status(StrEnum):
    """How a lookup ended."""

    APPLIED = "applied"
    OTHER_TOOLCHAIN = "applied (other toolchain)"
    BY_ANCHOR = "applied (by anchor)"
    """The record is of another fused variant of the workload."""
    STALE = "stale"
    """There are records, but the trace of none replays."""
    MISSING = "missing"

    @property
    def is_hit(self) -> bool:
        """Whether there is a record to apply."""
        return self in (Status.APPLIED, Status.OTHER_TOOLCHAIN, Status.BY_ANCHOR)


@dataclass(frozen=True)
class Lookup:
    """The record to apply, or why there is none.

    Attributes
    ----------
    record:
        The record, on a hit.
    status:
        How the lookup ended.
    reason:
        A sentence: which record was chosen or why none.
    stale:
        Better placed records that were passed over because their traces do not replay.
    """

    record: Record | None
    status: Status
    reason: str
    stale: tuple[Record, ...] = ()


def lookup(
    stores: RecordReader | Sequence[RecordReader],
    workload: str,
    target: str,
    metrics: Sequence[str] = METRICS,
    *,
    toolchain: Mapping[str, str] | None = None,
    exact: bool = False,
    replays: Callable[[Record], bool] | None = None,
) -> Lookup:
    """Find the record that compilation should apply.

    Parameters
    ----------
    stores:
        Where to look; of equal records, the earlier store's.
    workload, target:
        Canonical workload text and target name.
    metrics:
        Metrics in order of preference.
    toolchain:
        Versions by name of the toolchain at hand; None takes every toolchain for the same.
    exact:
        Accept no record of another toolchain.
    replays:
        Whether a record's trace still applies; None takes every record on trust.

    Raises
    ------
    StoreError
        If a store cannot be read.
    """
    reader = StoreView(stores if isinstance(stores, (list, tuple)) else (stores,))
    stale: list[Record] = []
    foreign = 0
    for metric in metrics:
        same = 0
        for record in reader.iterate(workload, target, metric, toolchain=toolchain):
            is_same = _is_same(record, toolchain)
            if exact and not is_same:
                foreign += reader.count(workload, target, metric) - same
                break
            same += is_same
            if replays is not None and not replays(record):
                stale.append(record)
                continue
            status = Status.APPLIED if is_same else Status.OTHER_TOOLCHAIN
            return Lookup(record, status, _hit_reason(record, toolchain, stale), tuple(stale))
    status = Status.STALE if stale else Status.MISSING
    reason = _miss_reason(workload, target, metrics, len(stale), foreign if exact else 0)
    return Lookup(None, status, reason, tuple(stale))


def _is_same(record: Record, toolchain: Mapping[str, str] | None) -> bool:
    return toolchain is None or makes_same_code(record.toolchain, toolchain)


def _hit_reason(
    record: Record, toolchain: Mapping[str, str] | None, stale: Sequence[Record]
) -> str:
    reason = (
        f"Record {record.short_id}: {figure_text(record.value, record.metric)} ({record.metric})"
    )
    differing = toolchain_differences(record, toolchain)
    if differing:
        another = "simulator" if _is_same(record, toolchain) else "toolchain"
        reason += f", measured with another {another} ({differing})"
    if stale:
        reason += f"; {len(stale)} better placed no longer replay"
    return f"{reason}."


def toolchain_differences(record: Record, toolchain: Mapping[str, str] | None) -> str:
    """Return the versions in which a record's toolchain differs, as ``name old, here new``."""
    return "" if toolchain is None else differences(record.toolchain, toolchain)


def _miss_reason(
    workload: str, target: str, metrics: Sequence[str], stale: int, foreign: int
) -> str:
    if stale:
        return (
            f"{stale} records of {workload} on {target} no longer replay. "
            f"Tune it again: vrmpy-tune tune '{workload}' --target {target}"
        )
    if foreign:
        return (
            f"{foreign} records of {workload} on {target} are from other toolchains, which "
            "--exact refuses. Leave it out, or tune again."
        )
    return (
        f"No record of {workload} on {target} under {' or '.join(metrics)}. "
        f"Tune it: vrmpy-tune tune '{workload}' --target {target}"
    )
