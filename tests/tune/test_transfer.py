"""Records of similar workloads: which, mapped to what, and what the search does with them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tvm.s_tir import Schedule

from search_spaces import find_space
from search_spaces.decisions import Decisions
from search_spaces.space import Space
from tests.tune.conftest import FakeRun
from tests.tune.fakes import oracle
from vrmpy_tune.device.fake import FakeDevice
from vrmpy_tune.measurement import QEMU_CRITICAL, QEMU_PACKETS
from vrmpy_tune.records import SqlStore, open_store
from vrmpy_tune.records.record import Record
from vrmpy_tune.target import TARGETS
from vrmpy_tune.tune.draws import Design, plain_trace
from vrmpy_tune.tune.events import Event, RecordsTransferred, SearchEnded
from vrmpy_tune.tune.population import draw_all
from vrmpy_tune.tune.transfer import distance, seeds_for, similar_workloads
from vrmpy_tune.workload import parse_workload

DENSE = "dense:m=48,n=64,k=64,lhs=u8,rhs=u8"
NEAR = "dense:m=60,n=64,k=64,lhs=u8,rhs=u8"
FAR = "dense:m=480,n=640,k=640,lhs=u8,rhs=u8"
V68 = "hexagon-v68"


@pytest.fixture(scope="module")
def space() -> Space:
    found = find_space("dense.scalar/3")
    assert found is not None
    return found


def even_device(text: str) -> FakeDevice:
    """Return a device on which every kernel of a workload takes about as long."""
    costs = itertools.count(1000)
    return FakeDevice(oracle(parse_workload(text)), packets=lambda _: next(costs), slots=1)


@pytest.fixture
def store(fake_run: FakeRun, tmp_path: Path) -> Iterator[SqlStore]:
    """Records of two workloads, ten of each."""
    for text in (FAR, NEAR):
        fake_run(text, device=even_device(text), trials=10, store="others.db")
    with open_store(tmp_path / "others.db") as opened:
        yield opened  # type: ignore[misc]


def known(store: SqlStore, space: Space, metric: str = QEMU_CRITICAL, *exclude: str) -> list[str]:
    similar = similar_workloads(
        [store], parse_workload(DENSE), space, target=V68, metric=metric, exclude=exclude
    )
    return [str(one.workload) for one in similar]


def test_nearer_shapes_are_more_similar() -> None:
    here = parse_workload(DENSE)
    assert distance(here, here) == 0
    assert 0 < distance(here, parse_workload(NEAR)) < distance(here, parse_workload(FAR))
    conv = "conv2d:n=1,h=8,w=8,ci=8,co=32,kh=3,kw=3,stride=1,pad=1,lhs=u8,rhs=u8"
    other = conv.replace("pad=1", "pad=1x1x0x0")
    assert 0 < distance(parse_workload(conv), parse_workload(other)) < 4


def test_only_records_of_the_same_space_target_and_metric_count(
    store: SqlStore, space: Space
) -> None:
    assert known(store, space) == [NEAR, FAR]
    assert known(store, space, QEMU_CRITICAL, NEAR) == [FAR]
    assert known(store, space, QEMU_PACKETS) == []
    other = find_space("dense.offset/3")
    assert other is not None
    assert known(store, other) == []


def test_a_choice_is_mapped_to_the_nearest_valid_one(store: SqlStore, space: Space) -> None:
    here = parse_workload(DENSE)
    designs = [
        Design.of(schedule.trace)
        for schedule in space.generator(here, TARGETS[V68])(Schedule(space.module(here), seed=1))
    ]
    draws = draw_all(designs, 10_000, np.random.default_rng(0))
    similar = similar_workloads([store], here, space, target=V68, metric=QEMU_CRITICAL, exclude=())
    seeds = seeds_for(here, space, similar, draws, 8)
    assert 1 <= len(seeds) <= 8
    assert len({seed.draw.key for seed in seeds}) == len(seeds)
    for seed in seeds:
        wanted = Decisions.of(plain_trace(seed.record.trace))
        got = Decisions.of(seed.draw.plain)
        if seed.record.workload == NEAR:  # all but the width divides alike
            assert (wanted.sketch, wanted.generator) == (got.sketch, got.generator)
            assert wanted.depth == got.depth
            assert 0.6 < wanted.columns[-1] / got.columns[-1] < 1.6
    assert seeds_for(here, space, similar, draws, 1) == seeds[:1]
    assert seeds_for(here, space, (), draws, 8) == []


def test_a_run_starts_from_what_similar_workloads_know_and_says_so(
    fake_run: FakeRun, tmp_path: Path, store: SqlStore
) -> None:
    found: list[Record] = []
    for name in ("a", "b"):
        copy = tmp_path / f"{name}.db"
        copy.write_bytes((tmp_path / "others.db").read_bytes())
        events: list[Event] = []
        (result,) = fake_run(DENSE, trials=16, transfer=True, store=copy.name, events=events)
        (told,) = [event for event in events if isinstance(event, RecordsTransferred)]
        assert told.seeds == sum(len(ids) for _, ids in told.records) > 0
        assert NEAR in dict(told.records)
        assert told.samples == 20
        assert result.as_json()["transfer"]["seeds"] == told.seeds
        found.append(result.best)
    assert found[0] == found[1], "the same store, the same result"
    (plain,) = fake_run(DENSE, trials=4, store="fresh.db")
    assert plain.as_json()["transfer"] == {"seeds": 0, "samples": 0, "records": []}


def test_an_early_stop_is_reported(fake_run: FakeRun) -> None:
    events: list[Event] = []
    device = even_device(DENSE)
    (result,) = fake_run(DENSE, device=device, trials=400, early_stop=True, events=events)
    (ended,) = [event for event in events if isinstance(event, SearchEnded)]
    assert result.measured == ended.sent < 400
    assert result.stopped_early == f"after {ended.sent} of 400: {ended.reason}"
    assert ended.reason == f"no gain in {ended.sent - 1}"
    idle = even_device(DENSE)
    (again,) = fake_run(DENSE, device=idle, trials=400, early_stop=True)
    assert (again.stopped_early, again.recalled) == (result.stopped_early, ended.sent)
    assert (again.best, idle.runs) == (result.best, 0)
    (whole,) = fake_run(DENSE, device=even_device(DENSE), trials=ended.sent + 8)
    assert (whole.stopped_early, whole.measured) == (None, ended.sent + 8)
