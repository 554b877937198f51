"""Sizes of every remainder, with every epilogue: the design, and kernels of it."""

from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING, Any, Final

import pytest

from vrmpy_tune.measurement import Outcome
from vrmpy_tune.suites.residues import (
    CONV2D,
    DENSE,
    DEPTHWISE,
    FEW_CONV2D,
    FEW_DENSE,
    covering,
    few_residue_workloads,
    residue_workloads,
)
from vrmpy_tune.target import TARGETS
from vrmpy_tune.tune.space_check import SpaceReport, check_spaces
from vrmpy_tune.workload import parse_workload

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

V68: Final = TARGETS["hexagon-v68"]
DESIGNS: Final = {
    "dense": DENSE,
    "conv2d": CONV2D,
    "depthwise": DEPTHWISE,
    "few dense": FEW_DENSE,
    "few conv2d": FEW_CONV2D,
}


@pytest.mark.parametrize("factors", DESIGNS.values(), ids=DESIGNS)
def test_every_pair_of_values_meets(factors: Mapping[str, Sequence[Any]]) -> None:
    rows = covering(factors, random.Random(3))
    for one, other in itertools.combinations(factors, 2):
        met = {(row[one], row[other]) for row in rows}
        missing = set(itertools.product(factors[one], factors[other])) - met
        # int32 outputs are not requantized, and have neither activation nor residual.
        for values in missing:
            assert {one, other} <= {"out", "requant", "act", "residual"}
            assert {(one, values[0]), (other, values[1])} & {("out", "i32"), ("requant", "none")}


def test_a_seed_makes_the_same_distinct_workloads() -> None:
    workloads = residue_workloads(7)
    assert workloads == residue_workloads(7)
    assert workloads != residue_workloads(8)
    assert len(set(workloads)) == len(workloads)
    assert all(parse_workload(str(one)) == one for one in workloads)


def verified(report: SpaceReport) -> None:
    assert Outcome.WRONG_RESULT not in report.failures, report.messages
    assert report.messages == []
    assert report.verified == report.samples


@pytest.mark.device
@pytest.mark.slow
def test_the_fixed_rules_kernels_of_a_few_are_right() -> None:
    few = few_residue_workloads()
    verified(check_spaces(samples=len(few), seed=0, target=V68, workloads=few, fixed=True))


@pytest.mark.slow_sweep
@pytest.mark.timeout(0)
@pytest.mark.parametrize("seed", range(2))
def test_kernels_of_all_are_right(seed: int) -> None:
    every = residue_workloads(seed)
    samples = 2 * len(every)
    verified(check_spaces(samples=samples, seed=seed, target=V68, workloads=every, fixed=True))
