"""The build cache: whole entries or none, and bounded."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from vrmpy_tune.errors import ToolchainError
from vrmpy_tune.toolchain.cache import BuildCache, cache_directory, content_key


def test_what_was_added_is_found(tmp_path: Path) -> None:
    cache = BuildCache(tmp_path)
    key = content_key("a")
    assert cache.find(key) is None
    path = cache.add(key, b"content")
    assert cache.find(key) == path
    assert path.read_bytes() == b"content"
    assert os.access(path, os.X_OK)


def test_a_corrupted_entry_is_dropped(tmp_path: Path) -> None:
    cache = BuildCache(tmp_path)
    key = content_key("a")
    path = cache.add(key, b"content")
    path.write_bytes(b"content?")
    assert cache.find(key) is None
    assert not path.exists()


def test_moving_text_between_parts_changes_the_key() -> None:
    assert content_key("ab", "c") != content_key("a", "bc")
    assert content_key("ab") == content_key(b"ab")


def test_pruning_keeps_what_was_used_last(tmp_path: Path) -> None:
    cache = BuildCache(tmp_path, limit_bytes=5000)
    keys = [content_key(str(number)) for number in range(8)]
    for age, key in enumerate(reversed(keys)):
        os.utime(cache.add(key, b"x" * 1000), (1000 + age, 1000 + age))
    cache.find(keys[-1])
    assert cache.prune() > 0
    kept = [key for key in keys if cache.find(key)]
    assert keys[-1] in kept
    assert keys[0] in kept
    assert len(kept) <= 4
    assert cache.prune() == 0


def test_a_directory_that_cannot_be_written_is_named_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ToolchainError, match=r"VRMPY_TUNE_CACHE"):
        BuildCache(tmp_path / "file" / "below").add(content_key("a"), b"content")


def test_writers_at_the_same_time_do_not_disturb_each_other(tmp_path: Path) -> None:
    key = content_key("shared")
    seen: list[bytes] = []

    def work() -> None:
        cache = BuildCache(tmp_path)
        for _ in range(50):
            cache.add(key, b"y" * 10000)
            path = cache.find(key)
            assert path is not None
            seen.append(path.read_bytes())

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 200
    assert set(seen) == {b"y" * 10000}
    assert not list(tmp_path.rglob(".new-*"))


def test_the_environment_moves_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("VRMPY_TUNE_CACHE", str(tmp_path))
    assert cache_directory() == tmp_path
