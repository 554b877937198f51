"""What an installation consists of."""

from __future__ import annotations

import tomllib
from pathlib import Path

from vrmpy_tune.records.location import open_stores
from vrmpy_tune.records.lookup import lookup
from vrmpy_tune.records.shipped import default_sources, shipped_records

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
    assert default_sources()[-1] == str(shipped)


def test_a_user_who_never_tuned_gets_a_shipped_record() -> None:
    with open_stores([str(ROOT / "records")]) as reader:
        found = lookup(reader, "dense:m=128,n=768,k=768,lhs=u8,rhs=u8", "hexagon-v68")
    assert found.status.is_hit
