"""The mutation that redraws the code generator."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from tvm.s_tir import Schedule

from search_spaces import find_space
from search_spaces.decisions import Decisions
from search_spaces.space import Space
from vrmpy_tune.target import TARGETS
from vrmpy_tune.toolchain.codegen import CODE_GENERATORS
from vrmpy_tune.tune.candidate import code_generator
from vrmpy_tune.tune.mutator import MutateGenerator
from vrmpy_tune.workload import parse_workload

WORKLOAD = parse_workload("dense:m=12,n=32,k=16,lhs=u8,rhs=u8")


def space() -> Space:
    found = find_space("dense.scalar/3")
    assert found is not None
    return found


@pytest.fixture(scope="module")
def trace() -> Any:
    generate = space().generator(WORKLOAD, TARGETS["hexagon-v68"])
    return generate(Schedule(space().module(WORKLOAD), seed=1))[0].trace


def test_only_the_code_generator_changes_and_it_always_does(trace: Any) -> None:
    before = Decisions.of(trace)
    mutator = MutateGenerator(3)
    drawn = Counter(Decisions.of(mutator.apply(trace)).generator for _ in range(60))
    others = set(range(len(CODE_GENERATORS))) - {before.generator}
    assert set(drawn) == others
    after = Decisions.of(mutator.apply(trace))
    kept = ("sketch", "columns", "rows", "depth")
    assert all(getattr(after, name) == getattr(before, name) for name in kept)


def test_a_mutated_trace_replays_to_a_program_that_asks_for_the_other_generator(
    trace: Any,
) -> None:
    mutated = MutateGenerator(3).apply(trace)
    schedule = Schedule(space().module(WORKLOAD))
    mutated.apply_to_schedule(schedule, remove_postproc=True)
    wanted = CODE_GENERATORS[Decisions.of(mutated).generator]
    assert code_generator(schedule.mod) == wanted


def test_the_same_seed_draws_the_same(trace: Any) -> None:
    def drawn(mutator: MutateGenerator) -> list[int]:
        return [Decisions.of(mutator.apply(trace)).generator for _ in range(20)]

    assert drawn(MutateGenerator(5)) == drawn(MutateGenerator(5))
    assert drawn(MutateGenerator(5)) != drawn(MutateGenerator(6))
    assert drawn(MutateGenerator(5).clone()) == drawn(MutateGenerator(5).clone())


def test_a_trace_without_a_choice_has_no_mutation() -> None:
    empty = Schedule(space().module(WORKLOAD)).trace
    assert MutateGenerator(1).apply(empty) is None
