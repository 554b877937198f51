"""What running a candidate yields: an outcome, counts, and, once verified, a measurement."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Outcome(StrEnum):
    """How building or running one candidate ended."""

    OK = "ok"
    BUILD_ERROR = "build-error"
    BUILD_TIMEOUT = "build-timeout"
    CRASH = "crash"
    TIMEOUT = "timeout"
    WRONG_RESULT = "wrong-result"
    DEVICE_LOST = "device-lost"
    CUT = "cut"
    """Stopped on purpose: it had already used more packets than could still win."""

    @property
    def is_remembered(self) -> bool:
        """Whether the same candidate would end the same way again, so that it need not be rerun.

        Wall-clock time-outs and lost devices say nothing about the candidate.  A cut says
        something only about the best candidate of that moment.
        """
        return self in _REMEMBERED


_REMEMBERED: Final = frozenset(
    {Outcome.BUILD_ERROR, Outcome.CRASH, Outcome.WRONG_RESULT, Outcome.CUT}
)

QEMU_PACKETS: Final = "qemu-packets/1"
"""Metric: packets executed by all tasks together, as if on one context."""

QEMU_CRITICAL: Final = "qemu-critical/1"
"""Metric: packets on the busiest context when tasks are spread over all contexts."""

HVX_TIME_8GEN1: Final = "hvx-time/sd8gen1/1"
HVX_TIME_888: Final = "hvx-time/sd888/1"
"""Metrics: estimated nanoseconds on all contexts of a device (:mod:`vrmpy_tune.device.timing`)."""

PACKET_METRICS: Final = (QEMU_CRITICAL, QEMU_PACKETS)
TIME_METRICS: Final = (HVX_TIME_8GEN1, HVX_TIME_888)

METRICS: Final = (*PACKET_METRICS, *TIME_METRICS)
"""Metrics in the order in which compilation looks records up.

Kernels run on all contexts, so that what the busiest of them executes comes first.
"""

DEFAULT_METRIC: Final = METRICS[0]
"""What a search ranks by, and a benchmark measures, unless told otherwise."""


def is_time(metric: str) -> bool:
    """Whether a metric is an estimated time."""
    return metric in TIME_METRICS


def figure_text(value: int, metric: str) -> str:
    """Return a figure of a metric with its unit, for example ``"1,234 packets"``."""
    if is_time(metric):
        return f"{value / 1e3:,.3f} us"
    where = " on the critical path" if metric == QEMU_CRITICAL else ""
    return f"{value:,} packets{where}"


@dataclass(frozen=True)
class EstimatedTime:
    """The time of one kernel call, as a device profile makes it out to be.

    Attributes
    ----------
    metric:
        One of :data:`TIME_METRICS`: which profile, in which version.
    nanoseconds:
        The estimate, at least 1.
    parts:
        Where it goes, in nanoseconds, by the names of
        :data:`vrmpy_tune.device.timing.estimate.PARTS`.
    layers:
        The times of a network's layers, without what is between them.
    """

    metric: str
    nanoseconds: int
    parts: tuple[tuple[str, int], ...]
    layers: tuple[EstimatedTime, ...] = ()

    def as_json(self) -> dict[str, float]:
        """Return the parts in microseconds."""
        return {name: nanoseconds / 1e3 for name, nanoseconds in self.parts}

    @property
    def bottleneck(self) -> str:
        """The part that takes longest."""
        return max(self.parts, key=lambda part: part[1])[0]


@dataclass(frozen=True)
class Counts:
    """What the device counted during one kernel call; deterministic on the simulator.

    Attributes
    ----------
    packets_total:
        Packets executed by the calling thread and by every task.
    packets_critical:
        Packets on the longest path when each parallel region's tasks are placed on the target's
        contexts, greedily in task order, plus all that is not parallel.
    instructions, hvx_instructions:
        Instructions, and HVX instructions among them.
    context_packets:
        Packets placed on each context; the serial part is on context 0.
    time:
        The estimated time, where one was asked for.
    """

    packets_total: int
    packets_critical: int
    instructions: int
    hvx_instructions: int
    context_packets: tuple[int, ...]
    time: EstimatedTime | None = None

    @property
    def balance(self) -> float:
        """Mean over maximum of the packets on each context: 1.0 is perfectly balanced."""
        busiest = max(self.context_packets)
        return sum(self.context_packets) / (len(self.context_packets) * busiest) if busiest else 1.0

    def value(self, metric: str) -> int:
        """Return the figure that ``metric`` ranks by: packets, or nanoseconds.

        Raises
        ------
        ValueError
            If it is a time that was not estimated.
        """
        if is_time(metric):
            if self.time is None or self.time.metric != metric:
                raise ValueError(f"{metric} was not estimated in this run")
            return self.time.nanoseconds
        return self.packets_total if metric == QEMU_PACKETS else self.packets_critical


@dataclass(frozen=True)
class Measurement:
    """A verified figure: the only thing that a record can be made from.

    Built by :mod:`vrmpy_tune.verification` alone, after the output matched the reference bit for
    bit on every input set.

    Attributes
    ----------
    workload:
        Canonical workload text.
    target, metric:
        Names, as in records.
    counts:
        What the device counted.
    static_vrmpy:
        Multiply instructions of the vrmpy family in the kernel's assembly.
    artifact:
        SHA-256 of the kernel's object code, in hexadecimal.
    device:
        The device's own description, for example ``"qemu-hexagon 7.2.22, cpu v67"``.
    inputs:
        Names of the input sets that were verified.
    alignment_checked:
        Whether the addresses of scalar accesses were checked too.
    """

    workload: str
    target: str
    metric: str
    counts: Counts
    static_vrmpy: int
    artifact: str
    device: str
    inputs: tuple[str, ...]
    alignment_checked: bool

    @property
    def value(self) -> int:
        """The figure that the metric ranks by; lower is better."""
        return self.counts.value(self.metric)
