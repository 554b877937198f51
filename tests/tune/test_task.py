"""Small parts of a run: tasks, efforts, the busy clock."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import time

import pytest

from search_spaces import find_space
from tests.records.samples import record
from vrmpy_tune.errors import UsageError
from vrmpy_tune.measurement import METRICS, QEMU_PACKETS, Outcome
from vrmpy_tune.tune.busy import BusyClock
from vrmpy_tune.tune.effort import EFFORTS, effort
from vrmpy_tune.tune.task import HOPELESS, Task
from vrmpy_tune.verification import Verifier
from vrmpy_tune.workload import parse_workload

WORKLOAD = parse_workload("dense:m=12,n=32,k=16,lhs=u8,rhs=u8")


def task(text: str = str(WORKLOAD)) -> Task:
    space = find_space("dense.scalar/3")
    assert space is not None
    workload = parse_workload(text)
    return Task(workload, space, 8, Verifier(workload))


def test_a_task_keeps_its_best_and_counts_its_failures() -> None:
    one = task()
    assert one.packet_limit() is None
    for choice, total in ((1, 300), (2, 200), (3, 250)):
        one.note(Outcome.OK, record(choice, total=total))
    for outcome in (Outcome.CRASH, Outcome.CUT, Outcome.CRASH):
        one.note(outcome, None)
    assert one.best is not None
    assert one.best.value == 200
    assert one.packet_limit() == HOPELESS * 200
    assert one.measured == 6
    assert one.failures == {Outcome.CRASH: 2, Outcome.CUT: 1}


def test_of_equal_figures_the_best_does_not_depend_on_the_order() -> None:
    records = [record(choice, total=200) for choice in range(6)]
    found = []
    for order in (records, records[::-1]):
        one = task()
        for each in order:
            one.note(Outcome.OK, each)
        found.append(one.best)
    assert found[0] == found[1]


@pytest.mark.parametrize("metric", METRICS)
def test_a_cut_candidate_is_hopeless_however_evenly_its_work_is_spread(metric: str) -> None:
    one = task()
    best = record(1, metric=metric)
    one.note(Outcome.OK, best)
    limit = one.packet_limit()
    assert limit is not None
    contexts = 1 if metric == QEMU_PACKETS else len(best.counts.context_packets)
    counts = best.counts
    packets = counts.packets_total if metric == QEMU_PACKETS else counts.packets_critical
    assert limit / contexts == pytest.approx(HOPELESS * packets, rel=0.01)


def test_the_random_state_is_the_tasks_own() -> None:
    one, other = task(), task("dense:m=13,n=32,k=16,lhs=u8,rhs=u8")
    assert one.random_state(0) == task().random_state(0)
    assert len({one.random_state(0), one.random_state(1), other.random_state(0)}) == 3
    assert all(0 < one.random_state(seed) < 2**31 for seed in range(200))


def test_more_effort_is_more_of_everything() -> None:
    quick, normal, most = (dataclasses.astuple(effort(name)) for name in EFFORTS)
    assert all(a <= b <= c for a, b, c in zip(quick, normal, most, strict=True))
    with pytest.raises(UsageError, match="quick, normal, max"):
        effort("heroic")


def test_the_busy_clock_counts_children_and_no_idle_time() -> None:
    with BusyClock() as idle:
        time.sleep(0.3)
    assert idle.busy_fraction < 0.5
    cores = len(os.sched_getaffinity(0))
    spin = "import time\nwhile time.process_time() < 0.6: pass"
    with BusyClock() as busy:
        subprocess.run([sys.executable, "-c", spin], check=True)
    assert busy.busy_fraction * busy.wall_s * cores >= 0.55
    assert 0.3 <= idle.wall_s < busy.wall_s
