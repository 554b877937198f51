"""Whole tuning runs: the real search on a fake device."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.tune.conftest import FakeRun
from tests.tune.fakes import FakePool, oracle
from vrmpy_tune.device.fake import FakeDevice, Fault, packets_of_object
from vrmpy_tune.device.protocol import Job
from vrmpy_tune.errors import (
    BuildError,
    DeviceError,
    NoValidCandidateError,
    StoreError,
    ToolchainError,
    UsageError,
)
from vrmpy_tune.measurement import QEMU_CRITICAL, QEMU_PACKETS, Outcome
from vrmpy_tune.records import open_store
from vrmpy_tune.tune.events import (
    CandidateMeasured,
    Event,
    RunFinished,
    RunStarted,
    TaskStarted,
)
from vrmpy_tune.workload import parse_workload

DENSE = "dense:m=48,n=64,k=64,lhs=u8,rhs=u8"
CONV = "conv2d:n=1,h=6,w=12,ci=8,co=32,kh=3,kw=3,stride=1,pad=1,lhs=u8,rhs=i8"
SPLIT = "dense:m=24,n=32,k=32,lhs=u8,rhs=i8"
"""A workload with two search spaces."""


def measured(events: list[Event]) -> list[CandidateMeasured]:
    return [event for event in events if isinstance(event, CandidateMeasured)]


def test_the_same_seed_finds_the_same_trace_whatever_the_number_of_workers(
    fake_run: FakeRun,
) -> None:
    workload = parse_workload(DENSE)
    found = set()
    for slots, latency in ((1, 0.0), (5, 0.004)):
        device = FakeDevice(oracle(workload), slots=slots, latency_s=latency)
        (result,) = fake_run(DENSE, device=device, store=f"{slots}.db", trials=48, seed=5)
        found.add((result.best.trace, result.best.value, result.measured))
    assert len(found) == 1


def test_another_seed_proposes_other_candidates(fake_run: FakeRun, tmp_path: Path) -> None:
    kept = []
    for seed in (0, 1):
        fake_run(DENSE, store=f"{seed}.db", trials=32, seed=seed)
        with open_store(tmp_path / f"{seed}.db", readonly=True) as store:
            kept.append({one.identity.trace for one in (*store.query(), *store.failures())})
    # Both start from the known-good tiles.
    assert 8 < len(kept[0] - kept[1]) < 32


def test_the_same_run_again_measures_nothing_and_finds_the_same(fake_run: FakeRun) -> None:
    faults = {3: Fault.CRASH, 5: Fault.WRONG_LANE}
    device = FakeDevice(oracle(parse_workload(DENSE)), faults=faults)
    (first,) = fake_run(DENSE, device=device, trials=24)
    again, pool = FakeDevice(oracle(parse_workload(DENSE))), FakePool()
    (second,) = fake_run(DENSE, device=again, pool=pool, trials=24)
    assert second.best == first.best
    assert second.failures == first.failures
    assert second.recalled == second.measured == first.measured
    assert (again.runs, pool.requests) == (0, 0)


def test_a_larger_budget_continues_where_the_smaller_ended(fake_run: FakeRun) -> None:
    fake_run(DENSE, trials=16)
    (longer,) = fake_run(DENSE, trials=32)
    assert longer.recalled == 16
    assert longer.measured == 32
    (whole,) = fake_run(DENSE, trials=32, store="fresh.db")
    assert whole.best.trace == longer.best.trace


def test_spaces_searched_together_find_the_same_however_fast_each_is_measured(
    fake_run: FakeRun,
) -> None:
    workload = parse_workload(SPLIT)
    found = []
    for slow in ("uint8", "int8"):  # weights of the two spaces

        def delay(job: Job, slow: str = slow) -> int:
            time.sleep(0.1 * (job.inputs[1].dtype == slow))
            return packets_of_object(job)

        device = FakeDevice(oracle(workload), packets=delay, slots=2)
        events: list[Event] = []
        fake_run(SPLIT, device=device, store=f"{slow}.db", trials=52, events=events)
        found.append({event.record for event in measured(events)})
    assert found[0] == found[1]


def test_two_workloads_in_one_run_get_a_result_each(fake_run: FakeRun) -> None:
    results = fake_run(DENSE, CONV, trials=6)
    assert [one.best.workload for one in results] == [DENSE, CONV]
    assert [one.measured for one in results] == [6, 6]


def test_a_budget_is_split_over_the_spaces_of_a_workload(fake_run: FakeRun) -> None:
    events: list[Event] = []
    (result,) = fake_run(SPLIT, trials=21, events=events)
    (task,) = [event for event in events if isinstance(event, TaskStarted)]
    assert set(task.spaces) == {"dense.offset/3", "dense.splat/3"}
    assert result.trials == 21
    assert len(measured(events)) == result.measured <= 21


def test_events_tell_the_run_in_order(fake_run: FakeRun) -> None:
    events: list[Event] = []
    (result,) = fake_run(DENSE, trials=16, events=events)
    kinds = [event.kind for event in events]
    assert kinds[:2] == ["run-started", "task-started"]
    assert kinds[-1] == "run-finished"
    assert kinds.count("candidate-measured") == result.measured
    assert [event.index for event in measured(events)] == list(range(1, result.measured + 1))
    bests = [event.best for event in measured(events) if event.best is not None]
    assert bests == sorted(bests, reverse=True)
    assert bests[-1] == result.best.value
    assert all(event.record for event in measured(events) if event.outcome is Outcome.OK)
    (finished,) = [event for event in events if isinstance(event, RunFinished)]
    assert finished.summary == result.as_json()


def test_a_time_limit_ends_the_run_early(fake_run: FakeRun) -> None:
    device = FakeDevice(oracle(parse_workload(DENSE)), latency_s=0.05)
    started = time.monotonic()
    (result,) = fake_run(DENSE, device=device, trials=10_000, time_s=1.5)
    assert 1 < time.monotonic() - started < 20
    assert 0 < result.measured < 10_000
    assert not result.interrupted


@pytest.mark.parametrize(
    ("metric", "packets", "failures"),
    [
        (QEMU_PACKETS, 150, {}),
        (QEMU_PACKETS, 151, {"cut": 16}),
        # Spread evenly over four contexts, so many packets would be a path of 150.
        (QEMU_CRITICAL, 600, {}),
        (QEMU_CRITICAL, 601, {"cut": 16}),
    ],
)
def test_hopeless_candidates_are_cut_and_counted(
    fake_run: FakeRun, metric: str, packets: int, failures: dict[str, int]
) -> None:
    workload = parse_workload(DENSE)
    costs = iter([100] * 16 + [packets] * 1000)
    device = FakeDevice(oracle(workload), packets=lambda _: next(costs))
    (result,) = fake_run(DENSE, device=device, trials=32, metric=metric)
    assert result.failures == failures
    assert result.best.value == 100


def test_another_metric_is_another_key(fake_run: FakeRun, tmp_path: Path) -> None:
    fake_run(DENSE, trials=16)
    (result,) = fake_run(DENSE, trials=16, metric=QEMU_PACKETS)
    assert result.recalled == 0
    assert result.best.metric == QEMU_PACKETS
    with open_store(tmp_path / "store.db", readonly=True) as store:
        assert len(store.query(metric=QEMU_PACKETS)) == 16


def test_the_resuming_command_repeats_every_option(fake_run: FakeRun, tmp_path: Path) -> None:
    events: list[Event] = []
    fake_run(DENSE, trials=4, seed=3, time_s=60.0, metric=QEMU_PACKETS, events=events)
    (started,) = [event for event in events if isinstance(event, RunStarted)]
    assert started.resume_command == (
        f"vrmpy-tune tune {DENSE} --target hexagon-v68 --metric {QEMU_PACKETS} --trials 4 "
        f"--time 60.0 --effort quick --seed 3 --records {tmp_path}/store.db "
        "--no-transfer --no-early-stop"
    )


def test_no_verified_candidate_is_an_error_that_counts_the_failures(fake_run: FakeRun) -> None:
    device = FakeDevice(slots=2)  # its outputs are all zero
    with pytest.raises(NoValidCandidateError, match="16 wrong-result"):
        fake_run(DENSE, device=device, trials=16)


def test_a_store_that_fails_during_the_run_stops_it_with_its_own_error(
    fake_run: FakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> bool:
        raise StoreError("The disk is full.")

    monkeypatch.setattr("vrmpy_tune.records.sql_store.SqlStore.add", refuse)
    with pytest.raises(StoreError, match="full"):
        fake_run(DENSE, trials=64)


def test_a_compiler_that_is_missing_stops_the_run_with_its_own_error(fake_run: FakeRun) -> None:
    def fail(_: int) -> None:
        raise ToolchainError("There is no compiler.")

    with pytest.raises(ToolchainError, match="no compiler"):
        fake_run(DENSE, pool=FakePool(fail), trials=64)


def test_builds_that_fail_cost_only_themselves(fake_run: FakeRun) -> None:
    def fail(number: int) -> None:
        if number % 3 == 0:
            raise BuildError("It does not fit.")

    (result,) = fake_run(DENSE, pool=FakePool(fail), trials=32)
    assert result.failures["build-error"] >= 10
    assert result.measured == 32


def test_what_makes_no_sense_is_refused_before_anything_runs(
    fake_run: FakeRun, tmp_path: Path
) -> None:
    for options in ({"trials": 0}, {"time_s": 0.0}, {"metric": "seconds"}, {"effort": "heroic"}):
        with pytest.raises(UsageError):
            fake_run(DENSE, **options)
    with pytest.raises(UsageError):
        fake_run()
    assert not (tmp_path / "store.db").exists()


def test_a_device_that_is_closed_is_a_sentence(fake_run: FakeRun) -> None:
    device = FakeDevice()
    device.close()
    with pytest.raises(DeviceError, match="closed"):
        fake_run(DENSE, device=device)


@pytest.mark.parametrize("slots", [1, 4])
def test_every_record_says_what_the_fixed_rule_takes(
    fake_run: FakeRun, tmp_path: Path, slots: int
) -> None:
    """Also those that were stored before the fixed rule was measured, and by an earlier run."""
    device = FakeDevice(oracle(parse_workload(DENSE)), slots=slots, latency_s=0.002)
    events: list[Event] = []
    (result,) = fake_run(DENSE, device=device, trials=16, events=events)
    (first,) = [event for event in measured(events) if event.number == 1]
    rule = result.fixed_rule
    assert rule is not None
    assert result.best.fixed_rule == rule
    assert result.as_json()["fixed_rule"] == rule.to_json()
    with open_store(tmp_path / "store.db") as store:
        fixed = store.get(str(first.record))
        assert fixed is not None
        counts = fixed.counts
        assert (rule.packets_total, rule.packets_critical) == (
            counts.packets_total, counts.packets_critical,
        )  # fmt: skip
        assert {one.fixed_rule for one in store.query()} == {rule}
        assert all(result.best.value <= one.value for one in store.query())
        store.add_many([replace(one, fixed_rule=None) for one in store.query()])
    (again,) = fake_run(DENSE, trials=16)
    assert (again.recalled, again.fixed_rule) == (16, rule)
    with open_store(tmp_path / "store.db") as store:
        assert {one.fixed_rule for one in store.query()} == {rule}


def test_a_search_never_ends_with_more_than_the_fixed_rule(fake_run: FakeRun) -> None:
    workload = parse_workload(DENSE)
    costs = iter([100] + [101] * 1000)
    device = FakeDevice(oracle(workload), packets=lambda _: next(costs))
    (result,) = fake_run(DENSE, device=device, trials=16)
    assert result.fixed_rule is not None
    assert result.best.value == result.fixed_rule.packets_critical == 100
