"""Searches, with compiler and simulator, whose packet scheduler does not do its work."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.toolchain.schedulers import crashing
from tests.tuned import DENSE, V68
from vrmpy_tune.cli.displays import displays
from vrmpy_tune.cli.tune import result_text
from vrmpy_tune.errors import NoValidCandidateError
from vrmpy_tune.measurement import Outcome
from vrmpy_tune.records import open_store
from vrmpy_tune.toolchain import codegen, packets
from vrmpy_tune.toolchain.codegen import FALLBACK, provenance
from vrmpy_tune.tune.run import TuneResult, tune
from vrmpy_tune.workload import parse_workload


def search(directory: Path) -> tuple[list[TuneResult], list[dict[str, Any]]]:
    """Return the result of a small search, and its candidates as ``--events`` writes them."""
    lines = directory / "events.jsonl"
    results: list[TuneResult] = []
    with displays(str(lines), stdout_is_free=True) as show, suppress(NoValidCandidateError):
        results = tune(
            [parse_workload(DENSE)],
            target=V68,
            trials=4,
            effort="quick",
            records=str(directory / "store.db"),
            transfer=False,
            events=show,
        )
    told = [json.loads(line) for line in lines.read_text().splitlines()]
    return results, [one for one in told if one["event"] == "candidate-measured"]


def test_a_fallback_stands_in_record_events_and_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without these flags clang makes packets itself, which the packet scheduler does not take.
    monkeypatch.setattr(codegen, "SEQUENTIAL_FLAGS", ())
    (result,), told = search(tmp_path)
    fallen = [one for one in told if one["generator"] == FALLBACK.name]
    assert fallen
    assert all("does not understand a packet of two" in one["fallback"] for one in fallen)
    assert not any(one["fallback"] for one in told if one not in fallen)
    with open_store(tmp_path / "store.db", readonly=True) as store:
        stored = {record.id: record.generator for record in store.query()}
    assert stored == {one["record"]: one["generator"] for one in told if one["record"]}
    assert "packets" not in stored.values()
    entry = result.as_json()
    assert entry["fallbacks"] == len(fallen)
    assert entry["best"]["generator"] == stored[entry["best"]["record"]]
    assert f"{len(fallen)} with LLVM's packets: the packet scheduler" in result_text(entry)


def test_a_crash_of_the_scheduler_is_a_build_error_of_this_toolchain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in = SimpleNamespace(
        __name__=crashing.__name__, UNKNOWN_ASSEMBLY=packets.UNKNOWN_ASSEMBLY
    )
    with monkeypatch.context() as patched:
        patched.setattr(codegen, "packets", stand_in)
        _, told = search(tmp_path)
    failed = [one for one in told if one["outcome"] == Outcome.BUILD_ERROR]
    assert failed
    assert all("scheduling packets" in one["message"] for one in failed)
    assert not any(one["generator"] in ("packets", FALLBACK.name) for one in told)
    with open_store(tmp_path / "store.db", readonly=True) as store:
        remembered = store.failures()
    assert len(remembered) == len(failed)
    assert all(one.toolchain["packets"] == provenance()["packets"] for one in remembered)

    _, told = search(tmp_path)
    assert all(one["cached"] for one in told)
    repaired = codegen.provenance
    monkeypatch.setattr(
        "vrmpy_tune.tune.evaluator.provenance",
        lambda versions: repaired(versions) | {"packets": "another"},
    )
    (result,), told = search(tmp_path)
    assert (result.recalled, result.failures) == (0, {})
    assert "packets" in {one["generator"] for one in told}
