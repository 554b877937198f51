"""Sampled candidates of every space: odd sizes, every form, every pair of types."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final

from tvm.s_tir import Schedule

from search_spaces import all_spaces
from search_spaces.decisions import Decisions
from search_spaces.memory import Memory
from search_spaces.program import Form
from tests.toolchain.generated import V68
from vrmpy_tune.workload import parse_workload

if TYPE_CHECKING:
    from search_spaces.space import Space
    from vrmpy_tune.workload import Workload

DENSE: Final = (
    "dense:m=1,n=1,k=1,lhs=u8,rhs=u8",
    "dense:m=1,n=129,k=33,lhs=i8,rhs=i8",
    "dense:m=7,n=31,k=129,lhs=u8,rhs=i8",
    "dense:m=33,n=32,k=3,lhs=i8,rhs=u8",
    "dense:m=31,n=129,k=7,lhs=u8,rhs=i8",
    "dense:m=129,n=33,k=32,lhs=i8,rhs=i8",
    # Pixels in whole vectors, with a word more; a part of a vector added up in place.
    "dense:m=33,n=7,k=129,lhs=i8,rhs=i8",
    "dense:m=6,n=65,k=196,lhs=u8,rhs=u8",
    "dense:m=40,n=33,k=136,lhs=i8,rhs=i8",
    # Pixels of one word, 32 bytes apart, whose sums are taken off.
    "dense:m=36,n=3,k=2,lhs=u8,rhs=i8",
)
CONV2D: Final = (
    # 7x7 stem; groups; dilation; rectangular stride, kernel and padding; nchw; batch 2.
    "conv2d:n=1,h=15,w=15,ci=3,co=32,kh=7,kw=7,stride=2,pad=3,lhs=u8,rhs=i8",
    "conv2d:n=1,h=7,w=7,ci=12,co=66,kh=3,kw=3,stride=1,pad=1,groups=3,lhs=u8,rhs=u8",
    "conv2d:n=1,h=9,w=11,ci=8,co=32,kh=3,kw=3,stride=1,pad=2,dilation=2,lhs=i8,rhs=i8",
    "conv2d:n=1,h=9,w=8,ci=7,co=31,kh=3,kw=2,stride=2x1,pad=0x0x1x1,lhs=i8,rhs=u8",
    "conv2d:n=2,h=5,w=7,ci=4,co=33,kh=3,kw=3,stride=1,pad=1,lhs=u8,rhs=i8,layout=nchw",
    "conv2d:n=2,h=3,w=31,ci=33,co=64,kh=1,kw=1,stride=1,pad=0,lhs=i8,rhs=i8",
    "conv2d:n=2,h=7,w=7,ci=8,co=32,kh=1,kw=1,stride=2,pad=0,groups=2,lhs=i8,rhs=u8,layout=nchw",
    "conv2d:n=1,h=3,w=33,ci=5,co=7,kh=3,kw=3,stride=1,pad=1,lhs=u8,rhs=i8",
    "conv2d:n=2,h=5,w=6,ci=133,co=9,kh=1,kw=1,stride=1,pad=0,lhs=u8,rhs=i8",
    # Joined rows, and one row, that are not whole vectors of pixels of one word.
    "conv2d:n=1,h=2,w=63,ci=4,co=7,kh=1,kw=1,stride=1,pad=0,lhs=u8,rhs=i8",
    "conv2d:n=1,h=1,w=63,ci=4,co=7,kh=1,kw=1,stride=1,pad=0,lhs=u8,rhs=i8",
    # One row of outputs over several rows of inputs, whose pixels are moved apart.
    "conv2d:n=1,h=3,w=6,ci=5,co=7,kh=3,kw=3,stride=1,pad=0,lhs=u8,rhs=u8",
)
FUSED: Final = (
    # Zero points and a bias with an int32 output.
    "dense:m=9,n=32,k=7,lhs=i8,rhs=u8,bias=1,lzp=7,rzp=3",
    # Borders of the zero point around pixels that are moved apart, whose sums are taken off.
    "conv2d:n=1,h=2,w=6,ci=5,co=8,kh=3,kw=3,stride=1,pad=1,lhs=u8,rhs=i8,lzp=129",
    # One, two and four vectors to 128 bytes; stored in place and stored aside.
    "dense:m=4,n=32,k=33,lhs=u8,rhs=u8,out=u8,requant=channel",
    "dense:m=6,n=64,k=8,lhs=u8,rhs=u8,out=i8,act=clip,residual=1",
    "dense:m=3,n=128,k=4,lhs=u8,rhs=i8,out=u8,bias=1,requant=channel,act=relu,residual=1",
    "dense:m=1,n=97,k=9,lhs=i8,rhs=i8,out=i8,act=relu,residual=1,lzp=-3,rzp=5",
    "conv2d:n=1,h=3,w=5,ci=4,co=64,kh=1,kw=1,stride=1,pad=0,lhs=u8,rhs=u8,out=u8",
    # Borders of the zero point, strides, groups, nchw; joined rows.
    "conv2d:n=1,h=9,w=8,ci=7,co=31,kh=3,kw=2,stride=2x1,pad=0x0x1x1,lhs=i8,rhs=u8,out=i8,"
    "requant=channel,act=clip,lzp=-128",
    "conv2d:n=1,h=7,w=7,ci=12,co=192,kh=3,kw=3,stride=1,pad=1,groups=3,lhs=u8,rhs=u8,out=u8,"
    "bias=1,act=relu,residual=1,lzp=3,rzp=130",
    "conv2d:n=2,h=5,w=7,ci=4,co=33,kh=3,kw=3,stride=1,pad=1,lhs=u8,rhs=i8,layout=nchw,out=u8,"
    "bias=1,residual=1,lzp=9",
    "conv2d:n=2,h=6,w=6,ci=32,co=128,kh=1,kw=1,stride=1,pad=0,lhs=u8,rhs=i8,out=u8,bias=1,"
    "requant=channel,act=relu,lzp=1",
)
WORKLOADS: Final = DENSE + CONV2D + FUSED


@dataclass(frozen=True)
class Sample:
    """One sampled schedule of a workload."""

    workload: Workload
    space: Space
    seed: int
    schedule: Schedule

    @property
    def decisions(self) -> Decisions:
        """What its trace chose."""
        return Decisions.of(self.schedule.trace)


def spaces_of(workload: Workload) -> list[Space]:
    """Return every space that can hold the workload, also where another is better."""
    forms = {Form.SPLAT, Form.SCALAR if workload.rhs == "u8" else Form.OFFSET}
    return [
        space
        for space in all_spaces()
        if space.operator == workload.operator
        and space.form in forms
        and space.memory is Memory.CACHED
    ]


CASES: Final = tuple(
    (text, space.name) for text in WORKLOADS for space in spaces_of(parse_workload(text))
)


@cache
def samples(text: str, space_name: str, seed: int = 1) -> tuple[Sample, ...]:
    """Return one sample of every design space of a workload."""
    workload = parse_workload(text)
    (space,) = (space for space in spaces_of(workload) if space.name == space_name)
    generate = space.generator(workload, V68)
    schedules = generate(Schedule(space.module(workload), seed=seed))
    return tuple(Sample(workload, space, seed, schedule) for schedule in schedules)


def all_samples() -> list[Sample]:
    """Return one sample of every design space of every workload."""
    return list(itertools.chain.from_iterable(samples(*case) for case in CASES))
