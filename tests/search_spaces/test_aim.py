"""What estimates are of: all packets, or those of the busiest of the target's contexts."""

from __future__ import annotations

import numpy as np
import pytest

from search_spaces import spaces_for
from search_spaces.aim import TOTAL, Aim
from search_spaces.decisions import Decisions
from search_spaces.geometry import geometry
from search_spaces.memory import Memory
from search_spaces.program import Form
from search_spaces.rows import parts_of
from search_spaces.slabs import fits
from search_spaces.tiling import Sketch
from vrmpy_tune.measurement import HVX_TIME_8GEN1, QEMU_CRITICAL, QEMU_PACKETS
from vrmpy_tune.target import TARGETS
from vrmpy_tune.tune.draws import Design
from vrmpy_tune.workload import parse_workload

V66, V68 = TARGETS["hexagon-v66"], TARGETS["hexagon-v68"]


def test_idle_contexts_count_as_much_as_the_metric_says() -> None:
    """Five equal tasks on four contexts take as long as eight, on two contexts as long as six."""
    assert TOTAL.factor(5) == 1
    assert Aim.of(QEMU_CRITICAL, V68).factor(5) == pytest.approx(8 / 5)
    assert Aim.of(HVX_TIME_8GEN1, V68).factor(5) == pytest.approx(8 / 5)
    assert Aim.of(QEMU_CRITICAL, V66).factor(5) == pytest.approx(6 / 5)
    assert 1 < Aim.of(QEMU_PACKETS, V68).factor(5) < 1.05


def test_by_the_critical_path_one_task_looks_four_times_worse_than_four() -> None:
    view = geometry(parse_workload("dense:m=128,n=64,k=512,lhs=u8,rhs=u8"))

    def estimate(chunks: int, aim: Aim) -> float:
        chosen = Decisions(Sketch(2, 1, vtcm=False), 3, (chunks, 16 // chunks, 8), (1, 1), (32, 4))
        return chosen.estimate(view, Form.SCALAR, aim=aim)

    critical, total = Aim.of(QEMU_CRITICAL, V68), Aim.of(QEMU_PACKETS, V68)
    assert estimate(1, critical) == pytest.approx(4 * estimate(4, critical))
    assert estimate(1, total) < 1.1 * estimate(4, total)
    assert estimate(1, TOTAL) == estimate(4, TOTAL)


def test_nests_know_idle_contexts_too() -> None:
    from tvm.s_tir import Schedule

    workload = parse_workload("max_pool2d:n=1,h=24,w=24,c=32,kh=2,kw=2,stride=2,pad=0,dtype=u8")
    (space,) = spaces_for(workload, V68)
    (made,) = space.generator(workload, V68)(Schedule(space.module(workload), seed=1))
    critical = Aim.of(QEMU_CRITICAL, V68)
    draws = list(Design.of(made.trace).draw(64, np.random.default_rng(0)))
    factors = [
        space.estimate(workload, one.plain, critical) / space.estimate(workload, one.plain)
        for one in draws
    ]
    assert min(factors) == 1
    assert max(factors) > 1
    for one in draws:
        estimate = space.estimate(workload, one.plain, critical)
        relative = space.features(workload, one.plain, critical)[-1]
        assert relative == pytest.approx(estimate / workload.packet_bound)


def test_a_row_is_cut_for_the_contexts_of_the_target() -> None:
    """Six columns: three parts keep four contexts as busy as can be, two parts two contexts."""
    assert parts_of(6, V68.contexts) == 3
    assert parts_of(6, V66.contexts) == 2


def test_slabs_of_all_contexts_fit_and_of_no_more() -> None:
    """The two contexts of v66 share 256 KB of VTCM: slabs of 96 KB fit twice, not four times."""
    view = geometry(parse_workload("dense:m=8,n=128,k=3072,lhs=u8,rhs=u8"))
    assert fits(Memory.COPIED, view, 1, V66)
    assert not fits(Memory.COPIED, view, 2, V66)
