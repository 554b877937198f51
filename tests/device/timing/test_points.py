"""Measurements of real devices."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from vrmpy_tune.device.timing.points import PUBLISHED, read_points
from vrmpy_tune.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

HEADER = "source,device,workload,threads,microseconds,note\n"


def test_the_published_measurements_are_read() -> None:
    points = read_points(PUBLISHED)
    assert len(points) == 68
    assert len(set(points)) == 68
    assert points[1].name == "vrmpy stream n=128, 4 threads"
    assert points[1].microseconds == 2.242


@pytest.mark.parametrize("row", ["a,b,c,x,1,", "a,b,c,1,,", "a,b,c,1,0,", "a,b,c,1,-2,"])
def test_a_row_that_is_no_measurement_is_named(row: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(HEADER + "a,b,c,1,2.5,\n" + row + "\n")
    with pytest.raises(UsageError, match="line 3"):
        read_points(path)


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("source,workload\n")
    with pytest.raises(UsageError, match="device, microseconds, threads"):
        read_points(path)
