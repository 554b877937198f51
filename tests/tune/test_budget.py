"""Who may spend how many candidates, and when spending more is of no use."""

from __future__ import annotations

from dataclasses import replace

import pytest

from search_spaces import spaces_for
from tests.records.samples import record
from vrmpy_tune.measurement import Outcome
from vrmpy_tune.target import TARGETS
from vrmpy_tune.tune.budget import BEHIND, LAST_CHANCE, NEAR_BOUND, Allowance, Budget
from vrmpy_tune.tune.effort import EFFORTS
from vrmpy_tune.tune.task import Task
from vrmpy_tune.verification import Verifier
from vrmpy_tune.workload import parse_workload

WORKLOAD = parse_workload("dense:m=24,n=32,k=32,lhs=u8,rhs=i8")
"""A workload with two search spaces."""

EFFORT = replace(EFFORTS["quick"], batch=8, patience=10, gain=0.01)


def tasks(trials: int, spaces: int) -> list[Task]:
    chosen = spaces_for(WORKLOAD, TARGETS["hexagon-v68"])[:spaces]
    return [Task(WORKLOAD, space, trials, Verifier(WORKLOAD)) for space in chosen]


def measure(task: Task, *figures: int | None) -> None:
    """Pretend that these were proposed and measured."""
    task.sent += len(figures)
    task.settled += figures
    for figure in figures:
        if figure is not None:
            task.note(Outcome.OK, record(figure, total=figure))


def no_hope() -> float:
    return 0.0


def test_one_space_spends_all_trials_in_batches() -> None:
    (task,) = tasks(trials=20, spaces=1)
    budget = Budget([task], EFFORT, early_stop=False)
    counts = []
    while count := budget.allowance(task, no_hope).count:
        counts.append(count)
        measure(task, *[10**6] * count)
    assert counts == [8, 8, 4]


def test_the_first_round_leaves_half_of_the_trials_for_the_better_space() -> None:
    both = tasks(trials=20, spaces=2)
    budget = Budget(both, EFFORT, early_stop=False)
    assert [budget.allowance(task, no_hope).count for task in both] == [5, 5]


def test_a_space_that_is_clearly_behind_gets_no_more_and_the_other_all_that_is_left() -> None:
    good, bad = tasks(trials=40, spaces=2)
    budget = Budget([good, bad], EFFORT, early_stop=False)
    measure(good, *[10**6] * 8)
    measure(bad, *[int(BEHIND * 10**6)] * 8)
    ended = budget.allowance(bad, no_hope)
    assert ended.count == 0
    assert ended.reason == f"10% behind {good.space.name}"
    spent = 0
    while count := budget.allowance(good, no_hope).count:
        measure(good, *[10**6] * count)
        spent += count
    assert spent == 40 - 16


def test_a_space_that_is_close_goes_on() -> None:
    one, other = tasks(trials=40, spaces=2)
    budget = Budget([one, other], EFFORT, early_stop=False)
    measure(one, *[10**6] * 8)
    measure(other, *[int(0.99 * BEHIND * 10**6)] * 8)
    assert [budget.allowance(task, no_hope).count for task in (one, other)] == [8, 8]


def test_a_space_of_which_nothing_works_is_not_compared() -> None:
    one, other = tasks(trials=40, spaces=2)
    budget = Budget([one, other], EFFORT, early_stop=False)
    measure(one, *[None] * 8)
    measure(other, *[10**6] * 8)
    assert budget.allowance(one, no_hope).count == 8


@pytest.mark.parametrize(("promise", "last"), [(0.0, 11), (0.02, 11 + 10 * (LAST_CHANCE - 1))])
def test_patience_runs_out_without_gain_later_if_the_model_promises_one(
    promise: float, last: int
) -> None:
    (task,) = tasks(trials=100, spaces=1)
    budget = Budget([task], EFFORT, early_stop=True)
    measure(task, 10**6)
    while budget.allowance(task, lambda: promise).count:
        measure(task, int(0.995 * 10**6))  # better, but not by 1%
    assert task.sent == last
    assert budget.allowance(task, lambda: promise) == Allowance(0, f"no gain in {last - 1}")


def test_a_gain_renews_patience() -> None:
    (task,) = tasks(trials=100, spaces=1)
    budget = Budget([task], EFFORT, early_stop=True)
    measure(task, 10**6, *[10**6] * 9, 980_000)
    assert budget.allowance(task, no_hope).count == 8


def test_a_search_ends_at_the_packet_bound() -> None:
    (task,) = tasks(trials=100, spaces=1)
    budget = Budget([task], EFFORT, early_stop=True)
    bound = WORKLOAD.packet_bound
    measure(task, 2 * bound)
    assert budget.allowance(task, no_hope).count == 8
    measure(task, int(bound / NEAR_BOUND))
    assert "of the packet bound" in budget.allowance(task, no_hope).reason


def test_without_early_stop_only_the_trials_end_a_search() -> None:
    (task,) = tasks(trials=100, spaces=1)
    budget = Budget([task], EFFORT, early_stop=False)
    measure(task, *[WORKLOAD.packet_bound] * 99)
    assert budget.allowance(task, no_hope) == Allowance(1)
