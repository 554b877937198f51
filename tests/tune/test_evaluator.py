"""One candidate from build to store: what runs, what is recalled, what is remembered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from search_spaces import find_space
from tests.tune.fakes import FakePool, fake_object, oracle
from vrmpy_tune.device.fake import FakeDevice, Fault
from vrmpy_tune.errors import BuildError, BuildTimeoutError, StoreError
from vrmpy_tune.measurement import QEMU_PACKETS, Outcome
from vrmpy_tune.records import SqlStore
from vrmpy_tune.target import TARGETS
from vrmpy_tune.toolchain.codegen import CODE_GENERATORS, FALLBACK, Generated, provenance
from vrmpy_tune.tune.candidate import Candidate
from vrmpy_tune.tune.evaluator import Evaluator
from vrmpy_tune.verification import Verifier
from vrmpy_tune.workload import parse_workload

V68 = TARGETS["hexagon-v68"]
WORKLOAD = parse_workload("dense:m=2,n=32,k=4,lhs=u8,rhs=u8")
VERIFIER = Verifier(WORKLOAD)


def candidate(choice: int, code: str = "") -> Candidate:
    """Return a candidate; equal ``code`` compiles to equal objects."""
    space = find_space("dense.scalar/3")
    assert space is not None
    return Candidate(
        WORKLOAD, space, code or f"code {choice}", f"[[],[[0,[{choice}]]]]", CODE_GENERATORS[0], "0"
    )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqlStore]:
    with SqlStore(f"sqlite:///{tmp_path}/store.db") as opened:
        yield opened


@pytest.fixture(autouse=True)
def _no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vrmpy_tune.tune.evaluator.to_object", fake_object)


def evaluator(
    store: SqlStore, device: FakeDevice | None = None, pool: FakePool | None = None
) -> Evaluator:
    return Evaluator(
        device or FakeDevice(oracle(WORKLOAD)),
        pool or FakePool(),  # type: ignore[arg-type]
        store,
        V68,
        QEMU_PACKETS,
        seed=7,
    )


def test_a_verified_candidate_is_stored_before_it_is_returned(store: SqlStore) -> None:
    evaluation = evaluator(store).evaluate(candidate(1), VERIFIER)
    assert evaluation.outcome is Outcome.OK
    assert not evaluation.cached
    assert evaluation.record is not None
    assert store.get(evaluation.record.id) == evaluation.record
    assert evaluation.record.seed == 7
    assert evaluation.record.workload == str(WORKLOAD)


def test_equal_objects_run_once_and_each_trace_gets_its_record(store: SqlStore) -> None:
    device = FakeDevice(oracle(WORKLOAD))
    judge = evaluator(store, device)
    ended = [judge.evaluate(candidate(choice, "same"), VERIFIER) for choice in range(5)]
    assert device.runs == 1
    assert len({one.record.value for one in ended if one.record}) == 1
    assert store.count() == 5


def test_equal_objects_of_two_workloads_are_two_measurements(store: SqlStore) -> None:
    other = parse_workload("dense:m=2,n=32,k=4,lhs=i8,rhs=u8")
    device = FakeDevice(oracle(WORKLOAD, other))
    judge = evaluator(store, device)
    judge.evaluate(candidate(1, "same"), VERIFIER)
    foreign = replace(candidate(1, "same"), workload=other)
    evaluation = judge.evaluate(foreign, Verifier(other))
    assert evaluation.record is not None
    assert evaluation.record.workload == str(other)
    assert device.runs == 2
    assert store.workloads() == sorted((str(WORKLOAD), str(other)))


def test_what_the_store_knows_is_neither_built_nor_run(store: SqlStore) -> None:
    first = evaluator(store).evaluate(candidate(1), VERIFIER)
    device, pool = FakeDevice(oracle(WORKLOAD)), FakePool()
    second = evaluator(store, device, pool).evaluate(candidate(1), VERIFIER)
    assert second == replace(first, cached=True)
    assert (device.runs, pool.requests) == (0, 0)


def test_what_another_toolchain_measured_is_measured_again(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluator(store).evaluate(candidate(1), VERIFIER)
    monkeypatch.setattr("vrmpy_tune.tune.evaluator.provenance", lambda _: {"tvm": "0.99"})
    device = FakeDevice(oracle(WORKLOAD))
    evaluation = evaluator(store, device).evaluate(candidate(1), VERIFIER)
    assert not evaluation.cached
    assert device.runs == 1
    assert store.count() == 1


@pytest.mark.parametrize("part", ["packets", "lowering", "qemu"])
def test_every_part_of_the_toolchain_makes_it_another(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    def failing(_: int) -> None:
        raise BuildError("The compiler says no.")

    here = provenance({"qemu": "7.2"})
    monkeypatch.setattr("vrmpy_tune.tune.evaluator.provenance", lambda _: here)
    evaluator(store).evaluate(candidate(1), VERIFIER)
    evaluator(store, pool=FakePool(failing)).evaluate(candidate(2), VERIFIER)
    again = [evaluator(store).recall(candidate(choice)) for choice in (1, 2)]
    assert [one.outcome for one in again if one] == [Outcome.OK, Outcome.BUILD_ERROR]
    changed = here | {part: "another"}
    monkeypatch.setattr("vrmpy_tune.tune.evaluator.provenance", lambda _: changed)
    assert [evaluator(store).recall(candidate(choice)) for choice in (1, 2)] == [None, None]


def test_the_simulator_that_measured_is_part_of_the_toolchain(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = FakeDevice(oracle(WORKLOAD))
    told = replace(device.info(), versions={"qemu": "7.2.22", "tvm": "of the device's machine"})
    monkeypatch.setattr(device, "info", lambda: told)
    evaluation = evaluator(store, device).evaluate(candidate(1), VERIFIER)
    assert evaluation.record is not None
    assert evaluation.record.toolchain == provenance() | {"qemu": "7.2.22"}


def test_the_generator_that_was_used_is_told_and_stored(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def falling_back(*arguments: Any) -> Generated:
        made = fake_object(*arguments)
        return replace(made, generator=FALLBACK.name, fallback="It knows no such thing.")

    plain = evaluator(store).evaluate(candidate(1, "same"), VERIFIER)
    monkeypatch.setattr("vrmpy_tune.tune.evaluator.to_object", falling_back)
    judge = evaluator(store, FakeDevice(oracle(WORKLOAD), faults={1: Fault.CRASH, 2: Fault.CRASH}))
    fallen = judge.evaluate(candidate(2, "same"), VERIFIER)
    crashed = judge.evaluate(candidate(3), VERIFIER)
    assert plain.record is not None
    assert fallen.record is not None
    assert (plain.generator, plain.record.generator) == (CODE_GENERATORS[0].name,) * 2
    assert (fallen.generator, fallen.record.generator) == (FALLBACK.name,) * 2
    assert plain.fallback == ""
    assert fallen.fallback == "It knows no such thing."
    assert (crashed.outcome, crashed.generator) == (Outcome.CRASH, FALLBACK.name)
    recalled = judge.recall(candidate(2, "same"))
    assert recalled is not None
    assert recalled.generator == FALLBACK.name


@pytest.mark.parametrize(
    ("fault", "outcome"),
    [(Fault.CRASH, Outcome.CRASH), (Fault.WRONG_LANE, Outcome.WRONG_RESULT)],
)
def test_a_failure_of_the_candidate_is_remembered(
    store: SqlStore, fault: Fault, outcome: Outcome
) -> None:
    device = FakeDevice(oracle(WORKLOAD), faults={0: fault})
    first = evaluator(store, device).evaluate(candidate(1), VERIFIER)
    second = evaluator(store, device).evaluate(candidate(1), VERIFIER)
    assert (first.outcome, second.outcome) == (outcome, outcome)
    assert second.cached
    assert second.message == first.message != ""
    assert device.runs == 1
    assert store.count() == 0
    assert [one.outcome for one in store.failures()] == [outcome]


def test_a_build_error_is_remembered(store: SqlStore) -> None:
    def fail(_: int) -> None:
        raise BuildError("The compiler says no.")

    pool = FakePool(fail)
    for cached in (False, True):
        evaluation = evaluator(store, pool=pool).evaluate(candidate(1), VERIFIER)
        assert evaluation.outcome is Outcome.BUILD_ERROR
        assert evaluation.cached is cached
    assert pool.requests == 1


def test_a_vanished_device_is_tried_once_more_and_blames_nobody(store: SqlStore) -> None:
    once = FakeDevice(oracle(WORKLOAD), faults={0: Fault.LOST})
    assert evaluator(store, once).evaluate(candidate(1), VERIFIER).outcome is Outcome.OK
    assert once.runs == 2
    always = FakeDevice(oracle(WORKLOAD), faults=dict.fromkeys(range(9), Fault.LOST))
    lost = evaluator(store, always).evaluate(candidate(2), VERIFIER)
    assert lost.outcome is Outcome.DEVICE_LOST
    assert always.runs == 2
    assert store.failures() == []


def test_a_wall_clock_timeout_of_the_compiler_is_tried_once_more_and_never_remembered(
    store: SqlStore,
) -> None:
    def fail(number: int) -> None:
        if number in (0, 2, 3):
            raise BuildTimeoutError("Too slow.", retryable=True)

    pool = FakePool(fail)
    judge = evaluator(store, pool=pool)
    assert judge.evaluate(candidate(1), VERIFIER).outcome is Outcome.OK
    assert judge.evaluate(candidate(2), VERIFIER).outcome is Outcome.BUILD_TIMEOUT
    assert pool.requests == 4
    assert store.failures() == []
    assert judge.evaluate(candidate(2), VERIFIER).outcome is Outcome.OK


def test_a_candidate_past_its_packet_limit_is_cut(store: SqlStore) -> None:
    device = FakeDevice(oracle(WORKLOAD), packets=lambda _: 1001)
    judge = evaluator(store, device)
    assert judge.evaluate(candidate(1), VERIFIER, 1000).outcome is Outcome.CUT
    assert judge.evaluate(candidate(2), VERIFIER, 1001).outcome is Outcome.OK
    assert judge.evaluate(candidate(1), VERIFIER, 1000).cached


def test_a_store_that_cannot_be_written_is_no_fault_of_the_candidate(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: object) -> bool:
        raise StoreError("The disk is full.")

    monkeypatch.setattr(store, "add", refuse)
    with pytest.raises(StoreError, match="full"):
        evaluator(store).evaluate(candidate(1), VERIFIER)


def test_no_file_is_left_behind(
    store: SqlStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    faults = {1: Fault.CRASH, 2: Fault.WRONG_LANE}
    judge = evaluator(store, FakeDevice(oracle(WORKLOAD), faults=faults))
    for choice in range(4):
        judge.evaluate(candidate(choice), VERIFIER)
    assert list(scratch.iterdir()) == []


def test_the_oracle_of_these_tests_is_right() -> None:
    inputs = VERIFIER.input_sets[0]
    wanted = inputs.operands[0].astype(np.int32) @ inputs.operands[1].astype(np.int32).T
    np.testing.assert_array_equal(inputs.expected, wanted)
