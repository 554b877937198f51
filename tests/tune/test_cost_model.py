"""The cost model: a prior before it, chance behind it, one warning between."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tvm.s_tir import meta_schedule as ms

from search_spaces import find_space
from search_spaces.decisions import Decisions
from search_spaces.geometry import geometry
from vrmpy_tune.records import canonical_trace
from vrmpy_tune.replay import trace_json
from vrmpy_tune.target import TARGETS
from vrmpy_tune.tune.cost_model import WARMUP, DecisionFeatures, GuardedModel, TaskTable
from vrmpy_tune.tune.draws import plain_trace
from vrmpy_tune.workload import parse_workload

WORKLOAD = parse_workload("dense:m=96,n=64,k=128,lhs=u8,rhs=u8")
CONTEXT = SimpleNamespace(task_name="task")


class Scripted:
    """A learned model that predicts what it is told to, or raises it."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.updates = 0

    def update(self, _context: Any, _candidates: Any, results: Any) -> None:
        self.updates += 1
        self.learned = results

    def predict(self, *_: Any) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture(scope="module")
def candidates() -> list[Any]:
    from tvm.s_tir import Schedule

    space = find_space("dense.scalar/3")
    assert space is not None
    generate = space.generator(WORKLOAD, TARGETS["hexagon-v68"])
    schedules = generate(Schedule(space.module(WORKLOAD), seed=1))
    schedules += generate(Schedule(space.module(WORKLOAD), seed=2))
    return [SimpleNamespace(sch=schedule) for schedule in schedules]


def model(answer: Any, warnings: list[str]) -> Any:
    """Return the Python half of a model, which takes any candidates."""
    space = find_space("dense.scalar/3")
    assert space is not None
    table = TaskTable()
    table.add("task", WORKLOAD, space)
    return GuardedModel(table, 0, warnings.append, Scripted(answer))._inst


def warm(guarded: Any, candidates: list[Any]) -> None:
    repeated = [candidates[index % len(candidates)] for index in range(WARMUP)]
    guarded.update(CONTEXT, repeated, [SimpleNamespace(run_secs=[1.0])] * WARMUP)


def test_before_any_measurement_the_packet_estimate_ranks(candidates: list[Any]) -> None:
    scores = model(None, []).predict(CONTEXT, candidates)
    space = find_space("dense.scalar/3")
    assert space is not None
    view = geometry(WORKLOAD)
    costs = [Decisions.of(one.sch.trace).estimate(view, space.form) for one in candidates]
    assert len(set(costs)) > 1
    assert list(np.argsort(-scores)) == list(np.argsort(costs))


def test_after_the_warm_up_the_learned_model_corrects_the_estimate(candidates: list[Any]) -> None:
    estimates = model(None, []).tasks.estimates(CONTEXT, candidates)
    factors = np.geomspace(0.01, 1.0, len(candidates))
    guarded = model(factors, [])
    warm(guarded, candidates)
    order = np.argsort(guarded.predict(CONTEXT, candidates))
    np.testing.assert_array_equal(order, np.argsort(factors / estimates))
    assert list(order) != list(np.argsort(1.0 / estimates))


def test_the_learned_model_sees_how_far_each_estimate_was_off(candidates: list[Any]) -> None:
    guarded = model(None, [])
    estimates = guarded.tasks.estimates(CONTEXT, candidates)
    results = [SimpleNamespace(run_secs=[3.0 * one]) for one in estimates[:-1]]
    guarded.update(CONTEXT, candidates, [*results, SimpleNamespace(run_secs=None)])
    *ratios, failed = guarded.model.learned
    np.testing.assert_allclose([one.run_secs for one in ratios], 3.0)
    assert failed.run_secs is None


def test_the_real_model_learns_which_candidates_their_estimates_flatter(
    candidates: list[Any],
) -> None:
    space = find_space("dense.scalar/3")
    assert space is not None
    table = TaskTable()
    table.add("task", WORKLOAD, space)
    guarded = GuardedModel(table, 0, pytest.fail)._inst
    context = SimpleNamespace(task_name="task", mod=space.module(WORKLOAD))
    flattered = np.arange(len(candidates)) % 2
    estimates = table.estimates(context, candidates)
    results = [
        SimpleNamespace(run_secs=[estimate * (1 + 3 * off)])
        for estimate, off in zip(estimates, flattered, strict=True)
    ]
    before = guarded.predict(context, candidates)
    guarded.update(context, candidates * 8, results * 8)
    ratios = guarded.predict(context, candidates) / before
    assert ratios[flattered == 1].max() < 0.5 * ratios[flattered == 0].min()


def test_plain_traces_are_scored_like_the_real_ones(candidates: list[Any]) -> None:
    guarded = model(None, [])
    plain = [plain_trace(canonical_trace(trace_json(one.sch.trace))) for one in candidates]
    np.testing.assert_array_equal(
        guarded.scores("task", plain), guarded.predict(CONTEXT, candidates)
    )


@pytest.mark.parametrize(
    "answer",
    [RuntimeError("boom"), np.array([np.nan]), np.array([np.inf]), np.zeros(3), None, "text"],
    ids=["raises", "NaN", "infinity", "wrong shape", "nothing", "text"],
)
def test_a_model_that_fails_warns_once_and_leaves_finite_random_scores(
    candidates: list[Any], answer: Any
) -> None:
    warnings: list[str] = []
    guarded = model(answer, warnings)
    warm(guarded, candidates[:1])
    scores = [guarded.predict(CONTEXT, candidates[:1]) for _ in range(5)]
    assert len(warnings) == 1
    assert "at random" in warnings[0]
    assert np.isfinite(scores).all()
    assert len({float(score[0]) for score in scores}) == 5
    updates = guarded.model.updates
    warm(guarded, candidates[:1])
    assert guarded.model.updates == updates, "a failed model is left alone"


def test_a_failure_is_that_of_its_task_alone(candidates: list[Any]) -> None:
    warnings: list[str] = []
    guarded = model(None, warnings)
    guarded.tasks.add("other", WORKLOAD, find_space("dense.scalar/3"))
    guarded.model.answer = np.ones(len(candidates))
    warm(guarded, candidates)
    expected = guarded.predict(CONTEXT, candidates)
    guarded.model.answer = RuntimeError("boom")
    guarded.predict(SimpleNamespace(task_name="other"), candidates)
    guarded.model.answer = np.ones(len(candidates))
    np.testing.assert_array_equal(guarded.predict(CONTEXT, candidates), expected)
    assert guarded.failed == {"other"}
    assert len(warnings) == 1
    assert "other" in warnings[0]


def test_an_empty_batch_is_no_failure(candidates: list[Any]) -> None:
    space = find_space("dense.scalar/3")
    assert space is not None
    table = TaskTable()
    table.add("task", WORKLOAD, space)
    guarded = GuardedModel(table, 0, pytest.fail)._inst
    context = SimpleNamespace(task_name="task", mod=space.module(WORKLOAD))
    guarded.update(context, [], [])
    repeated = [candidates[index % len(candidates)] for index in range(WARMUP)]
    guarded.update(context, repeated, [SimpleNamespace(run_secs=[1.0])] * WARMUP)
    assert guarded.predict(context, []).shape == (0,)
    assert guarded.scores("task", []).shape == (0,)
    assert not guarded.failed


def test_features_are_finite_and_tell_candidates_apart(candidates: list[Any]) -> None:
    table = model(None, []).tasks
    rows = table.features(CONTEXT, candidates)
    assert rows.dtype == np.float32
    assert np.isfinite(rows).all()
    assert len({row.tobytes() for row in rows}) == len({str(one.sch.trace) for one in candidates})


def test_the_learned_model_is_metaschedules_own_on_these_features(candidates: list[Any]) -> None:
    table = model(None, []).tasks
    assert isinstance(GuardedModel(table, 0, pytest.fail).model, ms.cost_model.XGBModel._cls)
    arrays = DecisionFeatures(table).extract_from(CONTEXT, candidates)
    rows = np.concatenate([array.numpy() for array in arrays])
    np.testing.assert_array_equal(rows, table.features(CONTEXT, candidates))
