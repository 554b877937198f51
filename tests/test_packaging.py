"""What an installation consists of."""

from __future__ import annotations

import tomllib
from pathlib import Path

from vrmpy_tune.records.location import open_stores
from vrmpy_tune.records.resolver import Resolver
from vrmpy_tune.records.shipped import shipped_records, sources
from vrmpy_tune.target import TARGETS
from vrmpy_tune.workload import parse_workload

ROOT = Path(__file__).resolve().parents[1]


def test_every_package_of_the_tree_is_installed() -> None:
    listed = set(
        tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    )
    found = {
        str(init.parent.relative_to(ROOT)).replace("/", ".")
        for top in ("vrmpy_tune", "search_spaces")
        for init in (ROOT / top).rglob("__init__.py")
    }
    assert found | {"vrmpy_tune_records"} == listed


def test_the_shipped_records_are_read_by_default() -> None:
    shipped = shipped_records()
    assert shipped == ROOT / "records"
    assert sources()[-1] == str(shipped)


def test_named_stores_come_before_the_shipped_records_unless_those_are_left_out() -> None:
    shipped = str(ROOT / "records")
    assert sources(["a.db", "b.db"]) == ["a.db", "b.db", shipped]
    assert sources(["a.db"], shipped=False) == ["a.db"]
    assert sources([shipped]) == [shipped], "none is read twice"
    assert shipped not in sources(shipped=False)


def test_a_user_who_never_tuned_gets_a_shipped_record() -> None:
    with open_stores([str(ROOT / "records")]) as reader:
        resolver = Resolver(reader, TARGETS["hexagon-v68"])
        found = resolver.resolve(parse_workload("dense:m=128,n=768,k=768,lhs=u8,rhs=u8"))
    assert found.status.is_hit
