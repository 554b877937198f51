"""All who ask which record applies get the same answer, on random stores.

``python -m pytest tests/records/test_five_ways.py -m slow_sweep -s`` asks 500 random questions.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from search_spaces import spaces_for
from search_spaces.memory import Memory
from tests.records.five_ways import (
    Question,
    all_ways,
    by_applied,
    programs,
    same_program,
    without_kernels,
)
from tests.records.samples import measurement
from vrmpy_tune.measurement import HVX_TIME_8GEN1, QEMU_CRITICAL, QEMU_PACKETS
from vrmpy_tune.records import Record, open_store
from vrmpy_tune.records.record import FixedRule, canonical_trace
from vrmpy_tune.replay import trace_json
from vrmpy_tune.target import TARGETS, HexagonTarget
from vrmpy_tune.toolchain.codegen import provenance
from vrmpy_tune.workload import parse_workload

UNSIGNED: Final = "dense:m=8,n=32,k=16,lhs=u8,rhs=u8"
SIGNED: Final = "dense:m=1,n=32,k=16,lhs=u8,rhs=i8"
CONV: Final = "conv2d:n=1,h=3,w=3,ci=4,co=32,kh=1,kw=1,stride=1,pad=0,lhs=u8,rhs=i8"
EPILOGUES: Final = (
    "",
    ",bias=1",
    ",out=u8,bias=1,requant=channel",
    ",out=u8,bias=1,requant=tensor,act=relu",
)
FAMILIES: Final = (
    *(tuple(f"{bare}{more}" for more in EPILOGUES) for bare in (UNSIGNED, SIGNED, CONV)),
    ("add:shape=1x4x4x64,lhs=u8,rhs=u8,out=u8",),
)
"""Workloads by anchor."""

THREE: Final = (QEMU_CRITICAL, QEMU_PACKETS, HVX_TIME_8GEN1)
CHIPS: Final = (TARGETS["hexagon-v68"], TARGETS["hexagon-v73"])
IN_CI: Final = 24
ALL: Final = 500
BLOCKS: Final = 4


@pytest.fixture
def no_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    without_kernels(monkeypatch)


@cache
def traces(text: str, target: HexagonTarget, memory: bool) -> tuple[tuple[str, str], ...]:
    """Return spaces and real traces of a workload."""
    from tvm.s_tir import Schedule

    workload = parse_workload(text)
    memories = tuple(Memory) if memory else (Memory.CACHED,)
    return tuple(
        (space.name, canonical_trace(trace_json(design.trace)))
        for space in spaces_for(workload, target, memories)
        for seed in (1, 2, 3)
        for design in space.generator(workload, target)(Schedule(space.module(workload), seed=seed))
    )


def random_record(draw: random.Random, text: str) -> Record:
    """Return a record of a workload: of any target, metric, toolchain and space; or a stale one."""
    target = draw.choice((CHIPS[0], *CHIPS))
    space, trace = draw.choice(traces(text, target, draw.random() < 0.5))
    if draw.random() < 0.25:
        instructions, decisions = json.loads(trace)
        instructions[0][2] = ["no_such_block", "main"]
        trace = canonical_trace([instructions, decisions])
    elif draw.random() < 0.1:
        space = f"{space.partition('/')[0]}/0"
    here = provenance()
    total = draw.randint(100, 120)
    return Record.from_measurement(
        measurement(
            text, target=target.name, metric=draw.choice(THREE), total=total,
            critical=total - draw.randint(0, 60),
        ),
        space=space,
        trace=trace,
        seed=0,
        generator="packets",
        toolchain=draw.choice((here, here, here | {"zig": "0.1"}, {"tvm": "0.26"})),
        structural_hash="1234",
        fixed_rule=draw.choice((None, FixedRule(120, 90))),
    )  # fmt: skip


def random_question(seed: int, place: Path) -> Question:
    """Fill one or two stores with records, and ask for a workload that may have none of its own."""
    draw = random.Random(seed)
    family = draw.choice(FAMILIES)
    strangers = draw.choice(FAMILIES)
    texts = draw.choices((*family, *family, *strangers), k=draw.randint(0, 9))
    paths = []
    for number in range(draw.randint(1, 2)):
        path = place / f"{number}.db"
        with open_store(path) as store:
            for text in texts[number::2]:
                store.add(random_record(draw, text))
        paths.append(str(path))
    return Question(
        draw.choice(family),
        draw.choice((CHIPS[0], *CHIPS)),
        tuple(paths),
        place,
        metric=draw.choice((None, None, None, *THREE[:2])),
        exact=draw.random() < 0.25,
    )


def check(asked: Question) -> str:
    """Ask all five ways; return how it ended, for the statistics."""
    named = dict(all_ways(asked))
    assert len(set(named.values())) == 1, named
    record = next(iter(named.values()))
    answered = 0
    for (space, _), program in programs(asked.text, asked.target).items():
        query = by_applied(asked, program)
        if query.workload is None:
            # Neither the workload nor a variant of it has a record.
            assert record is None
            continue
        if query.workload != asked.text:
            # Two workloads with one program: the view may take either.
            other = programs(query.workload, asked.target).values()
            assert any(same_program(program, one) for one in other)
            continue
        answered += query.record is not None
        if query.record != record:
            # What the others name is of a space with another program: that is said.
            assert "another form of the program" in query.reason or (
                query.record is None and "other forms of the program" in query.reason
            )
            stored = _stored(asked, record)
            assert not _has_program(stored, asked, program), space
    if record is None:
        return "none"
    assert answered, "where a record applies, it does to one of the forms"
    return "own" if _stored(asked, record).workload == asked.text else "by anchor"


def _stored(asked: Question, record: str | None) -> Record:
    from vrmpy_tune.records import open_stores

    assert record is not None
    with open_stores(asked.stores) as stores:
        found = stores.get(record)
    assert found is not None
    return found


def _has_program(record: Record, asked: Question, program: object) -> bool:
    from search_spaces import find_space

    space = find_space(record.space)
    assert space is not None
    workload = parse_workload(asked.text)
    return any(same_program(one(workload), program) for one in (space.module, space.plain_module))


@pytest.mark.usefixtures("no_kernels")
@pytest.mark.parametrize("seed", range(IN_CI))
def test_the_five_ways_name_the_same_record(seed: int, tmp_path: Path) -> None:
    check(random_question(seed, tmp_path))


@pytest.mark.slow_sweep
@pytest.mark.timeout(7200)
@pytest.mark.usefixtures("no_kernels")
@pytest.mark.parametrize("block", range(BLOCKS))
def test_the_five_ways_name_the_same_record_each_time(block: int, tmp_path: Path) -> None:
    ended: Counter[str] = Counter()
    for seed in range(block * ALL // BLOCKS, (block + 1) * ALL // BLOCKS):
        place = tmp_path / str(seed)
        place.mkdir()
        ended[check(random_question(seed, place))] += 1
    print(f"\n{ended.total()} questions, five ways agree: {dict(ended)}")
    assert min(ended["own"], ended["by anchor"], ended["none"]) > ended.total() / 20
