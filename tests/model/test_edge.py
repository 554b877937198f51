"""The first quantize and the last dequantize, on the host."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from vrmpy_tune.errors import UsageError
from vrmpy_tune.model.edge import check_inputs, dequantized, quantized
from vrmpy_tune.model.network import Port

IMAGE = Port("image", (1, 3, 2, 2), "float32", "nchw", 0.5, 10, "x", (1, 2, 2, 3), "uint8")
ROW = Port("row", (1, 4), "float32", "nc", 0.5, 10, "y", (1, 4), "uint8")


def test_values_are_rounded_half_to_even_and_saturate() -> None:
    values = np.array([[0.25, 0.75, -100.0, 1e6]], np.float32)
    assert quantized(ROW, values).tolist() == [[10, 12, 0, 255]]


def test_dequantizing_is_the_inverse_on_the_grid() -> None:
    integers = np.array([[0, 10, 11, 255]], np.uint8)
    values = dequantized(ROW, integers)
    assert values.dtype == np.float32
    assert values.tolist() == [[-5.0, 0.0, 0.5, 122.5]]
    assert quantized(ROW, values).tolist() == integers.tolist()


def test_images_get_their_channels_last_and_back() -> None:
    values = np.arange(12, dtype=np.float32).reshape(1, 3, 2, 2) / 2
    integers = quantized(IMAGE, values)
    assert integers.shape == (1, 2, 2, 3)
    assert integers[0, 1, 0].tolist() == [12, 16, 20]
    np.testing.assert_array_equal(dequantized(IMAGE, integers), values)


def test_channels_that_the_file_lacks_are_zero_points() -> None:
    padded = replace(IMAGE, integer_shape=(1, 2, 2, 4))
    integers = quantized(padded, np.ones((1, 3, 2, 2), np.float32))
    assert integers[..., :3].tolist() == [[[[12] * 3] * 2] * 2]
    assert integers[..., 3].tolist() == [[[10, 10], [10, 10]]]


def test_signed_integers_are_shifted_into_unsigned_ones_and_back() -> None:
    port = replace(ROW, dtype="int8", zero_point=138)
    values = np.array([[-128, -1, 0, 127]], np.int8)
    integers = quantized(port, values)
    assert (integers.dtype, integers.tolist()) == (np.uint8, [[0, 127, 128, 255]])
    back = dequantized(port, integers)
    assert (back.dtype, back.tolist()) == (np.int8, values.tolist())


def test_integers_of_the_networks_type_are_passed_as_they_are() -> None:
    port = replace(ROW, dtype="uint8")
    values = np.array([[1, 2, 3, 4]], np.uint8)
    np.testing.assert_array_equal(quantized(port, values), values)
    np.testing.assert_array_equal(dequantized(port, values), values)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, r"x\.npz: the input 'row' is missing; it takes row \(float32\[1, 4\]\)"),
        ({"line": np.zeros((1, 4))}, "the model has no input 'line'; it takes row"),
        ({"row": np.zeros((4,))}, r"'row' has shape \[4\], but the model takes \[1, 4\]"),
        ({"row": np.array([["a", "b", "c", "d"]])}, "'row' is <U1, which is not a number"),
        ({"row": np.array([[0, 1, np.nan, 2]])}, "'row' holds values that are not finite"),
    ],
)
def test_inputs_that_do_not_match_are_a_sentence(
    given: dict[str, np.ndarray], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        check_inputs((ROW,), given, "--input x.npz")


def test_integers_are_not_taken_for_another_type() -> None:
    with pytest.raises(UsageError, match="'row' is int8, but the model takes uint8"):
        check_inputs((replace(ROW, dtype="uint8"),), {"row": np.zeros((1, 4), np.int8)}, "x")
