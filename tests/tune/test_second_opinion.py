"""FAULTS.md row 13: what a sick part of a device returned is checked, and measured again."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.tune.fakes import FakePool, fake_object, oracle
from tests.tune.test_evaluator import VERIFIER, WORKLOAD, candidate
from vrmpy_tune.device.fake import FakeDevice, Fault
from vrmpy_tune.device.protocol import Ensemble, Job, Limits, RunResult
from vrmpy_tune.measurement import QEMU_PACKETS, Outcome
from vrmpy_tune.records import Record, SqlStore
from vrmpy_tune.target import TARGETS, HexagonTarget
from vrmpy_tune.tune.evaluator import Evaluator
from vrmpy_tune.tune.task import Task

pytestmark = pytest.mark.fault

V68 = TARGETS["hexagon-v68"]
Sets = tuple[tuple[np.ndarray, ...], ...]


class Pair(FakeDevice):
    """Two parts; ``left`` takes every job, unless it is to be avoided."""

    def __init__(self, left: FakeDevice, right: FakeDevice) -> None:
        super().__init__(slots=2)
        self.parts = {"left": left, "right": right}
        self.complaints: list[tuple[str, str]] = []
        self.present = ["left", "right"]

    def run(self, job: Job, input_sets: Sets, target: HexagonTarget, limits: Limits) -> RunResult:
        return self.run_elsewhere(job, input_sets, target, limits, "")

    def run_elsewhere(
        self, job: Job, input_sets: Sets, target: HexagonTarget, limits: Limits, ran_on: str
    ) -> RunResult:
        names = [name for name in self.present if name != ran_on] or self.present
        result = self.parts[names[0]].run(job, input_sets, target, limits)
        return replace(result, ran_on=names[0])

    def report_sick(self, ran_on: str, reason: str) -> None:
        self.complaints.append((ran_on, reason))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    with SqlStore(f"sqlite:///{tmp_path}/store.db") as opened:
        yield opened


@pytest.fixture
def corrected() -> list[Record]:
    return []


@pytest.fixture(autouse=True)
def _no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vrmpy_tune.tune.evaluator.to_object", fake_object)


def part(faults: dict[int, Fault] | None = None, packets: int = 1000) -> FakeDevice:
    return FakeDevice(oracle(WORKLOAD), faults=faults, packets=lambda _: packets)


def evaluator(store: SqlStore, device: FakeDevice, corrected: list[Record]) -> Evaluator:
    return Evaluator(
        device,
        FakePool(),  # type: ignore[arg-type]
        store,
        V68,
        QEMU_PACKETS,
        seed=0,
        corrected=corrected.append,
    )


def test_the_pair_of_these_tests_is_an_ensemble_and_one_device_is_not() -> None:
    assert isinstance(Pair(part(), part()), Ensemble)
    assert not isinstance(part(), Ensemble)


@pytest.mark.parametrize("fault", [Fault.WRONG_LANE, Fault.CRASH])
def test_where_another_part_is_right_the_first_is_blamed_and_the_candidate_is_not(
    store: SqlStore, corrected: list[Record], fault: Fault
) -> None:
    pair = Pair(part({0: fault}), part())
    evaluation = evaluator(store, pair, corrected).evaluate(candidate(1), VERIFIER)
    assert evaluation.outcome is Outcome.OK
    assert store.failures() == []
    ((blamed, reason),) = pair.complaints
    assert blamed == "left"
    assert "where another is right" in reason


@pytest.mark.parametrize("fault", [Fault.WRONG_LANE, Fault.CRASH])
def test_where_both_parts_agree_the_candidate_is_to_blame(
    store: SqlStore, corrected: list[Record], fault: Fault
) -> None:
    pair = Pair(part({0: fault}), part({0: fault}))
    evaluation = evaluator(store, pair, corrected).evaluate(candidate(1), VERIFIER)
    assert evaluation.outcome in (Outcome.WRONG_RESULT, Outcome.CRASH)
    assert pair.complaints == []
    assert len(store.failures()) == 1


def test_without_another_part_the_candidate_is_to_blame(
    store: SqlStore, corrected: list[Record]
) -> None:
    pair = Pair(part({0: Fault.WRONG_LANE}), part())
    pair.present = ["left"]
    evaluation = evaluator(store, pair, corrected).evaluate(candidate(1), VERIFIER)
    # The same part, asked again, says something else: that settles nothing.
    assert evaluation.outcome is Outcome.WRONG_RESULT
    assert pair.complaints == []


def test_what_a_sick_part_measured_before_is_measured_again_elsewhere(
    store: SqlStore, corrected: list[Record]
) -> None:
    # Its counts are too good by half, and with the sixth job its output is wrong as well.
    pair = Pair(part({5: Fault.WRONG_LANE}, packets=500), part(packets=1000))
    judge = evaluator(store, pair, corrected)
    for choice in range(5):
        judge.evaluate(candidate(choice), VERIFIER)
    assert {record.value for record in store.query()} == {500}
    judge.evaluate(candidate(5), VERIFIER)
    assert {record.value for record in store.query()} == {1000}
    assert store.count() == 6
    assert [record.value for record in corrected] == [1000] * 5
    assert pair.parts["right"].runs == 6


def test_a_corrected_record_is_no_longer_the_best_of_its_task(
    store: SqlStore, corrected: list[Record]
) -> None:
    judge = evaluator(store, Pair(part(packets=500), part()), corrected)
    first, second = (judge.evaluate(candidate(i), VERIFIER).record for i in range(2))
    assert first is not None
    assert second is not None
    task = Task(WORKLOAD, candidate(0).space, 2, VERIFIER)
    for record in (first, second):
        task.note(Outcome.OK, record)
    best = task.best
    assert best is not None
    worse = replace(best, counts=replace(best.counts, packets_total=900, packets_critical=900))
    task.correct(worse)
    assert task.best in (first, second)
    assert task.best is not None
    assert task.best.id != worse.id
