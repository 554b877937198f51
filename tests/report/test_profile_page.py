"""The page about one run, as text; ``test_profile_page_in_browser`` looks at it."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest

from tests.report.page_layers import PROFILE, layer
from vrmpy_tune.device.timing.estimate import PARTS
from vrmpy_tune.report.profile_page import PageLayer, profile_page
from vrmpy_tune.report.roofline import ceilings

DENSE = "dense:m=128,n=768,k=768,lhs=u8,rhs=u8"
POOL = "max_pool2d:n=1,h=8,w=8,c=32,kh=2,kw=2,stride=2"
EMPTY = {"meta", "link", "path", "br"}


class Tags(HTMLParser):
    """Collects tags, and checks that they close in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def read(*layers: PageLayer) -> tuple[str, Tags]:
    total = sum(one.time.nanoseconds for one in layers) / 1e3
    page = profile_page("a <net>", layers, PROFILE, total)
    tags = Tags()
    tags.feed(page)
    assert tags.open == []
    return page, tags


def test_each_layer_has_a_block_for_every_part_of_its_time() -> None:
    page, tags = read(layer("first", DENSE), layer("second", DENSE, 500))
    assert sum(tag == "i" for tag, _ in tags.seen) == 2 * 2 * len(PARTS)
    assert '<span class="time">0.66 µs</span>' in page
    assert '<span class="swatch memory"></span>memory 76%' in page
    assert "second: 0.66 µs\nmemory 0.50 µs, 76%\nissue 0.02 µs, 3%" in page


def test_texts_from_outside_are_escaped() -> None:
    page, _ = read(layer("<b>", DENSE))
    assert "a &lt;net&gt;" in page
    assert "# &lt;tir&gt; &amp; more" in page
    assert "<b>" not in page


def test_a_kernel_of_several_layers_is_in_the_page_once() -> None:
    page, tags = read(layer("one", DENSE), layer("two", DENSE), layer("three", POOL))
    kernels = [attributes["id"] for tag, attributes in tags.seen if tag == "template"]
    assert kernels == ["kernel-0", "kernel-1"]
    uses = [one["data-kernel"] for tag, one in tags.seen if tag == "details"]
    assert uses == ["kernel-0", "kernel-0", "kernel-1"]
    assert page.count("One kernel for one, two.") == 2


def test_every_part_of_a_time_has_a_colour_and_an_explanation() -> None:
    page, tags = read(layer("one", DENSE))
    keys = [one["class"] for tag, one in tags.seen if tag == "span" and "swatch" in str(one)]
    assert keys[: len(PARTS)] == [f"swatch {part}" for part in PARTS]
    for part in PARTS:
        assert f".{part} {{ background: var(--{part}) }}" in page
        assert f"--{part}: #" in page


def test_ceilings_are_those_of_all_contexts() -> None:
    compute, memories = ceilings(PROFILE)
    assert compute == pytest.approx(4 * 1.496 * 128)
    assert memories["DRAM"] < memories["system cache"] < memories["L2"]
