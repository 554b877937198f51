"""FAULTS.md on the search: rows 6 (wrong candidate), 8 (compiler), 14 (cost model).

Each test prints the figure that its row asks for.
"""

from __future__ import annotations

import itertools
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.tune.conftest import FakeRun, fake_run
from tests.tune.fakes import oracle
from vrmpy_tune.device.fake import Compute, FakeDevice
from vrmpy_tune.device.protocol import Job
from vrmpy_tune.measurement import Outcome
from vrmpy_tune.records import open_store
from vrmpy_tune.target import TARGETS
from vrmpy_tune.toolchain import pool
from vrmpy_tune.tune.events import CandidateMeasured, Event, Warned
from vrmpy_tune.tune.run import tune
from vrmpy_tune.workload import parse_workload

__all__ = ["fake_run"]

pytestmark = pytest.mark.fault

DENSE = "dense:m=96,n=64,k=128,lhs=u8,rhs=u8"
TINY = "dense:m=8,n=32,k=16,lhs=u8,rhs=u8"


def _measured(events: list[Event]) -> list[CandidateMeasured]:
    return [event for event in events if isinstance(event, CandidateMeasured)]


# Row 6


def _one_lane(output: np.ndarray) -> None:
    output[0, 17] += 1


def _tail_element(output: np.ndarray) -> None:
    output[-1, -1] ^= 1 << 30


def _saturated(output: np.ndarray) -> None:
    np.minimum(output, np.int32(255 * 255 * 128 - 1), out=output)


def _spoiling(right: Compute, spoil: Callable[[np.ndarray], None]) -> Compute:
    """Compute every second run wrongly, and only on one of its input sets."""
    calls = 0

    def compute(job: Job, inputs: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
        nonlocal calls
        outputs = right(job, inputs)
        calls += 1
        if calls % 6 == 0:  # the last of three input sets, every second run
            spoil(outputs[0])
        return outputs

    return compute


@pytest.mark.parametrize("spoil", [_one_lane, _tail_element, _saturated])
def test_row_6_a_wrong_candidate_is_never_best_never_stored_and_never_applied(
    fake_run: FakeRun, tmp_path: Path, spoil: Callable[[np.ndarray], None]
) -> None:
    workload = parse_workload(DENSE)
    costs = iter([100, 10] * 1000)  # the wrong ones would win
    device = FakeDevice(_spoiling(oracle(workload), spoil), packets=lambda _: next(costs), slots=1)
    events: list[Event] = []
    (result,) = fake_run(DENSE, device=device, trials=32, events=events)
    wrong = [one for one in _measured(events) if one.outcome is Outcome.WRONG_RESULT]
    assert len(wrong) == device.runs // 2 > 0
    assert all(one.record is None and one.value is None for one in wrong)
    assert result.best.value == 100
    with open_store(tmp_path / "store.db", readonly=True) as store:
        assert {record.value for record in store.query()} == {100}
        assert len(store.failures()) == len(wrong)
    print(f"\nrow 6, {spoil.__name__}: {len(wrong)} wrong candidates, 0 stored, 0 best")


# Row 8

SABOTAGE = {
    "aborts": ("os.abort()", {Outcome.BUILD_ERROR}),
    "spins": ("spin()", {Outcome.BUILD_TIMEOUT}),
    "eats memory": ("bytearray(64 << 30)", {Outcome.BUILD_ERROR}),
    "hangs": ("time.sleep(600)", {Outcome.BUILD_TIMEOUT}),
}
_WORKER = """
import os, time
import vrmpy_tune.toolchain.lower as lower
calls = 0
def spin():
    while True:
        pass
def misbehaving(right):
    def generate(module, target):
        global calls
        calls += 1
        if calls == 2:
            {way}
        return right(module, target)
    return generate
lower.llvm_ir = misbehaving(lower.llvm_ir)
lower.assembly = misbehaving(lower.assembly)
from vrmpy_tune.toolchain.worker import serve
serve()
"""
"""A worker that misbehaves at its second kernel."""


@pytest.mark.device
@pytest.mark.parametrize("way", SABOTAGE)
def test_row_8_a_code_generator_that_misbehaves_costs_its_candidates_only(
    way: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script, outcomes = SABOTAGE[way]
    program = _WORKER.format(way=script)

    def start(command: list[str], **options: Any) -> Any:
        assert command[-1] == "vrmpy_tune.toolchain.worker"
        return subprocess.Popen([sys.executable, "-c", program], **options)

    names = {name: getattr(subprocess, name) for name in ("PIPE", "TimeoutExpired")}
    monkeypatch.setattr(pool, "subprocess", SimpleNamespace(Popen=start, **names))
    small = partial(pool.CodegenPool, 1, cpu_s=2, wall_s=3)
    monkeypatch.setattr("vrmpy_tune.tune.run.CodegenPool", lambda _: small())
    events: list[Event] = []
    started = time.monotonic()
    (result,) = tune(
        [parse_workload(TINY)],
        target=TARGETS["hexagon-v68"],
        trials=6,
        effort="quick",
        records=str(tmp_path / "store.db"),
        events=events.append,
    )
    seconds = time.monotonic() - started
    failed = [one for one in _measured(events) if one.outcome is not Outcome.OK]
    # The fixed rule comes first, so that others may be cut as hopeless.
    assert {one.outcome for one in failed} <= {*outcomes, Outcome.CUT}, failed
    assert result.measured == 6 > len(failed)
    assert all(one.message for one in failed)
    with open_store(tmp_path / "store.db", readonly=True) as store:
        remembered = {one.outcome for one in store.failures()}
    assert Outcome.BUILD_TIMEOUT not in remembered
    # What may be the machine's fault, too little wall-clock time, is tried once more.
    assert failed or way == "hangs"
    assert seconds < 60
    print(f"\nrow 8, code generation {way}: {len(failed)} of 6 failed, run over in {seconds:.0f} s")


# Row 14


class _Broken:
    """Stands in for MetaSchedule's XGBoost model."""

    def __init__(self, predict: Callable[[int], Any]) -> None:
        self._predict = predict

    def update(self, *_: Any) -> None:
        pass

    def predict(self, _: Any, candidates: list[Any]) -> Any:
        return self._predict(len(candidates))


def _raise(_: int) -> None:
    raise RuntimeError("boom")


MODELS: dict[str, Callable[[int], Any]] = {
    "NaN": lambda count: np.full(count, np.nan),
    "exception": _raise,
    "too few": lambda count: np.zeros(count - 1),
}


@pytest.mark.parametrize("way", MODELS)
def test_row_14_the_search_goes_on_at_random_when_the_cost_model_fails(
    fake_run: FakeRun, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    broken = _Broken(MODELS[way])
    monkeypatch.setattr("vrmpy_tune.tune.cost_model.learned_model", lambda *_: broken)
    found = set()
    for store in ("a.db", "b.db"):
        events: list[Event] = []
        device = FakeDevice(oracle(parse_workload(DENSE)), slots=2)
        (result,) = fake_run(DENSE, device=device, store=store, trials=40, events=events)
        warnings = [event.message for event in events if isinstance(event, Warned)]
        assert len(warnings) == 1
        assert "at random" in warnings[0]
        assert result.measured == 40
        found.add((result.best.trace, result.best.value))
    assert len(found) == 1, "chance is seeded too"
    print(f"\nrow 14, {way}: 40 of 40 candidates measured, 1 warning, same best twice")


def test_row_14_a_time_of_zero_is_no_measurement_and_blames_the_device(
    fake_run: FakeRun, tmp_path: Path
) -> None:
    events: list[Event] = []
    costs = itertools.cycle([100, 100, 0, 0])
    device = FakeDevice(oracle(parse_workload(DENSE)), packets=lambda _: next(costs))
    (result,) = fake_run(DENSE, device=device, trials=48, events=events)
    lost = [one for one in _measured(events) if one.outcome is Outcome.DEVICE_LOST]
    assert result.measured == 48
    assert result.best.value == 100
    assert lost
    assert all("no packets" in one.message for one in lost)
    assert not [event for event in events if isinstance(event, Warned)]
    with open_store(tmp_path / "store.db", readonly=True) as store:
        assert store.failures() == []
    print(f"\nrow 14, zero time: {len(lost)} of 48 not believed, none remembered, the run went on")
