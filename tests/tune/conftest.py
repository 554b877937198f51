from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.tune.fakes import FakePool, fake_object, oracle
from vrmpy_tune.device.fake import FakeDevice
from vrmpy_tune.device.protocol import Device
from vrmpy_tune.target import TARGETS
from vrmpy_tune.tune.events import Event
from vrmpy_tune.tune.run import TuneResult, tune
from vrmpy_tune.workload import parse_workload

FakeRun = Callable[..., list[TuneResult]]


@pytest.fixture
def fake_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeRun:
    """Tune workloads (texts) with the real search, on a fake device and without a compiler.

    Takes the device, the pool and the store, and what ``tune`` takes besides.  Neither records of
    other workloads nor early stops play a part unless asked for.
    """

    def run(
        *texts: str,
        device: Device | None = None,
        pool: FakePool | None = None,
        store: str = "store.db",
        events: list[Event] | None = None,
        **options: Any,
    ) -> list[TuneResult]:
        workloads = [parse_workload(text) for text in texts]
        opened = device or FakeDevice(oracle(*workloads), slots=2)
        monkeypatch.setattr("vrmpy_tune.tune.run.open_device", lambda _: opened)
        monkeypatch.setattr("vrmpy_tune.tune.run.CodegenPool", lambda _: pool or FakePool())
        monkeypatch.setattr("vrmpy_tune.tune.evaluator.to_object", fake_object)
        heard: list[Event] = [] if events is None else events
        return tune(
            workloads,
            target=TARGETS["hexagon-v68"],
            records=str(tmp_path / store),
            events=heard.append,
            **{"effort": "quick", "transfer": False, "early_stop": False, **options},
        )

    return run
