"""The page about a run, as a reader sees it: the small network of the zoo, and one of 72 layers."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.browser import Browser, browser
from tests.report.page_layers import PROFILE, layer
from vrmpy_tune.cli.application import run
from vrmpy_tune.measurement import HVX_TIME_8GEN1
from vrmpy_tune.model.artifact import read_network
from vrmpy_tune.model.zoo import small_residual
from vrmpy_tune.report.profile_page import profile_page

pytestmark = [pytest.mark.device, pytest.mark.slow]

WIDE, NARROW = 1280, 400

BOXES = """
return [...document.querySelectorAll(arguments[0])].map((one) => {
  const box = one.getBoundingClientRect();
  return {left: box.left, right: box.right, top: box.top, bottom: box.bottom,
          width: box.width, height: box.height, text: one.textContent, link: one.hash};
});
"""
CONTRASTS = """
const parse = (text) => text.match(/[\\d.]+/g).map(Number);
const light = (rgb) => {
  const [r, g, b] = rgb.slice(0, 3).map((c) => c / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const behind = (one) => {
  for (let at = one; at; at = at.parentElement) {
    const color = parse(getComputedStyle(at).backgroundColor);
    if (color.length === 3 || color[3] > 0) return color;
  }
};
const texts = [...document.querySelectorAll("body *")].filter((one) => one.offsetParent
  && [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim()));
return texts.map((one) => {
  const [a, b] = [light(parse(getComputedStyle(one).color)), light(behind(one))];
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
});
"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as found:
        yield found


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small network, compiled, and the pages of two runs."""
    root = tmp_path_factory.mktemp("page")
    shutil.copy(small_residual(), root / "small.onnx")
    compiled, page = root / "net", root / "page.html"
    assert run(["compile", str(root / "small.onnx"), "-o", str(compiled)]) == 0
    assert run(["run", str(compiled), "--profile", "--html", str(page)]) == 0
    named = ["--metric", HVX_TIME_8GEN1, "--html", str(root / "named.html")]
    assert run(["run", str(compiled), *named]) == 0
    return root


@pytest.fixture(scope="module")
def names(directory: Path) -> list[str]:
    return [one.name for one in read_network(directory / "net").network.layers]


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of 72 layers with long names, one of which takes next to no time."""
    conv = "conv2d:n=1,h=7,w=7,ci={},co=64,kh=3,kw=3,stride=1,pad=1,lhs=u8,rhs=i8"
    layers = [
        layer(
            f"/layer{row}/layer{row}.{row % 6}/conv{row}/Conv_quant",
            conv.format(32 * row),
            20_000 * row,
        )
        for row in range(1, 72)
    ]
    layers.append(layer("tiny", "clip:shape=1,dtype=u8", 0, others=1))
    page = tmp_path_factory.mktemp("deep") / "deep.html"
    total = sum(one.time.nanoseconds for one in layers) / 1e3
    page.write_text(profile_page("deep", layers, PROFILE, total), encoding="utf-8")
    return page


@pytest.fixture(params=["small", "deep"])
def page(request: pytest.FixtureRequest, directory: Path, deep: Path) -> Path:
    return directory / "page.html" if request.param == "small" else deep


def boxes(chromium: Browser, selector: str) -> list[dict[str, Any]]:
    """Return where elements are now, and their text."""
    chromium.settle()
    found: list[dict[str, Any]] = chromium.run(BOXES, selector)
    return found


def test_a_time_is_what_a_page_is_about_unless_said_otherwise(directory: Path) -> None:
    pages = [(directory / name).read_bytes() for name in ("page.html", "named.html")]
    assert pages[0] == pages[1]


def test_nothing_is_fetched_and_nothing_fails(chromium: Browser, page: Path) -> None:
    chromium.resize(WIDE)
    chromium.open(page)
    chromium.requests(), chromium.errors()
    chromium.open(page)
    for summary in chromium.driver.find_elements(By.CSS_SELECTOR, "summary")[:3]:
        summary.click()
    chromium.settle()
    asked = [url for url in chromium.requests() if not url.startswith(("data:", "about:"))]
    assert asked == [page.as_uri()]
    assert chromium.errors() == []


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_each_layer_is_seen_with_its_time_and_its_bottleneck(
    chromium: Browser, directory: Path, names: list[str], width: int
) -> None:
    chromium.resize(width)
    chromium.open(directory / "page.html")
    columns = {key: boxes(chromium, f".layer .{key}") for key in ("name", "bar", "time", "mostly")}
    assert [one["text"] for one in columns["name"]] == names
    for cells in columns.values():
        assert len(cells) == len(names)
        for cell in cells:
            assert cell["width"] > 0 < cell["height"]
            assert 0 <= cell["left"] < cell["right"] <= width
    assert all(one["text"].endswith(" µs") for one in columns["time"])
    assert all(one["text"].endswith("%") for one in columns["mostly"])


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_columns_and_bars_are_as_long_as_the_times(
    chromium: Browser, page: Path, width: int
) -> None:
    chromium.resize(width)
    chromium.open(page)
    times = [
        int(one) for one in chromium.run(
            "return [...document.querySelectorAll('.layer')].map((one) => one.dataset.time)"
        )
    ]  # fmt: skip
    columns = boxes(chromium, ".strip a")
    (strip,) = boxes(chromium, ".strip")
    assert len(columns) == len(times)
    edge = strip["left"]
    for column, time in zip(columns, times, strict=True):
        assert column["left"] == pytest.approx(edge, abs=0.5)
        assert column["width"] == pytest.approx(strip["width"] * time / sum(times), abs=0.5)
        edge = column["right"]
    filled = chromium.run(
        "return [...document.querySelectorAll('.layer .bar')].map((bar) =>"
        " [...bar.children].reduce((sum, one) => sum + one.getBoundingClientRect().width, 0))"
    )
    longest = max(filled)
    assert longest == pytest.approx(boxes(chromium, ".layer .bar")[0]["width"], abs=1)
    for bar, time in zip(filled, times, strict=True):
        assert bar == pytest.approx(longest * time / max(times), abs=1)


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_points_lie_inside_the_axes_and_under_the_ceilings(
    chromium: Browser, page: Path, width: int
) -> None:
    chromium.resize(width)
    chromium.open(page)
    (plot,) = boxes(chromium, ".plot")
    points = boxes(chromium, ".point")
    assert len(points) == len(boxes(chromium, ".layer"))
    # As drawn: what a roof's path is above a point's centre.
    roofs = chromium.run(
        """
        const matrix = document.querySelector(".plot svg").getScreenCTM();
        return [...document.querySelectorAll(".roof")].map((path) => [0, path.getTotalLength()]
          .map((at) => path.getPointAtLength(at).matrixTransform(matrix))
          .map((point) => [point.x, point.y]));
        """
    )
    assert len(roofs) == 4
    for point in points:
        x = (point["left"] + point["right"]) / 2
        y = (point["top"] + point["bottom"]) / 2
        assert plot["left"] < x < plot["right"]
        assert plot["top"] < y < plot["bottom"]
        (_, top), *_ = roofs[0]
        assert y >= top
        (left, low), (right, high) = roofs[1]
        if x < right:
            assert y >= low + (x - left) / (right - left) * (high - low), "L2's port"


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_no_text_lies_on_another(chromium: Browser, page: Path, width: int) -> None:
    chromium.resize(width)
    chromium.open(page)
    for selector in (
        ".plot > span",
        ".ticks span",
        ".facts div",
        ".layer .row > span",
        ".parts li",
    ):
        texts = [one for one in boxes(chromium, selector) if one["width"]]
        assert texts
        for index, one in enumerate(texts):
            for other in texts[:index]:
                apart = (
                    one["left"] >= other["right"] - 1
                    or other["left"] >= one["right"] - 1
                    or one["top"] >= other["bottom"] - 1
                    or other["top"] >= one["bottom"] - 1
                )
                assert apart, (one["text"], other["text"])


@pytest.mark.parametrize("width", [WIDE, 800, NARROW])
def test_nothing_sticks_out_sideways(chromium: Browser, page: Path, width: int) -> None:
    chromium.resize(width)
    chromium.open(page, "#layer-1")
    assert chromium.run("return document.documentElement.scrollWidth") <= width
    cut = "one.scrollWidth > one.clientWidth + 1 && getComputedStyle(one).overflowX !== 'auto'"
    outside = f"return [...document.querySelectorAll('main *')].filter((one) => {cut})"
    assert [
        one.get_attribute("outerHTML")[:80] for one in chromium.run(outside)
        if one.tag_name in {"span", "p", "div", "summary", "section"} and one.text
        and "plot" not in (one.get_attribute("class") or "")
    ] == []  # fmt: skip


@pytest.mark.parametrize("way", ["row", "column", "point", "address"])
def test_a_layer_shows_its_program_beside_its_assembly(
    chromium: Browser, directory: Path, way: str
) -> None:
    chromium.resize(WIDE)
    chromium.open(directory / "page.html", "#layer-2" if way == "address" else "")
    clicked = {"row": "#layer-2 summary", "column": ".strip a[href='#layer-2']",
               "point": ".point[href='#layer-2']"}  # fmt: skip
    if way in clicked:
        chromium.driver.find_element(By.CSS_SELECTOR, clicked[way]).click()
    tir, assembly = boxes(chromium, "#layer-2 pre")
    assert "def main(activations: T.Buffer((1, 8, 8, 16)" in tir["text"]
    assert "vrmpy(" in assembly["text"]
    for one in (tir, assembly):
        assert one["width"] > 500
        assert one["height"] > 300
    assert tir["right"] < assembly["left"]
    assert tir["top"] == assembly["top"]
    assert tir["bottom"] == assembly["bottom"]
    assert 0 <= boxes(chromium, "#layer-2 summary")[0]["top"] < 900
    # The multiplications are far down; the listing begins at them, and goes on by a button.
    marks = boxes(chromium, "#layer-2 mark.here")
    assert len(marks) == 1
    assert assembly["top"] < marks[0]["top"] < assembly["bottom"]
    button = chromium.driver.find_element(By.CSS_SELECTOR, "#layer-2 button")
    assert button.text.startswith("next vrmpy (1 of ")
    button.click()
    assert button.text.startswith("next vrmpy (2 of ")


def test_code_is_below_each_other_where_the_page_is_narrow(
    chromium: Browser, directory: Path
) -> None:
    chromium.resize(NARROW)
    chromium.open(directory / "page.html", "#layer-2")
    tir, assembly = boxes(chromium, "#layer-2 pre")
    assert tir["bottom"] < assembly["top"]
    assert tir["width"] > 300


def test_pointing_at_a_layer_explains_it_and_shows_where_else_it_is(
    chromium: Browser, directory: Path, names: list[str]
) -> None:
    chromium.resize(WIDE)
    chromium.open(directory / "page.html")
    for selector in (".strip a[href='#layer-4']", "#layer-4 .bar", ".point[href='#layer-4']"):
        target = chromium.driver.find_element(By.CSS_SELECTOR, selector)
        chromium.run("arguments[0].scrollIntoView({block: 'center'})", target)
        ActionChains(chromium.driver).move_to_element(target).perform()
        (tip,) = boxes(chromium, "#tip")
        assert tip["text"].startswith(names[4])
        assert tip["height"] > 10
        assert 0 <= tip["left"] < tip["right"] <= WIDE
        assert 0 <= tip["top"] < tip["bottom"] <= 900
        lit = chromium.run("return [...document.querySelectorAll('.lit')].map((e) => e.className)")
        assert len(lit) == 3
    ActionChains(chromium.driver).send_keys(Keys.ESCAPE).perform()
    assert boxes(chromium, "#tip")[0]["width"] == 0


def test_the_keyboard_reaches_every_layer_and_its_code(chromium: Browser, directory: Path) -> None:
    chromium.resize(WIDE)
    chromium.open(directory / "page.html")
    keys = ActionChains(chromium.driver)
    keys.send_keys(Keys.TAB, Keys.TAB, Keys.TAB).perform()
    where = "return document.activeElement.closest('.layer')?.id"
    assert chromium.run(where) == "layer-0", "two buttons, then the first layer"
    assert boxes(chromium, "#tip")[0]["text"].startswith("stem"), "focus explains, too"
    ActionChains(chromium.driver).send_keys(Keys.ENTER).perform()
    assert len(boxes(chromium, "#layer-0 pre")) == 2
    assert chromium.run("return document.getElementById('layer-0').open")
    ActionChains(chromium.driver).send_keys(Keys.TAB).perform()
    assert chromium.run("return document.activeElement.getAttribute('aria-label')") == (
        "Scheduled TIR"
    )
    ActionChains(chromium.driver).send_keys(Keys.TAB, Keys.TAB, Keys.TAB).perform()
    assert chromium.run(where) == "layer-1"
    outline = "return getComputedStyle(document.activeElement).outlineStyle"
    assert chromium.run(outline) == "solid"


def test_layers_can_be_put_in_order_of_their_time(
    chromium: Browser, directory: Path, names: list[str]
) -> None:
    chromium.resize(WIDE)
    chromium.open(directory / "page.html")
    in_order, longest = chromium.driver.find_elements(By.CSS_SELECTOR, ".order button")
    longest.click()
    times = "return [...document.querySelectorAll('.layer')].map((one) => +one.dataset.time)"
    assert chromium.run(times) == sorted(chromium.run(times), reverse=True)
    assert longest.get_attribute("aria-pressed") == "true"
    in_order.click()
    assert [one["text"] for one in boxes(chromium, ".layer .name")] == names


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_all_text_is_readable_on_its_ground(
    chromium: Browser, directory: Path, *, dark: bool
) -> None:
    chromium.resize(WIDE, dark=dark)
    chromium.open(directory / "page.html", "#layer-2")
    paper = chromium.run("return getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") is not dark
    contrasts = chromium.run(CONTRASTS)
    assert len(contrasts) > 100
    # WCAG 2.2, success criterion 1.4.3.
    assert min(contrasts) >= 4.5
