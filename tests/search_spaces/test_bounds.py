"""What every sampled schedule keeps to: registers, code size, one shape of trace for a sketch."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces import all_spaces, base_module, find_space, spaces_for
from search_spaces.decisions import Decisions
from search_spaces.geometry import MAX_TILE, geometry
from search_spaces.program import Form
from search_spaces.tiling import (
    MAX_BODY,
    MAX_ROWS,
    MAX_VECTORS,
    MAX_WORDS,
    VECTOR_REGISTERS,
    Sketch,
    sketches,
)
from tests.search_spaces.samples import CASES, WORKLOADS, all_samples, samples
from vrmpy_tune.errors import StaleRecordError
from vrmpy_tune.target import TARGETS, HexagonTarget
from vrmpy_tune.workload import Conv2d, Dense, parse_workload

SEEDS = (1, 2, 3)
EACH_CASE = pytest.mark.parametrize(("text", "space"), CASES, ids=[" ".join(c) for c in CASES])


def assert_bounded(chosen: Decisions, step: int) -> None:
    sketch = chosen.sketch
    accumulators = sketch.vectors * sketch.rows * chosen.columns[-1] * step
    assert accumulators + sketch.vectors <= VECTOR_REGISTERS, chosen
    assert accumulators * chosen.depth[-1] <= MAX_BODY, chosen
    assert chosen.depth[-1] <= MAX_WORDS, chosen


@EACH_CASE
def test_every_sample_fits_the_registers_and_a_bounded_body(text: str, space: str) -> None:
    for seed in SEEDS:
        for sample in samples(text, space, seed):
            assert_bounded(sample.decisions, geometry(sample.workload).unit[0])


@EACH_CASE
def test_a_sketch_has_the_same_instructions_whatever_its_decisions(text: str, space: str) -> None:
    kinds = [
        [[(one.kind.name, len(one.outputs)) for one in sample.schedule.trace.insts]
         for sample in samples(text, space, seed)]
        for seed in SEEDS
    ]  # fmt: skip
    assert kinds[0] == kinds[1] == kinds[2]


def test_different_seeds_choose_differently() -> None:
    text, space = next(case for case in CASES if "m=129" in case[0])
    chosen = {tuple(one.decisions for one in samples(text, space, seed)) for seed in SEEDS}
    assert len(chosen) > 1


def test_decisions_cover_the_loops_that_they_split() -> None:
    for sample in all_samples():
        view, chosen = geometry(sample.workload), sample.decisions
        chunks, middle, inner = chosen.columns
        assert chunks * middle * inner * view.unit[0] == view.columns
        rows = view.batch * view.height // chosen.sketch.rows
        assert chosen.rows[0] * chosen.rows[1] == rows
        assert chosen.depth[0] * chosen.depth[1] == view.kernel[1] * view.words


SIZES = st.integers(1, 300)


@given(SIZES, SIZES, SIZES, st.sampled_from(sorted(TARGETS)))
def test_sketches_of_any_matrix_fit_the_registers(m: int, n: int, k: int, target: str) -> None:
    view = geometry(Dense(m, n, k))
    _assert_sketches_fit(list(sketches(view, TARGETS[target])), view.vectors)


@given(SIZES, SIZES, st.integers(1, 40), st.sampled_from([(1, 1), (2, 1), (3, 3)]))
@settings(deadline=None)
def test_sketches_of_any_convolution_fit_the_registers(
    width: int, outputs: int, height: int, stride: tuple[int, int]
) -> None:
    view = geometry(Conv2d(1, height, width, 4, outputs, 1, 1, stride=stride, pad=(1, 1, 0, 0)))
    found = list(sketches(view, TARGETS["hexagon-v68"]))
    _assert_sketches_fit(found, view.vectors)
    assert all(view.height % sketch.rows == 0 for sketch in found)


def _assert_sketches_fit(found: list[Sketch], vectors: int) -> None:
    assert len(set(found)) == len(found) > 0
    for sketch in found:
        assert vectors % sketch.vectors == 0
        assert sketch.vectors <= MAX_VECTORS
        assert sketch.rows <= MAX_ROWS
        used = sketch.vectors * sketch.rows * sketch.max_columns() + sketch.vectors
        assert used <= VECTOR_REGISTERS


@given(SIZES)
def test_rows_are_widened_until_a_tile_divides_them_and_no_further(width: int) -> None:
    columns = geometry(Dense(width, 1, 1)).columns
    assert width <= columns <= width + 5  # some multiple of six
    good = range(6, MAX_TILE + 1)
    assert columns <= MAX_TILE or any(columns % tile == 0 for tile in good)
    assert not any(one % tile == 0 for one in range(width, columns) for tile in good)


def test_a_sketch_is_read_back_from_its_annotation() -> None:
    for sample in all_samples():
        assert Sketch.parse(sample.decisions.sketch.text()) == sample.decisions.sketch


@pytest.mark.parametrize("text", WORKLOADS)
@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_every_workload_has_a_space_that_suits_its_signs(text: str, target: HexagonTarget) -> None:
    workload = parse_workload(text)
    names = {space.form for space in spaces_for(workload, target)}
    assert (Form.SCALAR if workload.rhs == "u8" else Form.OFFSET) in names
    assert (Form.OFFSET if workload.rhs == "u8" else Form.SCALAR) not in names


def test_spaces_are_found_by_the_names_that_records_carry() -> None:
    for space in all_spaces():
        assert find_space(space.name) is space
    assert len({space.name for space in all_spaces()}) == len(all_spaces())


@pytest.mark.parametrize("name", ["dense.scalar/1", "dense.scalar", "", "nonsense/1"])
def test_a_space_that_is_gone_makes_a_record_stale(name: str) -> None:
    with pytest.raises(StaleRecordError, match=r"does not exist in this version; it has .*/3"):
        base_module("dense:m=1,n=1,k=1", name)
