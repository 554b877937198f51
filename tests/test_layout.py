"""Layouts: packing and its inverse, where one weight lands, the offset of signed weights."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vrmpy_tune.layout import channels_of_lanes, lane_of, pack, packed_shape, round_up, unpack

ODD = (1, 3, 7, 31, 32, 33, 129)


def weights_of(shape: tuple[int, ...], dtype: type[np.generic], seed: int = 0) -> np.ndarray:
    bounds = np.iinfo(dtype)
    generator = np.random.default_rng(seed)
    return generator.integers(bounds.min, bounds.max + 1, shape).astype(dtype)


@given(
    st.integers(1, 3),
    st.tuples(st.integers(1, 70), st.integers(1, 3), st.integers(1, 3), st.integers(1, 40)),
    st.sampled_from([(np.uint8, False), (np.int8, False), (np.int8, True)]),
    st.integers(0, 99),
)
def test_unpack_undoes_pack(
    groups: int, sizes: tuple[int, ...], kind: tuple[type[np.generic], bool], seed: int
) -> None:
    (dtype, offset), (per_group, height, width, depth) = kind, sizes
    shape = (groups * per_group, height, width, depth)
    weights = weights_of(shape, dtype, seed)
    packed = pack(weights, groups, offset=offset)
    assert packed.shape == packed_shape(shape, groups)
    assert packed.flags.c_contiguous
    back = unpack(packed, shape, offset=offset)
    assert back.dtype == weights.dtype
    np.testing.assert_array_equal(back, weights)


@pytest.mark.parametrize("outputs", ODD)
@pytest.mark.parametrize("depth", ODD)
def test_a_vector_holds_four_channels_of_32_outputs(outputs: int, depth: int) -> None:
    weights = weights_of((outputs, 1, 1, depth), np.uint8)
    packed = pack(weights, 1, offset=False)
    assert packed.shape == (1, -(-outputs // 32), 1, 1, -(-depth // 4), 32, 4)
    for o, i in np.ndindex(outputs, depth):
        assert packed[0, o // 32, 0, 0, i // 4, o % 32, i % 4] == weights[o, 0, 0, i]


def test_one_weight_of_a_grouped_kernel_lands_in_its_groups_vectors() -> None:
    weights = np.zeros((2 * 33, 3, 5, 7), np.int8)
    weights[33 + 32, 2, 4, 6] = -5
    packed = pack(weights, 2, offset=False)
    assert np.argwhere(packed).tolist() == [[1, 1, 2, 4, 1, 0, 2]]
    assert packed[1, 1, 2, 4, 1, 0, 2] == -5


@pytest.mark.parametrize("offset", [False, True])
def test_what_does_not_fill_a_vector_is_zero(offset: bool) -> None:
    weights = np.full((33, 1, 1, 3), 127, np.int8)
    packed = pack(weights, 1, offset=offset)
    assert np.count_nonzero(packed) == 33 * 3
    assert packed.dtype == (np.uint8 if offset else np.int8)


@pytest.mark.parametrize("outputs", ODD)
def test_pairs_of_vectors_hold_even_and_odd_outputs(outputs: int) -> None:
    weights = weights_of((outputs, 1, 1, 1), np.uint8)
    packed = pack(weights, 1, offset=False, lanes=channels_of_lanes(outputs, 2))
    assert packed.shape[1] == 2 * -(-outputs // 64)
    for channel in range(outputs):
        vector, lane = lane_of(channel, 2)
        assert (vector % 2, lane % 32) == (channel % 2, channel % 64 // 2)
        assert packed[0, vector, 0, 0, 0, lane, 0] == weights[channel, 0, 0, 0]


@pytest.mark.parametrize("outputs", (33, 63, 64, 129))
def test_the_last_vector_may_end_with_the_last_output(outputs: int) -> None:
    lanes = channels_of_lanes(outputs, 1, overlapped=True)
    assert lanes[-1].tolist() == list(range(outputs - 32, outputs))
    assert lanes[:-1].ravel().tolist() == list(range(32 * (len(lanes) - 1)))
    weights = weights_of((outputs, 1, 1, 1), np.uint8)
    packed = pack(weights, 1, offset=False, lanes=lanes)
    np.testing.assert_array_equal(packed[0, -1, 0, 0, 0, :, 0], weights[-32:, 0, 0, 0])


def test_more_words_than_there_are_channels_hold_what_is_asked_for() -> None:
    packed = pack(np.full((32, 1, 1, 3), 5, np.uint8), 1, offset=False, words=2, fill=9)
    assert packed.shape == packed_shape((32, 1, 1, 3), 1, 2) == (1, 1, 1, 1, 2, 32, 4)
    assert set(packed[..., 0, :, :3].ravel().tolist()) == {5}
    assert set(packed[..., 0, :, 3].ravel().tolist()) == {9}
    assert set(packed[..., 1, :, :].ravel().tolist()) == {9}


def test_channels_that_fill_a_word_hold_what_is_asked_for() -> None:
    packed = pack(np.full((32, 1, 1, 3), 5, np.int8), 1, offset=True, fill=130)
    assert set(packed[..., :3].ravel().tolist()) == {133}
    assert set(packed[..., 3].ravel().tolist()) == {130}


def test_the_offset_maps_the_signed_range_onto_the_unsigned_one() -> None:
    weights = np.arange(-128, 128).astype(np.int8).reshape(256, 1, 1, 1)
    packed = pack(weights, 1, offset=True)
    assert packed[0, :, 0, 0, 0, :, 0].ravel().tolist() == list(range(256))


def test_packing_leaves_its_argument_alone() -> None:
    weights = weights_of((32, 1, 1, 4), np.int8)
    before = weights.copy()
    pack(weights, 1, offset=True)[:] = 0
    pack(weights, 1, offset=False)[:] = 0
    np.testing.assert_array_equal(weights, before)


def test_unpacking_gives_an_array_of_its_own() -> None:
    packed = pack(weights_of((32, 1, 1, 4), np.int8), 1, offset=False)
    before = packed.copy()
    unpack(packed, (32, 1, 1, 4), offset=False)[:] = 0
    np.testing.assert_array_equal(packed, before)


@pytest.mark.parametrize(("value", "rounded"), [(1, 32), (31, 32), (32, 32), (33, 64), (129, 160)])
def test_rounding_up_ends_on_a_multiple(value: int, rounded: int) -> None:
    assert round_up(value, 32) == rounded
