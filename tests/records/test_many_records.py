"""How much is read of a store of many records: no clock, but rows and statements are counted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from tests.records.samples import DENSE, TOOLCHAIN, V68, record
from tests.records.synthetic import fill
from vrmpy_tune.cli.application import run
from vrmpy_tune.measurement import QEMU_PACKETS
from vrmpy_tune.records import Record, open_store, open_stores
from vrmpy_tune.records import sql_reader as module
from vrmpy_tune.records.resolver import Resolver
from vrmpy_tune.target import TARGETS
from vrmpy_tune.workload import parse_workload

RECORDS = 3000
GROUPS = 30
FIRST = 4
"""Rows that the first read of a ranking takes."""


class Reads:
    """Rows that were read as records, and statements that were run."""

    rows = 0
    statements = 0


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("many") / "many.db"
    fill(f"sqlite:///{path}", RECORDS, GROUPS)
    return path


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Iterator[Reads]:
    counted = Reads()
    read: Callable[[Any], Record] = module.read_record

    def count(row: Any) -> Record:
        counted.rows += 1
        return read(row)

    def execute(*_: Any) -> None:
        counted.statements += 1

    monkeypatch.setattr(module, "read_record", count)
    event.listen(Engine, "before_cursor_execute", execute)
    yield counted
    event.remove(Engine, "before_cursor_execute", execute)


def _any(path: Path) -> Record:
    with open_store(path, readonly=True) as store:
        return store.query(limit=1)[0]


@pytest.mark.parametrize(
    ("words", "rows", "statements"),
    [
        (["ls"], 90, 20),
        (["ls", "--limit", "1"], FIRST, 10),
        (["best"], 2 * GROUPS, 16),
        (["show", "ID"], 1, 6),
        (["prune", "--keep", "1000000"], 0, 12),
    ],
)
def test_verbs_read_what_they_show(
    many: Path, reads: Reads, words: list[str], rows: int, statements: int
) -> None:
    known = _any(many).id
    reads.rows = reads.statements = 0
    words = [known if word == "ID" else word for word in words]
    assert run(["records", *words, "--records", str(many)]) == 0
    assert reads.rows <= rows
    assert reads.statements <= statements


def test_a_lookup_reads_the_first_rows_whatever_the_toolchain(many: Path, reads: Reads) -> None:
    known = _any(many)
    with open_store(many, readonly=True) as store:
        reads.rows = reads.statements = 0
        for toolchain in (known.toolchain, {"tvm": "another"}):
            resolver = Resolver(store, TARGETS[known.target], toolchain=toolchain)
            assert next(resolver.ranked(known.workload, known.metric)) == known
        assert reads.rows <= 2 * FIRST
        assert reads.statements <= 8


def test_a_record_of_the_toolchain_at_hand_is_found_behind_better_ones_of_others(
    reads: Reads, tmp_path: Path
) -> None:
    ours = record(99, total=5000)
    with open_store(f"sqlite:///{tmp_path / 'a.db'}") as store:
        store.add_many(record(i, total=1000 + i, toolchain={"tvm": "old"}) for i in range(50))
        store.add(ours)
        reads.rows = 0
        resolver = Resolver(store, TARGETS[V68], toolchain=ours.toolchain)
        assert next(resolver.ranked(DENSE, QEMU_PACKETS)) == ours
        assert reads.rows <= FIRST
        newer = TOOLCHAIN | {"tvm": "new"}
        resolver = Resolver(store, TARGETS[V68], toolchain=newer, exact=True)
        assert next(resolver.ranked(DENSE, QEMU_PACKETS)) == record(
            0, total=1000, toolchain={"tvm": "old"}
        )
        exact = resolver.resolve(parse_workload(DENSE))
        assert exact.record is None
        assert "51 records" in exact.reason


def test_a_view_of_two_stores_reads_no_more_of_either(
    many: Path, reads: Reads, tmp_path: Path
) -> None:
    other = tmp_path / "other.db"
    better = record(1, _any(many).workload, total=1)
    with open_store(other) as store:
        store.add(better)
    with open_stores([many, other]) as view:
        reads.rows = 0
        assert view.count() == RECORDS + 1
        assert view.query(better.workload, better.target, better.metric, limit=1) == [better]
        assert reads.rows <= 2 * FIRST
