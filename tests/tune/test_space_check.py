from __future__ import annotations

import pytest

from tests.tune.fakes import FakePool, fake_object, oracle
from vrmpy_tune.device.fake import FakeDevice, Fault
from vrmpy_tune.measurement import Outcome
from vrmpy_tune.target import TARGETS
from vrmpy_tune.tune.space_check import WORKLOADS, check_spaces, draw
from vrmpy_tune.verification import Verifier
from vrmpy_tune.workload import OPERATORS, Conv2d, Dense, parse_workload

V68 = TARGETS["hexagon-v68"]
TINY = parse_workload("dense:m=8,n=32,k=16,lhs=u8,rhs=u8")


def test_the_check_covers_every_operator_type_and_odd_sizes() -> None:
    workloads = [parse_workload(text) for text in WORKLOADS]
    assert len(workloads) >= 12
    assert [str(workload) for workload in workloads] == list(WORKLOADS)
    assert {one.operator for one in workloads} == set(OPERATORS)
    products = [one for one in workloads if isinstance(one, Dense | Conv2d)]
    assert len({(one.operator, one.lhs, one.rhs) for one in products}) == 8
    outputs = [one.n if isinstance(one, Dense) else one.co for one in products]
    assert sum(number % 32 != 0 for number in outputs) >= len(outputs) // 2


def test_the_draw_is_reproducible_and_of_the_asked_size() -> None:
    verifier = Verifier(TINY)
    first, second = (draw(TINY, V68, verifier, 7, 3) for _ in range(2))
    assert [one.trace for one in first] == [one.trace for one in second]
    assert len(first) == 7
    assert first[0].trace != draw(TINY, V68, verifier, 7, 4)[0].trace


def test_failures_are_counted_by_class_and_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    device = FakeDevice(oracle(TINY), faults={1: Fault.CRASH, 2: Fault.WRONG_LANE})
    monkeypatch.setattr("vrmpy_tune.tune.space_check.open_device", lambda _: device)
    monkeypatch.setattr("vrmpy_tune.tune.space_check.CodegenPool", lambda _: FakePool())
    monkeypatch.setattr("vrmpy_tune.tune.evaluator.to_object", fake_object)
    told: list[str] = []
    report = check_spaces(samples=9, seed=0, target=V68, workloads=[TINY], progress=told.append)
    failed = sum(report.failures.values())
    assert (report.samples, report.verified) == (9, 9 - failed)
    assert set(report.failures) == {Outcome.CRASH, Outcome.WRONG_RESULT}
    assert len(report.messages) == failed
    assert told == [f"{TINY}: {report.verified} of 9 verified"]
    assert report.as_json()["verified_fraction"] == report.verified / 9


@pytest.mark.device
def test_real_samples_build_run_and_verify() -> None:
    report = check_spaces(samples=3, seed=1, target=V68, workloads=[TINY])
    assert report.messages == []
    assert (report.samples, report.verified) == (3, 3)
