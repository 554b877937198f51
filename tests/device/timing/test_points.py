"""Measurements of real devices."""

from __future__ import annotations

from pathlib import Path

import pytest

from vrmpy_tune.device.timing.points import PUBLISHED, read_points
from vrmpy_tune.errors import UsageError

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


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfe\0",
        b"source,device,workload,threads,microseconds\n\xff,a,b,1,3\n",
        b"source,device,workload,threads,microseconds\na,b,c,1,inf\n",
        b"source,device,workload,threads,microseconds\na,b,c,1,1e308\n",
        b"source,device,workload,threads,microseconds\na,b,c,1,nan\n",
        b"source,device,workload,threads,microseconds\n" + b"a" * 200_000 + b",b,c,1,1\n",
    ],
)
def test_other_files_are_no_measurements(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "points.csv"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=str(path)):
        read_points(path)


def test_a_file_without_an_end_is_refused_at_once() -> None:
    with pytest.raises(OSError, match="no regular file"):
        read_points(Path("/dev/zero"))
