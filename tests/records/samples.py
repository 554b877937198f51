"""Measurements, records and failures to test stores with."""

from __future__ import annotations

from vrmpy_tune.measurement import (
    QEMU_PACKETS,
    Counts,
    EstimatedTime,
    Measurement,
    Outcome,
    is_time,
)
from vrmpy_tune.records import Failure, Identity, ImportedTrace, Record
from vrmpy_tune.records.record import FixedRule
from vrmpy_tune.records.safe_json import Json

DENSE = "dense:m=128,n=768,k=768,lhs=u8,rhs=u8"
CONV = "conv2d:n=1,h=56,w=56,ci=64,co=64,kh=3,kw=3,stride=1,pad=1,lhs=u8,rhs=i8"
V68 = "hexagon-v68"
SPACE = "dense.scalar/1"
TOOLCHAIN = {"tvm": "0.27.0", "zig": "0.17.1", "packets": "ab12", "qemu": "7.2.22"}


def trace(choice: int) -> list[Json]:
    """A small trace in the shape of TVM's; ``choice`` decides on its one tile."""
    return [
        [
            ["GetSBlock", [], ["dense", "main"], ["b0"]],
            ["GetLoops", ["b0"], [], ["l1"]],
            ["SamplePerfectTile", ["l1"], [2, 16], ["v2", "v3"]],
        ],
        [[2, [choice + 1, 4]]],
    ]


def space_of(workload: str) -> str:
    """Return a search space of the workload's operator; the first version of its scalar form."""
    return f"{workload.partition(':')[0]}.scalar/1"


def measurement(
    workload: str = DENSE,
    *,
    target: str = V68,
    metric: str = QEMU_PACKETS,
    total: int = 1000,
    critical: int | None = None,
) -> Measurement:
    time = EstimatedTime(metric, total, (("issue", total),)) if is_time(metric) else None
    counts = Counts(total, critical or total // 4 + 1, 3 * total, 2 * total, (total, 0, 0, 0), time)
    return Measurement(
        workload=workload,
        target=target,
        metric=metric,
        counts=counts,
        static_vrmpy=64,
        artifact="ab" * 32,
        device="qemu-hexagon 7.2.22, cpu v67",
        inputs=("random", "extremes"),
        alignment_checked=True,
    )


def record(
    choice: int = 1,
    workload: str = DENSE,
    *,
    target: str = V68,
    metric: str = QEMU_PACKETS,
    total: int = 1000,
    critical: int | None = None,
    space: str | None = None,
    toolchain: dict[str, str] | None = None,
    generator: str = "packets",
    fixed_rule: FixedRule | None = None,
) -> Record:
    return Record.from_measurement(
        measurement(workload, target=target, metric=metric, total=total, critical=critical),
        space=space or space_of(workload),
        trace=trace(choice),
        seed=0,
        generator=generator,
        toolchain=TOOLCHAIN if toolchain is None else toolchain,
        structural_hash="1234",
        fixed_rule=fixed_rule,
    )


def failure(choice: int = 1, workload: str = DENSE, outcome: Outcome = Outcome.CRASH) -> Failure:
    return Failure.of(
        outcome,
        workload=workload,
        target=V68,
        metric=QEMU_PACKETS,
        space=space_of(workload),
        trace=trace(choice),
        message="signal 11",
        toolchain=TOOLCHAIN,
    )


def imported(choice: int = 1, workload: str = DENSE) -> ImportedTrace:
    identity = Identity(
        workload, V68, QEMU_PACKETS, space_of(workload), record(choice, workload).trace
    )
    return ImportedTrace(identity, 0.5, "elsewhere")
