"""The rule that requantizes 128 accumulators: exact against numpy, and what it costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pytest
import tvm
from tvm.s_tir import Schedule
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as T

from tests.device.simulated import qemu
from tests.toolchain.generated import V68, compiled
from vrmpy_tune.device.protocol import Job, Limits, TensorSpec
from vrmpy_tune.intrin.registry import ensure
from vrmpy_tune.intrin.requantize import (
    Element,
    Epilogue,
    Operands,
    requantize,
    store_requantized,
)
from vrmpy_tune.layout import channels_of_lanes, pack_channels
from vrmpy_tune.measurement import Outcome
from vrmpy_tune.quantize import LIMITS, Add, Requantize
from vrmpy_tune.target import LANES, VECTOR_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator

UNITS: Final = ((1, 4), (2, 2), (4, 1))
EPILOGUES: Final = tuple(
    Epilogue(*unit, out, per_channel, act, residual)
    for unit in UNITS
    for out, per_channel, act, residual in (
        ("u8", False, "none", False),
        ("i8", True, "relu", False),
        ("u8", True, "clip", False),
        ("u8", True, "relu", True),
        ("i8", False, "clip", True),
    )
)
SHIFTS: Final = (0, 1, 8, 15)


def shapes(epilogue: Epilogue) -> dict[str, tuple[tuple[int, ...], str]]:
    """Return shape and data type of each argument of the kernel."""
    vectors = (epilogue.vectors, LANES)
    pixels = (epilogue.pixels, epilogue.vectors * LANES)
    found: dict[str, tuple[tuple[int, ...], str]] = {
        "accumulators": ((epilogue.pixels, *vectors), "int32"),
        "multiplier": (vectors if epilogue.per_channel else (1,), "int32"),
        "requantize": ((4,), "int32"),
    }
    if epilogue.residual:
        found |= {"residual": (pixels, epilogue.dtype), "add": ((7,), "int32")}
    return found | {"output": (pixels, epilogue.dtype)}


def module(epilogue: Epilogue) -> tvm.IRModule:
    """Return a kernel that loads accumulators into registers and stores their bytes."""
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_name("main")
        T.func_attr({"global_symbol": "main", "tirx.noalias": True})
        named = {
            name: T.arg(name, T.buffer(shape, dtype, align=VECTOR_BYTES))
            for name, (shape, dtype) in shapes(epilogue).items()
        }
        shape = shapes(epilogue)["accumulators"][0]
        sums = T.sblock_alloc_buffer(shape, "int32", scope="local", align=VECTOR_BYTES)
        with T.grid(*shape) as loops, T.sblock("load"):
            index = [
                T.axis.spatial(extent, loop) for extent, loop in zip(shape, loops, strict=True)
            ]
            T.buffer_store(sums, named["accumulators"][tuple(index)], index)
        operands = Operands(
            sums, named["multiplier"], named["requantize"], named.get("residual"),
            named.get("add"), named["output"],
        )  # fmt: skip
        extents = (epilogue.pixels, *epilogue.channel_extents)
        with T.grid(*extents) as loops, T.sblock("store"):
            pixel, *inner = (
                T.axis.spatial(extent, loop) for extent, loop in zip(extents, loops, strict=True)
            )
            vector, lane, channel = epilogue.position(inner)
            multiplier = (vector, lane) if epilogue.per_channel else (0,)
            at = Element((pixel, vector, lane), multiplier, (pixel, channel))
            store_requantized(epilogue, operands, at)
    schedule = Schedule(tvm.IRModule({"main": builder.get()}))
    load = schedule.get_sblock("load")
    *outer, lane = schedule.get_loops(load)
    schedule.vectorize(lane)
    for loop in outer:
        schedule.unroll(loop)
    loops = schedule.get_loops(schedule.get_sblock("store"))
    schedule.tensorize(loops[0 if epilogue.pixels > 1 else 1], requantize(epilogue))
    return schedule.mod


def input_sets(epilogue: Epilogue) -> Iterator[dict[str, np.ndarray]]:
    """Return plain operands: sums that end on and round the bounds, every kind of shift."""
    generator = np.random.default_rng(5)
    low, high = LIMITS[epilogue.out]
    pixels, channels = epilogue.pixels, epilogue.vectors * LANES
    for shift in SHIFTS:
        for span in (200, 3 << 14, 1 << 23):
            multiplier = generator.integers(
                1 << 27, 1 << 31, channels if epilogue.per_channel else 1
            )
            accumulators = generator.integers(-span, span, (pixels, channels)) << max(0, shift - 7)
            accumulators[0, :5] = (0, 1, -1, (1 << 30) - 1, -(1 << 30))
            bounds = sorted(generator.integers(low, high + 1, 2).tolist())
            zero_point = int(generator.integers(low, high + 1))
            residual = generator.integers(low, high + 1, (pixels, channels))
            factors = generator.integers(1, 1 << 15, 2).tolist()
            offset = int(generator.integers(-(1 << 22), 1 << 22))
            added = [*factors, offset, int(generator.integers(0, 16)), zero_point, *bounds]
            yield {
                "accumulators": accumulators.astype(np.int32),
                "multiplier": multiplier.astype(np.int32),
                "requantize": np.asarray([shift, zero_point, *bounds], np.int32),
                "residual": residual.astype(epilogue.dtype),
                "add": np.asarray(added, np.int32),
            }


def expected(epilogue: Epilogue, named: dict[str, np.ndarray]) -> np.ndarray:
    low, high = LIMITS[epilogue.out]

    def kept(bounds: np.ndarray) -> tuple[int, int]:
        lower = int(bounds[0]) if epilogue.act != "none" else low
        return lower, int(bounds[1]) if epilogue.act == "clip" else high

    shift, zero_point = (int(one) for one in named["requantize"][:2])
    bounds = (low, high) if epilogue.residual else kept(named["requantize"][2:])
    values = Requantize(shift, zero_point, *bounds)(named["accumulators"], named["multiplier"])
    if epilogue.residual:
        fields = (int(one) for one in named["add"][:5])
        values = Add(*fields, *kept(named["add"][5:]))(values, named["residual"])
    return values.astype(epilogue.dtype)


def arranged(epilogue: Epilogue, named: dict[str, np.ndarray]) -> tuple[np.ndarray, ...]:
    """Return the kernel's arguments: channels in the lanes that compute them."""
    lanes = channels_of_lanes(epilogue.vectors * LANES, epilogue.paired)
    sums = [pack_channels(pixel, 1, lanes)[0] for pixel in named["accumulators"]]
    found = named | {"accumulators": np.stack(sums)}
    if epilogue.per_channel:
        found["multiplier"] = pack_channels(named["multiplier"], 1, lanes)[0]
    return tuple(found[name] for name in shapes(epilogue) if name != "output")


@pytest.mark.device
@pytest.mark.parametrize("epilogue", EPILOGUES, ids=lambda one: one.name)
def test_bytes_are_those_of_the_reference(epilogue: Epilogue) -> None:
    made = compiled(module(epilogue))
    *inputs, output = (TensorSpec(*one) for one in shapes(epilogue).values())
    sets: list[Any] = list(input_sets(epilogue))
    arguments = tuple(arranged(epilogue, one) for one in sets)
    job = Job(made.object_file, "main", tuple(inputs), (output,))
    result = qemu().run(job, arguments, V68, Limits())
    assert result.outcome is Outcome.OK, result.message
    for one, (found,) in zip(sets, result.outputs, strict=True):
        np.testing.assert_array_equal(found, expected(epilogue, one))


def test_the_inputs_reach_both_bounds_and_values_between() -> None:
    epilogue = EPILOGUES[0]
    values = np.concatenate([expected(epilogue, one).ravel() for one in input_sets(epilogue)])
    assert {0, 255} < set(values.tolist())


@pytest.mark.parametrize("epilogue", EPILOGUES[::5], ids=lambda one: one.name)
def test_128_sums_take_two_multiplies_each_vector_and_one_store(epilogue: Epilogue) -> None:
    assembly = compiled(module(epilogue)).assembly
    assert assembly.count("vmpye(") == assembly.count("vmpyo(") == 4
    assert assembly.count(":rnd:sat:shift") == 4
    assert assembly.count("= vasr(") == 2
    assert assembly.count("= vpack(") == 1


@pytest.mark.parametrize("epilogue", EPILOGUES, ids=lambda one: one.name)
def test_a_rules_name_says_all_that_it_is_made_from(epilogue: Epilogue) -> None:
    assert Epilogue.parse(*epilogue.name.split("/")[1:]) == epilogue
    ensure(epilogue.name)


@pytest.mark.parametrize(
    "name", ["requantize/1/4/u8/tensor/none", "requantize/1/4/u8/each/none/add"]
)
def test_a_name_that_is_no_rules_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"values|written as"):
        ensure(name)
