"""Tables, CSV and figures of benchmarks and records."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from matplotlib.text import Text

from tests.records.samples import record
from tests.report.rows import document
from vrmpy_tune.errors import UsageError
from vrmpy_tune.records import open_store
from vrmpy_tune.records.shipped import shipped_records
from vrmpy_tune.report import records_plot
from vrmpy_tune.report.bench_plot import plot_bench
from vrmpy_tune.report.bench_table import print_bench, write_csv
from vrmpy_tune.report.figure import DOTS_PER_INCH, check_directory, check_figure_file
from vrmpy_tune.report.records_plot import SearchCurve, grouped, plot_records, read_curves
from vrmpy_tune.suites import SUITES

DENSE = "dense:m=128,n=768,k=768,lhs=u8,rhs=u8"
SIGNATURES = {".png": b"\x89PNG", ".svg": b"<?xml"}


def is_figure(path: Path) -> bool:
    return path.read_bytes().startswith(SIGNATURES[path.suffix])


def test_the_table_has_figures_ratios_and_reasons(capsys: pytest.CaptureFixture[str]) -> None:
    print_bench(document())
    printed = capsys.readouterr().out
    for words in (
        "peers: u8u8-i32",
        "252.8",
        "98.8%",
        "1.001",
        "Halide 21, best tile",
        "No record of it",
        "u8u8-i32, tuned: 1 of 2 measured",
        "1.001 of the best peer (geometric mean of 1); least 1.001, dense M128 N768 K768",
    ):
        assert words in printed
    assert "MetaSchedule" not in printed, "columns without a figure are left out"
    assert max(len(line) for line in printed.splitlines()) <= 160


def test_every_peer_is_printed_if_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    print_bench(document())
    assert "vector-vector form" not in capsys.readouterr().out
    print_bench(document(), every_peer=True)
    printed = capsys.readouterr().out
    for words in ("vector-vector form", "u8 x i8 -> i32", "648,547", "116.4"):
        assert words in printed


def test_csv_has_every_row_and_lists_in_one_cell(tmp_path: Path) -> None:
    write_csv(document(), tmp_path / "rows.csv")
    read = pd.read_csv(tmp_path / "rows.csv")
    assert list(read["system"]) == [row["system"] for row in document()["rows"]]
    assert read["counts"][0] == "bias; requantize"
    assert read["macs_per_packet"][0] == pytest.approx(75_497_472 / 298_618)
    assert set(read["suite"]) == {"peers"}


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_benchmarks_are_drawn(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"bench{suffix}"
    plot_bench(document(), path)
    assert is_figure(path)


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_records_and_searches_are_drawn(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"records{suffix}"
    curve = SearchCurve(DENSE, "events.jsonl", (None, 400_000, 300_000))
    unknown = SearchCurve("softmax:m=8", "events.jsonl", (1,))
    plot_records([record(300_000, DENSE)], [curve, unknown], path, 8)
    assert is_figure(path)


def test_the_worst_and_the_best_of_each_suite_are_drawn() -> None:
    directory = shipped_records()
    assert directory is not None
    with open_store(directory, readonly=True) as store:
        found = store.best_of_each()
    groups = grouped(found, 3)
    assert [group.title.partition(":")[0] for group in groups] == list(SUITES)
    for group in groups:
        shares = [bar.share for bar in group.bars]
        assert shares == sorted(shares)
        assert len(group.bars) <= 6
    workloads = {one.workload for one in found}
    assert sum(len(group.bars) + group.left_out for group in groups) == len(workloads)


def test_a_plot_of_the_shipped_records_has_the_size_of_a_screen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures: list[Any] = []
    monkeypatch.setattr(records_plot, "save", lambda figure, _: figures.append(figure))
    directory = shipped_records()
    assert directory is not None
    with open_store(directory, readonly=True) as store:
        plot_records(store.best_of_each(), [], tmp_path / "plot.png", 3)
    assert max(figures[0].get_size_inches()) * DOTS_PER_INCH <= 2000


def test_curves_are_read_in_the_order_of_measurement(tmp_path: Path) -> None:
    events = [
        {"event": "run-started"},
        {"event": "candidate-measured", "workload": DENSE, "value": None},
        {"event": "candidate-measured", "workload": DENSE, "value": 9},
        {"event": "candidate-measured", "workload": "other", "value": 5},
        {"event": "candidate-measured", "workload": DENSE, "value": 7},
        {"event": "candidate-measured", "workload": DENSE, "value": 8},
    ]
    path = tmp_path / "events.jsonl"
    path.write_text("\n".join(map(json.dumps, events)))
    first, second = read_curves([path])
    assert first == SearchCurve(DENSE, "events.jsonl", (None, 9, 7, 7))
    assert second.best == (5,)


def test_all_texts_of_a_plot_lie_inside_it_and_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figures: list[Any] = []
    monkeypatch.setattr(records_plot, "save", lambda figure, _: figures.append(figure))
    text = "conv2d:n=1,h=14,w=14,ci=64,co=64,kh=3,kw=3,stride=1,pad=1,lhs=u8,rhs=i8,out=u8,bias=1"
    curves = [
        SearchCurve(f"{text},requant=channel,act=relu", f"events{number}.jsonl", (90_000, 80_000))
        for number in range(3)
    ]
    plot_records([record(), record()], curves, tmp_path / "plot.png", 8)
    (figure,) = figures
    figure.draw_without_rendering()
    bars, curve = figure.axes
    legend = curve.get_legend().get_window_extent()
    assert not any(legend.overlaps(panel.get_window_extent()) for panel in (bars, curve))
    # Labels of ticks beyond an axis's ends are there as well, but not drawn.
    beyond = {
        tick.label1
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        for tick in axis.get_major_ticks()
        if not min(axis.get_view_interval()) <= tick.get_loc() <= max(axis.get_view_interval())
    }
    every = figure.findobj(Text)
    texts = [one for one in every if one.get_visible() and one.get_text() and one not in beyond]
    boxes = [one.get_window_extent() for one in texts]
    assert len(boxes) > 10
    for index, box in enumerate(boxes):
        assert 0 <= box.x0 < box.x1 <= figure.bbox.x1, texts[index]
        assert 0 <= box.y0 < box.y1 <= figure.bbox.y1, texts[index]
        for other in range(index):
            assert not boxes[other].overlaps(box), (texts[other], texts[index])


@pytest.mark.parametrize("content", ["[]", "{}", "no JSON", '{"event": "candidate-measured"}'])
def test_a_file_without_events_is_a_sentence(tmp_path: Path, content: str) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text(content)
    with pytest.raises(UsageError, match="holds no events"):
        read_curves([path])


def test_what_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"ends in \.png or \.svg"):
        check_figure_file(tmp_path / "figure.jpg")
    with pytest.raises(UsageError, match="there is no directory"):
        check_directory(tmp_path / "none" / "rows.csv")
    (tmp_path / "rows.csv").mkdir()
    with pytest.raises(UsageError, match="--csv"):
        write_csv(document(), tmp_path / "rows.csv")
    (tmp_path / "figure.png").mkdir()
    with pytest.raises(UsageError, match="cannot be written"):
        plot_bench(document(), tmp_path / "figure.png")
    with pytest.raises(UsageError, match="no records to draw"):
        plot_records([], [], tmp_path / "empty.png", 8)
