"""Curves of searches: in the order of proposals, whatever was measured first."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.tune.conftest import FakeRun
from vrmpy_tune.measurement import Outcome
from vrmpy_tune.target import TARGETS
from vrmpy_tune.tune.events import CandidateMeasured, Event
from vrmpy_tune.tune.study import SEARCHES, Curve, run_study, summary, write_curves
from vrmpy_tune.workload import parse_workload

DENSE = parse_workload("dense:m=48,n=64,k=64,lhs=u8,rhs=u8")
FIGURES = (None, 500, 400, None, 800, 205, 200)


def curve(figures: tuple[int | None, ...] = FIGURES, **changes: Any) -> Curve:
    values = {"workload": "w", "search": "random", "seed": 0, "packet_bound": 100, **changes}
    return Curve(figures=figures, **values)


def test_the_best_so_far_never_rises_and_starts_with_the_first_result() -> None:
    assert curve().best_so_far == (None, 500, 400, 400, 400, 205, 200)
    assert curve().best == 200


def test_95_percent_is_reached_by_the_first_candidate_that_is_close_enough() -> None:
    rows = summary([curve(), curve((None, 150), seed=1), curve((7,), workload="other")])
    assert [row["trials_to_95"] for row in rows] == [6, 2, 1]
    assert [row["trials_to_95_of_all"] for row in rows] == [None, 2, 1]


def test_every_search_runs_with_every_seed_and_candidates_come_in_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[str, int]] = []

    def tune(_: Any, *, events: Callable[[Event], None], **options: Any) -> list[Any]:
        asked.append((options["search"], options["seed"]))
        assert options["early_stop"] is False
        measured = [
            CandidateMeasured("w", Outcome.OK, 10 * one, None, None, None, 1, 9, number=one)
            for one in range(1, 10)
        ]
        for event in random.Random(0).sample(measured, 9):
            events(event)
        return [SimpleNamespace(interrupted=False)]

    monkeypatch.setattr("vrmpy_tune.tune.study.tune", tune)
    curves = list(
        run_study([DENSE], seeds=(0, 1), trials=9, target=TARGETS["hexagon-v68"], records="x.db")
    )
    assert asked == [(search, seed) for seed in (0, 1) for search in SEARCHES]
    assert all(one.figures == tuple(range(10, 100, 10)) for one in curves)


def test_candidates_are_numbered_alike_however_long_each_took(fake_run: FakeRun) -> None:
    events: list[Event] = []
    fake_run(str(DENSE), trials=20, events=events)
    numbers = [event.number for event in events if isinstance(event, CandidateMeasured)]
    assert sorted(numbers) == list(range(1, 21))


def test_what_is_written_is_what_was_measured(tmp_path: Path) -> None:
    write_curves([curve()], tmp_path / "new")
    document = json.loads((tmp_path / "new" / "curves.json").read_text())
    assert document["curves"][0]["figures"] == list(FIGURES)
    assert document["summary"] == summary([curve()])
    with (tmp_path / "new" / "curves.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["packets"] for row in rows] == ["", "500", "400", "", "800", "205", "200"]
    assert rows[-1]["best_so_far"] == "200"
