"""The program of a tuner process with the real search and the real store, but no compiler."""

from __future__ import annotations

from typing import Final
from unittest.mock import patch

from tests.faults.tuner_process import WORKLOAD
from tests.tune.fakes import FakePool, fake_object, oracle
from vrmpy_tune.cli import main
from vrmpy_tune.device.fake import FakeDevice
from vrmpy_tune.workload import parse_workload

PROGRAM: Final = f"from {__name__} import tune; tune()"

_LATENCY_S: Final = 0.3
"""Of a candidate, so that a run is still measuring when a test ends it."""


def tune() -> None:
    """Run the command line; candidates are neither built nor run, all else is as it is."""
    device = FakeDevice(oracle(parse_workload(WORKLOAD)), latency_s=_LATENCY_S, slots=2)
    with (
        patch("vrmpy_tune.tune.run.open_device", lambda _: device),
        patch("vrmpy_tune.tune.run.CodegenPool", lambda _: FakePool()),
        patch("vrmpy_tune.tune.evaluator.to_object", fake_object),
    ):
        main()
