"""What is proposed: known-good tiles first, nothing twice, chance for comparison."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from search_spaces import find_space
from tests.tune.conftest import FakeRun
from vrmpy_tune.compiler.choice import fixed_schedule
from vrmpy_tune.records import canonical_trace, open_store
from vrmpy_tune.replay import trace_json
from vrmpy_tune.target import TARGETS
from vrmpy_tune.tune.draws import plain_trace
from vrmpy_tune.tune.events import CandidateMeasured, Event
from vrmpy_tune.tune.population import TOLERANCE
from vrmpy_tune.workload import parse_workload

DENSE = "dense:m=48,n=64,k=64,lhs=u8,rhs=u8"


def estimates(store: Any) -> np.ndarray:
    """Return the packet estimates of all records of a store."""
    workload, space = parse_workload(DENSE), find_space("dense.scalar/3")
    assert space is not None
    with open_store(store, readonly=True) as opened:
        traces = [plain_trace(one.identity.trace) for one in (*opened.query(), *opened.failures())]
    return np.array([space.estimate(workload, trace) for trace in traces])  # type: ignore[arg-type]


def test_the_first_batch_is_what_the_estimate_likes_best(fake_run: FakeRun, tmp_path: Any) -> None:
    fake_run(DENSE, trials=16, store="good.db")
    fake_run(DENSE, trials=16, store="chance.db", search="random")
    good, chance = estimates(tmp_path / "good.db"), estimates(tmp_path / "chance.db")
    assert len(good) == len(chance) == 16
    assert np.median(good) < 0.95 * np.median(chance)
    assert good.max() <= TOLERANCE * good.min() < chance.max()


@pytest.mark.parametrize("search", ["evolutionary", "random"])
def test_no_candidate_is_proposed_twice(fake_run: FakeRun, tmp_path: Any, search: str) -> None:
    (result,) = fake_run(DENSE, trials=40, search=search)
    assert (result.measured, result.recalled) == (40, 0)
    with open_store(tmp_path / "store.db", readonly=True) as store:
        assert store.count() + len(store.failures()) == 40


def test_a_space_that_is_exhausted_ends_the_search(fake_run: FakeRun) -> None:
    tiny = "dense:m=1,n=32,k=4,lhs=u8,rhs=u8"
    for search in ("evolutionary", "random"):
        (result,) = fake_run(tiny, trials=500, search=search, store=f"{search}.db")
        assert 3 <= result.measured < 20


@pytest.mark.parametrize("trials", [1, 6])
@pytest.mark.parametrize(
    "text",
    [DENSE, "dense:m=24,n=32,k=32,lhs=u8,rhs=i8", "max_pool2d:n=1,h=8,w=8,c=32,kh=2,kw=2,stride=2"],
    ids=["dense", "two spaces", "nest"],
)
def test_the_first_candidate_is_what_the_workload_is_compiled_with_untuned(
    fake_run: FakeRun, tmp_path: Any, text: str, trials: int
) -> None:
    workload = parse_workload(text)
    space, schedule = fixed_schedule(workload, TARGETS["hexagon-v68"])
    events: list[Event] = []
    (result,) = fake_run(text, trials=trials, events=events)
    assert result.measured <= trials
    (first,) = [one for one in events if isinstance(one, CandidateMeasured) and one.number == 1]
    with open_store(tmp_path / "store.db", readonly=True) as store:
        record = store.get(str(first.record))
    assert record is not None
    assert (record.space, record.trace) == (
        space.name,
        canonical_trace(trace_json(schedule.trace)),
    )


def test_a_search_by_chance_for_comparison_owes_nothing_to_the_fixed_rule(
    fake_run: FakeRun, tmp_path: Any
) -> None:
    _, schedule = fixed_schedule(parse_workload(DENSE), TARGETS["hexagon-v68"])
    fake_run(DENSE, trials=4, search="random")
    with open_store(tmp_path / "store.db", readonly=True) as store:
        traces = {one.trace for one in store.query()}
    assert canonical_trace(trace_json(schedule.trace)) not in traces
