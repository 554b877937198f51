"""Stand-ins for what the commands call, so that the command line is tested without a compiler."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vrmpy_tune.measurement import Outcome
from vrmpy_tune.tune.events import CandidateMeasured, Event, RunFinished, RunStarted

DENSE = "dense:m=128,n=768,k=768,lhs=u8,rhs=u8"
CONV = "conv2d:n=1,h=56,w=56,ci=64,co=64,kh=3,kw=3,stride=1,pad=1,lhs=u8,rhs=i8"

TUNED: dict[str, Any] = {
    "workload": DENSE,
    "target": "hexagon-v68",
    "metric": "qemu-packets/1",
    "seed": 0,
    "trials": 2,
    "measured": 2,
    "recalled": 0,
    "fallbacks": 1,
    "fixed_rule": None,
    "failures": {"build-error": 1},
    "wall_s": 1.25,
    "busy_fraction": 0.9,
    "candidates_per_minute": 96.0,
    "interrupted": False,
    "stopped_early": "after 96 of 128: no gain in 32",
    "ended": [{"space": "dense.scalar/3", "sent": 96, "reason": "no gain in 32"}],
    "transfer": {
        "seeds": 2,
        "samples": 0,
        "records": [{"space": "dense.scalar/3", "workload": "dense:m=64", "ids": ["ab", "cd"]}],
    },
    "best": {
        "record": "ab" * 32,
        "generator": "packets-fallback",
        "packets_total": 312_345,
        "packets_critical": 80_000,
        "macs": 75_497_472,
        "macs_per_packet": 241.7,
        "ceiling_fraction": 0.944,
        "estimated_us": None,
        "verified": True,
    },
}

COMPILED: dict[str, Any] = {
    "artifact": "out",
    "target": "hexagon-v68",
    "unverified": None,
    "tasks": [
        {
            "name": "kernel",
            "workload": DENSE,
            "count": 1,
            "record": "ab" * 32,
            "status": "applied",
            "lookup": "applied (other toolchain)",
            "verified": True,
            "reason": "",
            "vrmpy": 64,
            "codegen": "packets-fallback",
            "codegen_fallback": "The packet scheduler does not understand it.",
            "packets": 312_345,
            "packets_critical": 80_123,
            "untuned_packets": 3_123_450,
            "untuned_packets_critical": 790_000,
            "macs_per_packet": 241.7,
            "ceiling_fraction": 0.944,
        },
        {
            "name": "kernel_1",
            "workload": CONV,
            "count": 1,
            "record": None,
            "status": "missing",
            "lookup": "missing",
            "verified": True,
            "reason": f"No record of {CONV}.",
            "vrmpy": 0,
            "codegen": "packets",
            "codegen_fallback": None,
            "packets": 9_000_000,
            "packets_critical": 2_300_000,
            "untuned_packets": 9_000_000,
            "untuned_packets_critical": 2_300_000,
            "macs_per_packet": 12.8,
            "ceiling_fraction": 0.05,
        },
    ],
    "tensorized": {"conv2d": [0, 1], "dense": [1, 1]},
}

RAN: dict[str, Any] = {
    "packets_total": 400_000,
    "packets_critical": 100_000,
    "estimated_us": None,
    "layers": [
        {
            "name": "kernel",
            "packets_total": 400_000,
            "macs": 75_497_472,
            "share": 1.0,
            "estimated_us": None,
        },
    ],
}


@dataclass
class Report:
    """Anything whose data is a document."""

    document: dict[str, Any]

    def as_json(self) -> dict[str, Any]:
        return self.document


def started(*workloads: str, trials: int = 2, time_s: float | None = None) -> RunStarted:
    command = "vrmpy-tune tune ..."
    return RunStarted(
        workloads or (DENSE,), "hexagon-v68", "qemu-packets/1", 0, trials, command, time_s
    )


def measured(
    index: int,
    outcome: Outcome = Outcome.OK,
    *,
    value: int | None = None,
    best: int | None = None,
    workload: str = DENSE,
    cached: bool = False,
) -> CandidateMeasured:
    return CandidateMeasured(
        workload=workload,
        outcome=outcome,
        value=value,
        best=best,
        macs_per_packet=75_497_472 / best if best else None,
        ceiling_fraction=294_912 / best if best else None,
        index=index,
        trials=2,
        cached=cached,
        message="" if outcome is Outcome.OK else "It broke.",
    )


def fake_tune(*events: Event, error: BaseException | None = None) -> Callable[..., list[Report]]:
    """Return a ``tune`` that tells ``events``, prints noise, and raises or returns a result."""

    def tune(workloads: object, **options: Any) -> list[Report]:
        print("noise that a library prints")
        for event in (started(), *events):
            options["events"](event)
        if error is not None:
            raise error
        options["events"](RunFinished(DENSE, TUNED))
        return [Report(TUNED)]

    return tune
