"""One figure of a benchmark."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from vrmpy_tune.measurement import QEMU_PACKETS, is_time
from vrmpy_tune.workload.base import product
from vrmpy_tune.workload.contraction import Contraction

if TYPE_CHECKING:
    from vrmpy_tune.bench.metaschedule import DefaultResult
    from vrmpy_tune.measurement import Measurement
    from vrmpy_tune.suites import Member
    from vrmpy_tune.suites.peer_rows import Peer
    from vrmpy_tune.target import HexagonTarget
    from vrmpy_tune.workload import Workload

TUNED: Final = "vrmpy_tune"
FIXED: Final = "vrmpy_tune:fixed"
METASCHEDULE: Final = "metaschedule-default"
OWN_SYSTEMS: Final = (TUNED, FIXED, METASCHEDULE)
"""Systems that are measured here; all others are peers."""

NO_TIME: Final = "estimated_us is null: the metric is no time; see --metric."


@dataclass(frozen=True)
class Row:
    """What one system takes for one workload.

    Attributes
    ----------
    workload, system:
        Canonical text, and who computes it.
    metric:
        What ranks; only for :attr:`value`.
    packets_total, packets_critical:
        Packets; ``None`` if they were not measured.
    nanoseconds:
        The estimated time on all contexts, if the metric is one.
    macs:
        Multiply-accumulates that the layer asks for.
    verified:
        Whether the output was right; ``None`` if it was not measured.
    record:
        Id of the record that was applied.
    contexts:
        HVX contexts that the figure is for.
    counts:
        What the figure includes besides multiplying and storing the output.
    peer_workload:
        Name in ``peers.csv`` of what it may be compared with.
    reason:
        Why values are null.
    variant, layer, count:
        As in :class:`~vrmpy_tune.suites.Member`.
    bound, outputs:
        Packets that no kernel goes below, and elements of the output.
    more:
        Further fields of the JSON form.
    """

    workload: str
    system: str
    metric: str
    packets_total: int | None = None
    packets_critical: int | None = None
    nanoseconds: int | None = None
    macs: int | None = None
    verified: bool | None = None
    record: str | None = None
    contexts: int | None = None
    counts: tuple[str, ...] = ()
    peer_workload: str | None = None
    reason: str | None = None
    variant: str | None = None
    layer: str | None = None
    count: int = 1
    bound: int | None = None
    outputs: int | None = None
    more: dict[str, Any] = field(default_factory=dict, hash=False)

    @property
    def value(self) -> int | None:
        """The figure that the metric ranks by."""
        if is_time(self.metric):
            return self.nanoseconds
        return self.packets_total if self.metric == QEMU_PACKETS else self.packets_critical

    @property
    def macs_per_packet(self) -> float | None:
        """Multiply-accumulates a packet, of all contexts together."""
        return self.macs / self.packets_total if self.macs and self.packets_total else None

    @property
    def bound_fraction(self) -> float | None:
        """Share of the bound that is reached; 1.0 is the best."""
        if self.bound is None or not self.packets_total:
            return None
        return self.bound / self.packets_total

    def as_json(self) -> dict[str, Any]:
        """Return the row of ``bench --json``."""
        outputs = self.outputs if self.packets_total else None
        return {
            "workload": self.workload,
            "system": self.system,
            "packets_total": self.packets_total,
            "packets_critical": self.packets_critical,
            "macs": self.macs,
            "macs_per_packet": self.macs_per_packet,
            "estimated_us": None if self.nanoseconds is None else self.nanoseconds / 1e3,
            "verified": self.verified,
            "record": self.record,
            "contexts": self.contexts,
            "counts": list(self.counts),
            "peer_workload": self.peer_workload,
            "reason": self.reason or (None if is_time(self.metric) else NO_TIME),
            "variant": self.variant,
            "layer": self.layer,
            "count": self.count,
            "bound": self.bound,
            "bound_fraction": self.bound_fraction,
            "packets_per_128_outputs": (
                128 * self.packets_total / outputs if self.packets_total and outputs else None
            ),
            **self.more,
        }


def missing(member: Member, system: str, metric: str, reason: str) -> Row:
    """Return the row of what was not measured."""
    return Row(
        member.text,
        system,
        metric,
        peer_workload=member.peer_workload,
        reason=reason,
        variant=member.variant,
        layer=member.layer,
        count=member.count,
    )


def measured(
    member: Member,
    workload: Workload,
    system: str,
    measurement: Measurement,
    target: HexagonTarget,
    *,
    space: str,
    record: str | None = None,
    reason: str | None = None,
) -> Row:
    """Return the row of a verified run.

    Parameters
    ----------
    space:
        Name of the space whose program ran.
    record:
        Id of the record that was applied.
    reason:
        Why there is no record, or why one that is not the workload's own, of this toolchain.
    """
    counts = measurement.counts
    return Row(
        str(workload),
        system,
        measurement.metric,
        counts.packets_total,
        counts.packets_critical,
        None if counts.time is None else counts.time.nanoseconds,
        member.macs,
        verified=True,
        record=record,
        contexts=1 if measurement.metric == QEMU_PACKETS else target.contexts,
        counts=included(workload, space),
        peer_workload=member.peer_workload,
        reason=reason,
        variant=member.variant,
        layer=member.layer,
        count=member.count,
        bound=workload.packet_bound,
        outputs=product(workload.output.shape),
        more={
            "space": space,
            "balance": counts.packets_total / (target.contexts * counts.packets_critical),
            **({"time_us": counts.time.as_json()} if counts.time else {}),
        },
    )


def of_default(
    member: Member,
    workload: Workload,
    metric: str,
    target: HexagonTarget,
    result: DefaultResult,
    *,
    cached: bool,
) -> Row:
    """Return the row of MetaSchedule's defaults; ``cached`` if it was found out before."""
    row = missing(member, METASCHEDULE, metric, "TVM's own rules: no record, no time.")
    counts = ", ".join(f"{number} {name}" for name, number in sorted(result.outcomes.items()))
    more = {"candidates": result.as_json(), "cached": cached}
    if result.packets_total is None:
        reason = f"None of {result.sampled} candidates of TVM's own rules is right ({counts})."
        return replace(row, workload=str(workload), reason=reason, more=more)
    return replace(
        row,
        workload=str(workload),
        packets_total=result.packets_total,
        packets_critical=result.packets_critical,
        macs=member.macs,
        verified=True,
        contexts=1 if metric == QEMU_PACKETS else target.contexts,
        counts=included(workload, ""),
        bound=workload.packet_bound,
        outputs=product(workload.output.shape),
        more=more,
    )


def of_peer(peer: Peer, metric: str) -> Row:
    """Return the row of another system; it has one thread, and so no critical path."""
    workload = peer.computes()
    return Row(
        str(workload),
        peer.system,
        metric,
        packets_total=peer.packets,
        macs=peer.macs,
        verified=peer.correct,
        contexts=1,
        counts=tuple(peer.counts),
        peer_workload=peer.workload,
        reason="A figure of one thread, from peers.csv: no record, critical path or time.",
        layer=peer.workload,
    )


def included(workload: Workload, space: str) -> tuple[str, ...]:
    """Return what a kernel of ours does besides multiplying and storing the output."""
    found = ["padding"] if any(getattr(workload, "pad", None) or ()) else []
    if ".offset" in space:
        found.append("activation sums")
    if isinstance(workload, Contraction):
        found += ["bias"] if workload.bias else []
        found += ["requantize"] if workload.requant != "none" else []
        found += ["activation"] if workload.act != "none" else []
        found += ["residual"] if workload.residual else []
    return tuple(found)
