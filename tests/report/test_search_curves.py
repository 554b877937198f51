"""The plot of a study."""

from __future__ import annotations

from pathlib import Path

import pytest

from vrmpy_tune.report.search_curves import fractions, plot_curves
from vrmpy_tune.tune.study import Curve


def curve(workload: str, search: str, seed: int) -> Curve:
    return Curve(workload, search, seed, (None, 400, 200 + seed), 100)


def test_a_curve_rises_from_nothing_towards_the_bound() -> None:
    assert fractions(curve("w", "random", 0)) == [0.0, 0.25, 0.5]


@pytest.mark.parametrize("workloads", [1, 3])
def test_every_workload_gets_a_panel(tmp_path: Path, workloads: int) -> None:
    curves = [
        curve(f"w{number}", search, seed)
        for number in range(workloads)
        for search in ("evolutionary", "random")
        for seed in range(2)
    ]
    path = tmp_path / "curves.svg"
    plot_curves(curves, path)
    # matplotlib writes each text into the file as a comment.
    text = path.read_text()
    assert all(f"<!-- w{number} -->" in text for number in range(workloads))
    assert text.count("<!-- random (2 seeds) -->") == workloads
