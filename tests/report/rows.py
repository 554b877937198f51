"""The document of a benchmark with a measured, an unmeasured and a peer's row."""

from __future__ import annotations

from typing import Any

from vrmpy_tune.bench.compare import compared
from vrmpy_tune.bench.row import FIXED, TUNED, Row, missing, of_peer
from vrmpy_tune.bench.run import BenchReport
from vrmpy_tune.suites import suite_called
from vrmpy_tune.suites.peer_rows import peer_rows
from vrmpy_tune.target import TARGETS

METRIC = "qemu-packets/1"
V68 = TARGETS["hexagon-v68"]


def document() -> dict[str, Any]:
    first, second, *_ = suite_called("peers").members
    tuned = Row(
        first.text, TUNED, METRIC, 298_618, 80_000, macs=first.macs, verified=True,
        record="ab" * 32, contexts=1, counts=("bias", "requantize"), bound=294_912,
        peer_workload=first.peer_workload, variant=first.variant, layer=first.layer, outputs=98304,
    )  # fmt: skip
    rows = [
        tuned,
        missing(first, FIXED, METRIC, "It was not wanted."),
        missing(second, TUNED, METRIC, f"No record of {second.text}."),
        *(of_peer(peer, METRIC) for peer in peer_rows()[:3]),
    ]
    return BenchReport("peers", METRIC, V68.name, tuple(compared(rows, V68))).as_json()
