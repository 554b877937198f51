from __future__ import annotations

import os
from pathlib import Path

import pytest

from vrmpy_tune.new_file import create_beside
from vrmpy_tune.records.atomic_file import replace_file
from vrmpy_tune.toolchain.cache import BuildCache, write_atomically


@pytest.fixture(params=[0o077, 0o022, 0o002])
def umask(request: pytest.FixtureRequest) -> int:
    before = os.umask(request.param)
    request.addfinalizer(lambda: os.umask(before))
    return int(request.param)


def test_what_replaces_a_file_has_the_permissions_that_the_umask_leaves(
    tmp_path: Path, umask: int
) -> None:
    written = [tmp_path / "a" / "export.jsonl", tmp_path / "b" / "manifest.json"]
    replace_file(written[0], ["{}"])
    write_atomically(written[1], b"{}")
    written.append(BuildCache(tmp_path / "cache").add("ab" * 32, b"program"))
    modes = [path.stat().st_mode & 0o777 for path in written]
    assert modes == [0o666 & ~umask, 0o666 & ~umask, 0o777 & ~umask]


def test_a_symbolic_link_is_replaced_and_what_it_names_stays(tmp_path: Path) -> None:
    precious, link = tmp_path / "precious", tmp_path / "link"
    precious.write_text("mine")
    link.symlink_to(precious)
    write_atomically(link, b"new")
    assert precious.read_text() == "mine"
    assert not link.is_symlink()
    assert link.read_bytes() == b"new"


def test_two_new_files_beside_the_same_one_are_two(tmp_path: Path) -> None:
    made = [create_beside(tmp_path / "name") for _ in range(2)]
    for descriptor, _ in made:
        os.close(descriptor)
    assert made[0][1] != made[1][1]
    assert {path.parent for _, path in made} == {tmp_path}
