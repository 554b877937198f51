"""The page about one run."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from vrmpy_tune.device.timing.estimate import PARTS
from vrmpy_tune.device.timing.profile import load_profile
from vrmpy_tune.measurement import HVX_TIME_8GEN1, EstimatedTime
from vrmpy_tune.report.profile_page import PageLayer, ceilings, profile_page
from vrmpy_tune.workload import parse_workload

PROFILE = load_profile("sd8gen1")
DENSE = "dense:m=128,n=768,k=768,lhs=u8,rhs=u8"
POOL = "max_pool2d:n=1,h=8,w=8,c=32,kh=2,kw=2,stride=2"


class Tags(HTMLParser):
    """Collects tags, and checks that they close in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in {"meta", "rect", "circle", "polyline"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in {"rect", "circle"}:
            assert self.open.pop() == tag


def layer(name: str, text: str, memory: int = 10) -> PageLayer:
    parts = tuple((part, memory if part == "memory" else 20) for part in PARTS)
    time = EstimatedTime(HVX_TIME_8GEN1, sum(ns for _, ns in parts), parts)
    return PageLayer(name, parse_workload(text), 1000, time, "# <tir> & more", "\t{ v0 = v1 }")


def read(*layers: PageLayer) -> tuple[str, Tags]:
    total = sum(one.time.nanoseconds for one in layers) / 1e3
    page = profile_page("a <net>", layers, PROFILE, total)
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    return page, tags


def test_each_layer_has_a_bar_for_every_part_of_its_time() -> None:
    page, tags = read(layer("first", DENSE), layer("second", DENSE, 500))
    assert sum(tag == "rect" for tag, _ in tags.seen) == 2 * len(PARTS)
    assert re.search(r"second</td><td>0\.62</td>.*?<td>memory</td>", page)
    ends = [
        float(attributes["x"] or 0) + float(attributes["width"] or 0)
        for tag, attributes in tags.seen
        if tag == "rect"
    ]
    assert ends == sorted(ends)
    assert ends[-1] == pytest.approx(960, abs=0.2)


def test_texts_from_outside_are_escaped() -> None:
    page, _ = read(layer("<b>", DENSE))
    assert "a &lt;net&gt;" in page
    assert "# &lt;tir&gt; &amp; more" in page
    assert "<b>" not in page


def test_a_kernel_of_several_layers_is_shown_once() -> None:
    page, tags = read(layer("one", DENSE), layer("two", DENSE), layer("three", POOL))
    assert sum(tag == "details" for tag, _ in tags.seen) == 2
    assert "(one, two)" in page


def test_points_and_roofs_lie_inside_the_drawing() -> None:
    _, tags = read(layer("one", DENSE), layer("three", POOL))
    circles = [attributes for tag, attributes in tags.seen if tag == "circle"]
    lines = [attributes["points"] or "" for tag, attributes in tags.seen if tag == "polyline"]
    pairs = [(float(one["cx"] or 0), float(one["cy"] or 0)) for one in circles]
    pairs += [
        (float(x), float(y)) for line in lines for x, y in (one.split(",") for one in line.split())
    ]
    assert len(lines) == 3
    assert all(0 <= x <= 960 and 0 <= y <= 420 for x, y in pairs)


def test_ceilings_are_those_of_all_contexts() -> None:
    compute, memories = ceilings(PROFILE)
    assert compute == pytest.approx(4 * 1.496 * 128)
    assert memories["DRAM"] < memories["system cache"] < memories["L2"]
