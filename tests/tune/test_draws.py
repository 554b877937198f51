"""Drawing from a design space without applying what was drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tvm.s_tir import Schedule

from search_spaces import find_space
from search_spaces.decisions import Decisions
from search_spaces.space import Space
from vrmpy_tune.records import canonical_trace
from vrmpy_tune.replay import trace_json
from vrmpy_tune.target import TARGETS
from vrmpy_tune.tune.draws import Design, key_of, plain_trace
from vrmpy_tune.workload import parse_workload

WORKLOAD = parse_workload("conv2d:n=1,h=6,w=33,ci=32,co=96,kh=3,kw=3,stride=1,pad=1,lhs=u8,rhs=u8")


def space() -> Space:
    found = find_space("conv2d.scalar/3")
    assert found is not None
    return found


@pytest.fixture(scope="module")
def schedules() -> list[Any]:
    generate = space().generator(WORKLOAD, TARGETS["hexagon-v68"])
    return generate(Schedule(space().module(WORKLOAD), seed=1))


@pytest.fixture(scope="module")
def designs(schedules: list[Any]) -> list[Design]:
    return [Design.of(schedule.trace) for schedule in schedules]


def test_what_was_drawn_replays_to_exactly_what_was_read(designs: list[Design]) -> None:
    module = space().module(WORKLOAD)
    random = np.random.default_rng(0)
    for design in designs:
        for draw in design.draw(3, random):
            trace = draw.schedule(module).trace
            assert key_of(trace) == draw.key
            assert Decisions.of(trace) == Decisions.of(draw.plain)
            assert space().features(WORKLOAD, trace) == space().features(WORKLOAD, draw.plain)


def test_a_sample_of_tvm_is_one_of_the_choices(designs: list[Design], schedules: list[Any]) -> None:
    for design, schedule in zip(designs, schedules, strict=True):
        assert key_of(schedule.trace) in {draw.key for draw in design.draw(design.size, None)}  # type: ignore[arg-type]


def test_draws_differ_and_a_small_space_is_drawn_whole(designs: list[Design]) -> None:
    random = np.random.default_rng(0)
    for design in designs:
        for count in (5, design.size, 10 * design.size):
            keys = [draw.key for draw in design.draw(count, random)]
            assert len(keys) == len(set(keys)) <= min(count, design.size)
        assert len(keys) == design.size


def test_design_spaces_do_not_share_keys(designs: list[Design]) -> None:
    random = np.random.default_rng(0)
    keys = [draw.key for design in designs for draw in design.draw(20, random)]
    assert len(set(keys)) == len(keys)


def test_the_trace_of_a_record_reads_like_the_one_it_was_made_from(schedules: list[Any]) -> None:
    for schedule in schedules:
        text = canonical_trace(trace_json(schedule.trace))
        assert Decisions.of(plain_trace(text)) == Decisions.of(schedule.trace)
