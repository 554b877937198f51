"""A schedule fixed by hand, the code it becomes, and what it costs."""

from __future__ import annotations

from functools import cache
from typing import Final

import pytest

from search_spaces import find_space
from search_spaces.decisions import Decisions
from search_spaces.geometry import geometry
from search_spaces.program import Form
from search_spaces.tiling import Sketch
from tests.device.simulated import qemu
from tests.search_spaces.fixed import fixed
from tests.toolchain.generated import GENERATORS, V68, compiled
from tests.toolchain.packets import hardware_loops
from vrmpy_tune.device.protocol import Job, Limits
from vrmpy_tune.toolchain.codegen import CODE_GENERATORS
from vrmpy_tune.toolchain.zig import Compiled
from vrmpy_tune.verification import Verifier
from vrmpy_tune.workload import parse_workload

DENSE: Final = parse_workload("dense:m=128,n=768,k=768,lhs=u8,rhs=u8")
SPACE: Final = find_space("dense.scalar/3")
ROTATE: Final = CODE_GENERATORS.index(GENERATORS["zig-rotate"])

TILE_2_BY_8: Final = Decisions(Sketch(2, 1, vtcm=False), ROTATE, (1, 16, 8), (1, 1), (24, 8))
"""The tile that HARDWARE.md recommends ("Register blocking"): eight words a body."""

BAD: Final = (
    Decisions(Sketch(1, 1, vtcm=False), ROTATE, (1, 128, 1), (1, 1), (192, 1)),
    Decisions(Sketch(2, 1, vtcm=False), ROTATE, (1, 16, 8), (1, 1), (192, 1)),
    Decisions(Sketch(2, 1, vtcm=False), ROTATE, (1, 64, 2), (1, 1), (24, 8)),
)


@cache
def code(chosen: Decisions) -> Compiled:
    assert SPACE is not None
    return compiled(fixed(DENSE, SPACE, chosen).mod, CODE_GENERATORS[chosen.generator])


@cache
def packets_of(chosen: Decisions) -> int:
    """Run a choice on the device, verify it, and return its packets."""
    assert SPACE is not None
    job = Job(code(chosen).object_file, "main", SPACE.inputs(DENSE), (SPACE.output(DENSE),))
    verifier = Verifier(DENSE)
    sets = verifier.arguments(SPACE)
    result = qemu().run(job, sets, V68, Limits())
    assert verifier.difference(result) is None
    return result.counts[0].packets_total


def test_the_2_by_8_tile_is_one_hardware_loop_that_spills_nothing() -> None:
    assembly = code(TILE_2_BY_8).assembly
    (body,) = (one for one in hardware_loops(assembly) if any(p.count("vrmpy") for p in one))
    multiplies = sum(packet.count(r"vrmpy\(v\d+\.ub,r\d+\.ub\)") for packet in body)
    assert multiplies == 2 * 8 * 8
    # HARDWARE.md: two vrmpy a packet beside one vector load and one scalar load.
    print(f"\n{multiplies} vrmpy in a loop body of {len(body)} packets")
    assert len(body) <= 1.1 * multiplies / 2
    for packet in body:
        assert packet.count(r"vmemu?\([^)]*\)\s*=") == 0, packet
        assert packet.count(r"\bcall\b") == 0, packet
    assert sum(packet.count(r"= vmem\(") for packet in body) == 2 * 8
    assert sum(packet.count(r"= vmemu\(") for packet in body) == 0


@pytest.mark.device
def test_the_2_by_8_tile_reaches_the_rate_of_its_loop() -> None:
    rate = DENSE.macs / packets_of(TILE_2_BY_8)
    print(f"\n2 x 8 tile: {rate:.1f} MACs/packet")
    assert rate >= 240


def test_the_estimate_puts_a_good_tile_above_bad_ones() -> None:
    view = geometry(DENSE)
    good = TILE_2_BY_8.estimate(view, Form.SCALAR)
    assert all(good < bad.estimate(view, Form.SCALAR) for bad in BAD)


@pytest.mark.device
def test_the_estimate_of_a_good_tile_is_near_what_the_device_counts() -> None:
    estimate = TILE_2_BY_8.estimate(geometry(DENSE), Form.SCALAR)
    assert estimate == pytest.approx(packets_of(TILE_2_BY_8), rel=0.1)
    assert all(packets_of(TILE_2_BY_8) < packets_of(bad) for bad in BAD)


def test_the_estimate_halves_the_rate_of_the_splat_form() -> None:
    view = geometry(DENSE)
    ratio = TILE_2_BY_8.estimate(view, Form.SPLAT) / TILE_2_BY_8.estimate(view, Form.SCALAR)
    assert 1.6 < ratio < 2


def test_features_are_finite_numbers_of_one_length_for_every_choice() -> None:
    view = geometry(DENSE)
    rows = [one.numbers(view, Form.SCALAR) for one in (TILE_2_BY_8, *BAD)]
    assert len({len(row) for row in rows}) == 1
    assert all(0 <= float(number) < 1e6 for row in rows for number in row)


@pytest.mark.device
def test_requantizing_costs_at_most_three_packets_a_vector() -> None:
    """Packets with bytes as output, less packets with words and their stores."""
    text = "conv2d:n=1,h=8,w=28,ci=128,co=128,kh=1,kw=1,stride=1,pad=0,lhs=u8,rhs=u8"
    chosen = Decisions(Sketch(4, 1, vtcm=False), ROTATE, (1, 32, 7), (1, 1), (4, 8))
    space = find_space("conv2d.scalar/3")
    assert space is not None
    packets = {}
    for epilogue in ("", ",out=u8,bias=1,requant=channel,act=relu"):
        workload = parse_workload(text + epilogue)
        verifier = Verifier(workload, ("random",))
        made = compiled(fixed(workload, space, chosen).mod)
        specs = space.inputs(workload), (space.output(workload),)
        result = qemu().run(
            Job(made.object_file, "main", *specs), verifier.arguments(space), V68, Limits()
        )
        assert verifier.difference(result) is None
        packets[epilogue] = result.counts[0].packets_total
    words, requantized = packets.values()
    cost = (requantized - words) / (8 * 28 * 4)
    print(f"\n{words} packets, {requantized} requantized: {cost:.2f} a vector")
    assert 0 < cost <= 3
