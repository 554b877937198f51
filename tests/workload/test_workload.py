"""Workloads: the canonical text, what is refused and in which words, the numpy reference."""

from __future__ import annotations

import contextlib
import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from vrmpy_tune.errors import WorkloadError
from vrmpy_tune.workload import (
    MAX_EXTENT,
    MAX_TEXT,
    NUMPY_TYPES,
    OPERAND_TYPES,
    Conv2d,
    Dense,
    parse_workload,
)

DENSE = "dense:m=128,n=768,k=768,lhs=u8,rhs=u8"
CONV2D = "conv2d:n=1,h=56,w=56,ci=64,co=64,kh=3,kw=3,stride=1,pad=1,lhs=u8,rhs=i8"
TYPE_PAIRS = tuple(itertools.product(OPERAND_TYPES, OPERAND_TYPES))
ODD = (1, 3, 7, 31, 32, 33, 129)

extents = st.integers(1, 200)


@st.composite
def dense_workloads(draw: st.DrawFn) -> Dense:
    return Dense(draw(extents), draw(extents), draw(extents), *draw(st.sampled_from(TYPE_PAIRS)))


@st.composite
def conv2d_workloads(draw: st.DrawFn, largest: int = 40) -> Conv2d:
    small, pair = st.integers(1, 3), st.tuples(st.integers(1, 3), st.integers(1, 3))
    groups = draw(small)
    size, kernel, dilation = draw(st.tuples(*[st.integers(1, largest)] * 2)), draw(pair), draw(pair)
    pad = draw(st.tuples(*[st.integers(0, 2)] * 4))
    reach = [(extent - 1) * step + 1 for extent, step in zip(kernel, dilation, strict=True)]
    assume(reach[0] <= size[0] + pad[0] + pad[2])
    assume(reach[1] <= size[1] + pad[1] + pad[3])
    lhs, rhs = draw(st.sampled_from(TYPE_PAIRS))
    return Conv2d(
        draw(small), *size, groups * draw(small), groups * draw(small), *kernel,
        stride=draw(pair), pad=pad, dilation=dilation, groups=groups, lhs=lhs, rhs=rhs,
        layout=draw(st.sampled_from(("nhwc", "nchw"))),
    )  # fmt: skip


def random_tensor(kind: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    dtype = np.dtype(NUMPY_TYPES[kind])
    bounds = np.iinfo(dtype)
    generator = np.random.default_rng(seed)
    return generator.integers(bounds.min, bounds.max + 1, shape).astype(dtype)


@pytest.mark.parametrize("text", [DENSE, CONV2D])
def test_canonical_text_parses_and_prints_back(text: str) -> None:
    assert str(parse_workload(text)) == text


@given(st.one_of(dense_workloads(), conv2d_workloads()))
def test_every_workload_is_the_one_that_its_text_names(workload: Dense | Conv2d) -> None:
    text = str(workload)
    assert parse_workload(text) == workload
    assert str(parse_workload(text)) == text


@given(st.one_of(dense_workloads(), conv2d_workloads()), st.data())
def test_the_order_of_fields_in_a_text_does_not_matter(
    workload: Dense | Conv2d, data: st.DataObject
) -> None:
    operator, _, rest = str(workload).partition(":")
    fields = data.draw(st.permutations(rest.split(",")))
    assert parse_workload(f" {operator}:{' , '.join(fields)} ") == workload


def test_defaults_are_left_out_and_others_are_not() -> None:
    assert parse_workload(f"{CONV2D},dilation=1,groups=1,layout=nhwc") == parse_workload(CONV2D)
    full = f"{CONV2D[: CONV2D.index('lhs')]}dilation=2,groups=4,lhs=u8,rhs=i8,layout=nchw"
    assert str(parse_workload(full)) == full


@pytest.mark.parametrize(
    ("written", "canonical"),
    [("1x1", "1"), ("1x1x1x1", "1"), ("1x2", "1x2"), ("1x2x1x2", "1x2"), ("0x0x1x1", "0x0x1x1")],
)
def test_one_padding_has_one_text(written: str, canonical: str) -> None:
    workload = parse_workload(CONV2D.replace("pad=1", f"pad={written}"))
    assert f",pad={canonical}," in str(workload)


def test_pad_of_two_numbers_is_vertical_then_horizontal() -> None:
    workload = parse_workload(CONV2D.replace("pad=1", "pad=0x1"))
    assert isinstance(workload, Conv2d)
    assert workload.pad == (0, 1, 0, 1)
    assert workload.output_size == (54, 56)


REFUSED = {
    "": "must begin with 'dense:...' or 'conv2d:...'",
    "dense": "must begin with",
    "matmul:m=1": "'matmul:m=1' is not a workload",
    "dense:": "not of the form name=value",
    "dense:m=1,,n=1": "'' is not of the form name=value",
    "dense:m:1": "'m:1' is not of the form name=value",
    "dense:m=1,n=1": "dense: k must be given",
    "conv2d:n=1,h=3": "conv2d: w, ci, co, kh, kw must be given",
    DENSE + ",q=3": "there is no field 'q'; the fields are m, n, k, lhs, rhs",
    DENSE + ",stride=1": "there is no field 'stride'",
    DENSE + ",m=128": "the field 'm' is given twice",
    DENSE.replace("m=128", "m=1.5"): "m=1.5 must be a whole number",
    DENSE.replace("m=128", "m=1e3"): "m=1e3 must be a whole number",
    DENSE.replace("m=128", "m=nan"): "m=nan must be a whole number",
    DENSE.replace("m=128", "m=" + "9" * 400): "m=9+ must be a whole number",
    DENSE.replace("m=128", "m=\N{ARABIC-INDIC DIGIT THREE}"): "not of the form name=value",
    DENSE.replace("m=128", "m=3x3"): "m=3x3 must be one whole number",
    DENSE.replace("m=128", "m=0"): "m=0 is out of range; it must lie between 1 and",
    DENSE.replace("n=768", "n=-1"): "n=-1 is out of range",
    DENSE.replace("k=768", "k=1000000000"): "k=1000000000 is out of range",
    DENSE.replace("lhs=u8", "lhs=f32"): "lhs=f32 is not a data type vrmpy multiplies; use one of",
    DENSE.replace("rhs=u8", "rhs=i32"): "rhs=i32 is not a data type",
    DENSE.replace("m=128", "m=1048576"): r"the output of shape \(1048576, 768\) takes \d+ bytes",
    "dense:m=1,n=1048576,k=4096": "the weights of shape",
    "dense:m=1048576,n=1,k=4096": "the activations of shape",
    CONV2D.replace("ci=64", "ci=0"): "ci=0 is out of range",
    CONV2D.replace("kh=3", "kh=59"): "reaches over 59 x 3 pixels, more than the padded input of 58",
    CONV2D + ",dilation=1x30": "reaches over 3 x 61 pixels",
    CONV2D.replace("stride=1", "stride=0"): "stride=0 is out of range",
    CONV2D.replace("stride=1", "stride=1x0"): "stride=0 is out of range",
    CONV2D.replace("stride=1", "stride=1x1x1"): "stride takes one number or two, not 3",
    CONV2D.replace("stride=1", "stride=2x"): "stride=2x must be a whole number",
    CONV2D.replace("pad=1", "pad=-1"): "pad=-1 is out of range; it must lie between 0 and",
    CONV2D.replace("pad=1", "pad=1x1x1"): "pad takes one, two or four numbers, not 3",
    CONV2D + ",dilation=0": "dilation=0 is out of range",
    CONV2D + ",groups=3": "groups=3 must divide both ci=64 and co=64",
    CONV2D + ",layout=chwn": "layout=chwn is not a layout; use one of nhwc, nchw",
    "dense:" + "m=1," * MAX_TEXT: f"at most {MAX_TEXT} characters",
}


@pytest.mark.parametrize(("text", "sentence"), REFUSED.items())
def test_bad_text_is_refused_in_a_sentence_that_names_the_field(text: str, sentence: str) -> None:
    with pytest.raises(WorkloadError, match=sentence) as caught:
        parse_workload(text)
    assert str(caught.value).endswith(".")
    assert len(str(caught.value)) < 600


@given(st.text(max_size=60))
def test_any_text_parses_or_is_a_workload_error(text: str) -> None:
    for begin in ("", "dense:", DENSE + ",", CONV2D + ","):
        with contextlib.suppress(WorkloadError):
            assert isinstance(parse_workload(begin + text), Dense | Conv2d)


@pytest.mark.parametrize("value", [None, "1", 1.0, True, np.float32(1), [1]])
def test_a_field_that_is_no_whole_number_is_refused_by_name(value: object) -> None:
    with pytest.raises(WorkloadError, match="dense: k must be a whole number"):
        Dense(1, 1, value)  # type: ignore[arg-type]
    with pytest.raises(WorkloadError, match="conv2d: stride must be a whole number"):
        Conv2d(1, 3, 3, 4, 4, 3, 3, stride=(1, value))  # type: ignore[arg-type]


def test_the_largest_extent_is_accepted_and_one_more_is_not() -> None:
    assert Dense(1, 1, MAX_EXTENT).k == MAX_EXTENT
    with pytest.raises(WorkloadError, match="k=1048577 is out of range"):
        Dense(1, 1, MAX_EXTENT + 1)


def test_a_padded_input_that_no_hexagon_can_hold_is_refused() -> None:
    with pytest.raises(WorkloadError, match="padded input"):
        Conv2d(1, 1, 1, 4, 4, 1, 1, stride=(MAX_EXTENT,) * 2, pad=(MAX_EXTENT,) * 4)


def naive_dense(workload: Dense, lhs: np.ndarray, rhs: np.ndarray) -> list[list[int]]:
    return [
        [sum(int(lhs[m, k]) * int(rhs[n, k]) for k in range(workload.k)) for n in range(workload.n)]
        for m in range(workload.m)
    ]


@pytest.mark.parametrize(("lhs", "rhs"), TYPE_PAIRS)
@pytest.mark.parametrize("size", ODD)
def test_dense_reference_equals_a_naive_loop_nest(size: int, lhs: str, rhs: str) -> None:
    workload = Dense(3, 7, size, lhs, rhs)
    activations = random_tensor(lhs, workload.input_shape, seed=size)
    weights = random_tensor(rhs, workload.weight_shape, seed=size + 1)
    result = workload.reference(activations, weights)
    assert result.dtype == np.int32
    assert result.tolist() == naive_dense(workload, activations, weights)
    assert workload.macs == 21 * size


def naive_conv2d(workload: Conv2d, inputs: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Sum product by product in Python's integers, straight from the definition."""
    output = np.zeros(workload.output_shape, object)
    depth, outputs = workload.ci // workload.groups, workload.co // workload.groups
    for index in np.ndindex(*workload.output_shape):
        b, y, x, o = index if workload.layout == "nhwc" else (index[0], *index[2:], index[1])
        for dy, dx, i in np.ndindex(workload.kh, workload.kw, depth):
            row = y * workload.stride[0] + dy * workload.dilation[0] - workload.pad[0]
            column = x * workload.stride[1] + dx * workload.dilation[1] - workload.pad[1]
            channel = o // outputs * depth + i
            if 0 <= row < workload.h and 0 <= column < workload.w:
                at = (b, row, column, channel)
                if workload.layout == "nchw":
                    at = (b, channel, row, column)
                output[index] += int(inputs[at]) * int(weights[o, dy, dx, i])
    return output.astype(np.int64)


@given(conv2d_workloads(largest=6), st.integers(0, 1 << 30))
@settings(max_examples=60, deadline=None)
def test_conv2d_reference_equals_a_naive_loop_nest(workload: Conv2d, seed: int) -> None:
    inputs = random_tensor(workload.lhs, workload.input_shape, seed)
    weights = random_tensor(workload.rhs, workload.weight_shape, seed + 1)
    result = workload.reference(inputs, weights)
    assert result.dtype == np.int32
    assert result.shape == workload.output_shape
    np.testing.assert_array_equal(result, naive_conv2d(workload, inputs, weights))


@pytest.mark.parametrize(
    "workload",
    [
        Conv2d(2, 5, 7, 6, 9, 3, 2, (2, 1), (0, 0, 1, 1), (1, 2), 3, "u8", "i8", "nchw"),
        Conv2d(1, 7, 3, 3, 31, 7, 3, (1, 3), (2, 0, 1, 1), (1, 1), 1, "i8", "i8"),
        Conv2d(1, 1, 33, 7, 1, 1, 1, (1, 2), (0, 0, 0, 0), (1, 1), 1, "i8", "u8"),
    ],
    ids=str,
)
def test_conv2d_reference_equals_the_loop_nest_in_every_type_pair(workload: Conv2d) -> None:
    inputs = random_tensor(workload.lhs, workload.input_shape, 1)
    weights = random_tensor(workload.rhs, workload.weight_shape, 2)
    expected = naive_conv2d(workload, inputs, weights)
    np.testing.assert_array_equal(workload.reference(inputs, weights), expected)


def test_a_sum_beyond_int32_wraps_as_the_accumulators_do() -> None:
    depth = 1 << 16
    workload = Dense(1, 1, depth)
    full = np.full((1, depth), 255, np.uint8)
    assert int(workload.reference(full, full)[0, 0]) == (depth * 255 * 255) - (1 << 32)


@given(conv2d_workloads(largest=12))
def test_macs_count_every_product_of_the_padded_input(workload: Conv2d) -> None:
    height, width = workload.output_size
    products = workload.kh * workload.kw * workload.ci // workload.groups
    assert workload.macs == workload.n * height * width * workload.co * products


@pytest.mark.parametrize(
    ("text", "packets"),
    [
        # HARDWARE.md, "Multiply forms": ceil(O/32) x pixels x ceil(K/4) / 2; M = 1 has no reuse.
        (DENSE, 24 * 128 * 192 // 2),
        ("dense:m=1,n=1000,k=2048", 32 * 512),
        (CONV2D, 2 * 56 * 56 * 9 * 16 // 2),
        ("dense:m=7,n=33,k=31", 2 * 7 * 8 // 2),
        ("conv2d:n=1,h=8,w=8,ci=64,co=66,kh=1,kw=1,groups=2", 2 * 2 * 64 * 8 // 2),
    ],
)
def test_the_packet_bound_is_that_of_the_hardware_notes(text: str, packets: int) -> None:
    assert parse_workload(text).packet_bound == packets
