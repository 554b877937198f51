"""Constants that are arranged at compile time: what they stand for."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from search_spaces.geometry import geometry
from search_spaces.operands import packed_arguments, parameters
from vrmpy_tune.layout import channels_of_lanes, lane_of, pack_channels
from vrmpy_tune.workload import Dense

DEPTHS = (*range(1, 10), 67, 68, 76, 131)
"""Some get a word more, so that their number is even."""
ZERO_POINTS = {"u8": st.integers(0, 255), "i8": st.integers(-128, 127)}


@st.composite
def fused(draw: st.DrawFn) -> Dense:
    lhs, rhs = draw(st.sampled_from(["u8", "i8"])), draw(st.sampled_from(["u8", "i8"]))
    sizes = (draw(st.integers(1, 3)), draw(st.integers(1, 140)), draw(st.sampled_from(DEPTHS)))
    return Dense(
        *sizes, lhs, rhs,
        out=draw(st.sampled_from(["i32", "u8"])),
        bias=draw(st.integers(0, 1)),
        lzp=draw(ZERO_POINTS[lhs]),
        rzp=draw(ZERO_POINTS[rhs]),
    )  # fmt: skip


@given(fused(), st.sampled_from(["random", "extremes"]), st.integers(0, 99))
@settings(deadline=None)
def test_products_window_sums_and_the_start_add_up_to_the_true_sums(
    workload: Dense, kind: str, seed: int
) -> None:
    offset = 128 if workload.rhs == "i8" else 0
    view = geometry(workload, offset)
    operands = workload.draw(kind, np.random.default_rng(seed))
    found = packed_arguments(workload, view, offset, operands)
    specs = parameters(workload, view, offset)
    assert [one.shape for one in found] == [one.shape for one in specs]
    assert [one.dtype for one in found] == [one.numpy_type for one in specs]
    named = dict(zip((one.name for one in specs), found, strict=True))
    activations = named["activations"].astype(np.int64)
    # Activations beyond the depth may be anything.
    surplus = np.full((workload.m, view.words * 4 - workload.k), 77)
    wide = np.concatenate([activations, surplus], axis=1)
    words = wide.reshape(workload.m, view.words, 4)
    stored = named["weights"].reshape(-1, view.words, 32, 4).astype(np.int64)
    sums = np.einsum("mwi,vwli->mvl", words, stored)
    sums += (wide.sum(axis=1) * view.window_factor)[:, None, None]
    if "start" in named:
        sums += named["start"]
    plain = dict(zip((one.name for one in workload.operands), operands, strict=True))
    expected = (activations - workload.lzp) @ (plain["weights"].astype(np.int64) - workload.rzp).T
    if workload.bias:
        expected = expected + plain["bias"]
    seen = set()
    for (vector, lane), channel in np.ndenumerate(view.lanes):
        if channel >= 0:
            np.testing.assert_array_equal(sums[:, vector, lane], expected[:, channel])
            seen.add(int(channel))
    assert seen == set(range(workload.n))


@given(st.integers(1, 3), st.integers(1, 140), st.sampled_from([1, 2]))
def test_a_channels_value_is_in_the_lane_that_computes_it(
    groups: int, per_group: int, paired: int
) -> None:
    values = np.arange(1, groups * per_group + 1)
    packed = pack_channels(values, groups, channels_of_lanes(per_group, paired))
    for channel in range(per_group):
        found = packed[(slice(None), *lane_of(channel, paired))]
        assert found.tolist() == values.reshape(groups, per_group)[:, channel].tolist()
    assert np.count_nonzero(packed) == values.size
