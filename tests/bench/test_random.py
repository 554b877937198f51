"""Random workloads: which they are, and that each ends with a figure or a reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.bench.conftest import TINY, without_compiler
from tests.tuned import CONV, DENSE, UNKNOWN, V68, records, tuned_store
from vrmpy_tune.bench import BenchReport, bench_random
from vrmpy_tune.bench.random_run import flat_bound
from vrmpy_tune.bench.row import FIXED, TUNED
from vrmpy_tune.errors import NoValidCandidateError
from vrmpy_tune.records import open_store
from vrmpy_tune.suites import Suite
from vrmpy_tune.suites.random_workloads import LEAST_MACS, MOST_MACS, random_suite
from vrmpy_tune.workload import Conv2d, Dense, parse_workload

Run = Callable[..., BenchReport]


@pytest.fixture
def fake_random(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Measure DENSE, CONV and UNKNOWN, of which the last has no record, on a fake device."""
    without_compiler(monkeypatch)
    chosen = Suite("random", "not so random", TINY.members[:3])
    monkeypatch.setattr("vrmpy_tune.bench.random_run.random_suite", lambda *_: chosen)

    def run(**options: Any) -> BenchReport:
        where = [str(tmp_path / "new.db"), str(tuned_store())]
        defaults = {"target": V68, "metric": "qemu-packets/1", "records": where, "trials": 2}
        return bench_random(3, seed=5, **{**defaults, **options})

    return run


def test_the_same_seed_gives_the_same_workloads_and_another_others() -> None:
    assert random_suite(20, 1) == random_suite(20, 1)
    assert set(random_suite(20, 1).members).isdisjoint(random_suite(20, 2).members)


def test_workloads_are_of_all_sizes_types_and_parities() -> None:
    drawn = [member.workload() for member in random_suite(200, 0).members]
    assert len(set(drawn)) == 200
    macs = sorted(workload.macs for workload in drawn)
    assert macs[0] >= LEAST_MACS
    assert macs[-1] <= MOST_MACS
    middle = (LEAST_MACS * MOST_MACS) ** 0.5
    assert 0.5 < macs[100] / middle < 2, "uniform on a logarithmic scale"
    for kind in (Dense, Conv2d):
        own = [workload for workload in drawn if isinstance(workload, kind)]
        assert len({workload.types for workload in own}) == 4
    channels = [workload.ci for workload in drawn if isinstance(workload, Conv2d)]
    assert any(one % 2 for one in channels)
    assert any(workload.m == 1 for workload in drawn if isinstance(workload, Dense))
    assert any(workload.k % 4 for workload in drawn if isinstance(workload, Dense))


@pytest.mark.parametrize(
    ("text", "bound"),
    [
        ("dense:m=2,n=33,k=5,lhs=u8,rhs=u8", 2 * 2 * 2 // 2),
        ("dense:m=1,n=33,k=5,lhs=u8,rhs=u8", 2 * 2),
        ("conv2d:n=1,h=4,w=4,ci=3,co=32,kh=3,kw=3,stride=1,pad=0,lhs=u8,rhs=u8", 4 * 7 // 2),
        ("conv2d:n=1,h=3,w=3,ci=3,co=32,kh=3,kw=3,stride=1,pad=0,lhs=u8,rhs=u8", 7),
    ],
)
def test_the_flat_bound_counts_words_of_the_whole_reduction(text: str, bound: int) -> None:
    assert flat_bound(parse_workload(text)) == bound


def test_workloads_with_records_are_measured_and_the_others_tuned_first(
    fake_random: Run, tmp_path: Path
) -> None:
    document = fake_random().as_json()
    rows = {row["workload"]: row for row in document["rows"] if row["system"] == TUNED}
    fixed = {row["workload"]: row for row in document["rows"] if row["system"] == FIXED}
    assert set(rows) == set(fixed) == {DENSE, CONV, UNKNOWN}
    assert rows[DENSE]["record"] == records(DENSE)[0].id
    with open_store(tmp_path / "new.db") as store:
        assert store.workloads() == [UNKNOWN]
        assert rows[UNKNOWN]["record"] in {one.id for one in store.query(UNKNOWN)}
    summary = document["random"]
    assert (summary["seed"], summary["trials"]) == (5, 2)
    assert (summary["wrong"], summary["without_schedule"]) == (0, 0)
    ratios = [rows[text]["packets_total"] / fixed[text]["packets_total"] for text in rows]
    assert [row["packets_to_fixed"] for row in rows.values()] == ratios
    assert summary["worst_packets_to_fixed"] == max(ratios)
    assert summary["median_bound_fraction"] == sorted(r["bound_fraction"] for r in rows.values())[1]


def test_a_workload_without_a_candidate_is_counted_and_loses_nobody_else(
    fake_random: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tune(*_: object, **__: object) -> None:
        raise NoValidCandidateError("No candidate was verified.")

    monkeypatch.setattr("vrmpy_tune.tune.run.tune", tune)
    told: list[str] = []
    document = fake_random(progress=told.append).as_json()
    assert document["random"]["without_schedule"] == 1
    tuned = [row for row in document["rows"] if row["system"] == TUNED]
    assert sum(row["verified"] is True for row in tuned) == 2
    assert "No candidate was verified." in told


def test_named_workloads_are_measured_like_random_ones(
    fake_random: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = Suite("random", "nothing at random", ())
    monkeypatch.setattr("vrmpy_tune.bench.random_run.random_suite", lambda *_: nothing)
    document = fake_random(workloads=[parse_workload(UNKNOWN)]).as_json()
    assert {row["workload"] for row in document["rows"]} == {UNKNOWN}
    assert {row["variant"] for row in document["rows"]} == {"named"}
    assert document["random"]["without_schedule"] == 0
    assert document["random"]["worst_critical_to_fixed"] is not None
