"""Schedules whose weights go through VTCM."""

from __future__ import annotations

from functools import cache
from typing import Final

import pytest
from tvm.s_tir import Schedule

from search_spaces import all_spaces, find_space, spaces_for
from search_spaces.aim import Aim
from search_spaces.decisions import Decisions
from search_spaces.memory import STAGED, Memory
from search_spaces.space import Space
from tests.device.simulated import qemu
from tests.toolchain.generated import V68, compiled, llvm_ir
from vrmpy_tune.device.protocol import Job, Limits
from vrmpy_tune.measurement import QEMU_CRITICAL, Outcome
from vrmpy_tune.records.record import canonical_trace
from vrmpy_tune.replay import replay, trace_json
from vrmpy_tune.target import TARGETS
from vrmpy_tune.tune.candidate import code_generator
from vrmpy_tune.verification import Verifier
from vrmpy_tune.workload import Workload, parse_workload

WORKLOADS: Final = (
    "dense:m=1,n=129,k=33,lhs=u8,rhs=u8",
    "dense:m=7,n=256,k=31,lhs=u8,rhs=i8",
    "dense:m=3,n=33,k=7,lhs=i8,rhs=i8",
    "dense:m=32,n=128,k=129,lhs=u8,rhs=i8,out=u8,bias=1,requant=channel,act=relu,lzp=3",
    "conv2d:n=1,h=5,w=7,ci=32,co=129,kh=3,kw=3,stride=1,pad=1,lhs=u8,rhs=u8",
    "conv2d:n=1,h=7,w=7,ci=3,co=64,kh=3,kw=1,stride=2,pad=0,lhs=u8,rhs=i8",
    "conv2d:n=1,h=4,w=4,ci=64,co=64,kh=1,kw=1,stride=1,pad=0,lhs=u8,rhs=u8,groups=2",
)
EACH: Final = pytest.mark.parametrize("memory", STAGED)


def staged_spaces(workload: Workload, memory: Memory) -> list[Space]:
    return list(spaces_for(workload, V68, (memory,)))


@cache
def schedules(text: str, space_name: str) -> tuple[Schedule, ...]:
    """Return one sample of each design space."""
    workload, space = parse_workload(text), find_space(space_name)
    assert space is not None
    base = Schedule(space.module(workload), seed=3)
    return tuple(space.generator(workload, V68)(base))


@cache
def verifier(text: str) -> Verifier:
    return Verifier(parse_workload(text))


@pytest.mark.device
@EACH
@pytest.mark.parametrize("text", WORKLOADS)
def test_samples_are_bit_exact(text: str, memory: Memory) -> None:
    workload = parse_workload(text)
    inputs = verifier(text).input_sets
    for number, space in enumerate(staged_spaces(workload, memory)):
        found = schedules(text, space.name)
        schedule = found[(number + STAGED.index(memory)) * len(found) // 4]
        made = compiled(schedule.mod, code_generator(schedule.mod))
        specs = space.inputs(workload), (space.output(workload),)
        sets = tuple(space.arguments(workload, one.operands) for one in inputs)
        result = qemu().run(Job(made.object_file, "main", *specs), sets, V68, Limits())
        assert result.outcome is Outcome.OK, (Decisions.of(schedule.trace), result.message)
        assert verifier(text).difference(result) is None, Decisions.of(schedule.trace)


@EACH
def test_the_weights_are_moved_as_the_plan_says(memory: Memory) -> None:
    text = "dense:m=8,n=256,k=64,lhs=u8,rhs=u8"
    for space in staged_spaces(parse_workload(text), memory):
        for schedule in schedules(text, space.name):
            steps = Decisions.of(schedule.trace).steps
            ir = llvm_ir(schedule.mod)
            started, waited = (
                ir.count("call i32 @vrmpy_dma_copy"),
                ir.count("call i32 @vrmpy_dma_wait"),
            )
            copies = ir.count("call ptr @memcpy")
            ahead = memory is Memory.PIPELINED and steps[-1] > 1
            assert (copies > 0) == (memory is Memory.COPIED)
            assert started == waited == (memory is not Memory.COPIED) + ahead
            assert ir.count("call ptr @vrmpy_vtcm_alloc_shared(") == 1


@EACH
def test_a_trace_replays_on_the_program(memory: Memory) -> None:
    text = WORKLOADS[1]
    workload = parse_workload(text)
    (space,) = staged_spaces(workload, memory)
    schedule = schedules(text, space.name)[0]
    trace = canonical_trace(trace_json(schedule.trace))
    assert replay(space.module(workload), trace).mod.script() == schedule.mod.script()


def test_only_who_asks_gets_spaces_that_use_vtcm() -> None:
    workload = parse_workload(WORKLOADS[0])
    assert {one.memory for one in spaces_for(workload, V68)} == {Memory.CACHED}
    assert {one.memory for one in spaces_for(workload, V68, tuple(Memory))} == set(Memory)
    operators = {one.operator for one in all_spaces() if one.memory is not Memory.CACHED}
    assert operators == {"dense", "conv2d"}


def test_there_is_no_dma_before_v68() -> None:
    workload = parse_workload(WORKLOADS[0])
    found = spaces_for(workload, TARGETS["hexagon-v66"], tuple(Memory))
    assert {one.memory for one in found} == {Memory.CACHED, Memory.COPIED}


def test_slabs_that_do_not_fit_vtcm_in_all_contexts_are_no_choice() -> None:
    """A vector of outputs of 70,000 inputs has 2.2 MB of weights, four of them more than VTCM."""
    deep = parse_workload("dense:m=1,n=128,k=70000,lhs=u8,rhs=u8")
    assert not spaces_for(deep, V68, STAGED)
    less = parse_workload("dense:m=1,n=128,k=30000,lhs=u8,rhs=u8")
    assert {one.memory for one in spaces_for(less, V68, STAGED)} == {Memory.COPIED, Memory.DMA}


def test_the_estimate_prefers_what_moves_weights_once_and_keeps_all_contexts_at_work() -> None:
    text = "dense:m=64,n=1024,k=512,lhs=u8,rhs=u8"
    workload = parse_workload(text)
    (space,) = staged_spaces(workload, Memory.PIPELINED)
    view = space.geometry(workload)  # type: ignore[attr-defined]
    sketch = Decisions.of(schedules(text, space.name)[1].trace).sketch

    aim = Aim.of(QEMU_CRITICAL, V68)

    def cost(chunks: int, tasks: int) -> float:
        steps = (tasks, view.vectors // sketch.vectors // tasks)
        chosen = Decisions(sketch, 3, (chunks, 8 // chunks, 8), (1, 1), (32, 4), steps)
        return chosen.estimate(view, space.form, Memory.PIPELINED, aim=aim)  # type: ignore[attr-defined]

    assert cost(chunks=1, tasks=4) < cost(chunks=1, tasks=16)
    assert cost(chunks=1, tasks=4) < cost(chunks=8, tasks=4)
    assert cost(chunks=1, tasks=4) < cost(chunks=1, tasks=1) / 2
