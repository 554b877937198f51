"""The timing model against small programs whose times can be told by hand.

The profile has a clock of 1 GHz, so that nanoseconds are cycles, and a packet takes 2 of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.device.timing.traces import (
    PROFILE,
    PROGRESS,
    TASK_BEGIN,
    TASK_END,
    VTCM_BEGIN,
    VTCM_END,
    TraceWriter,
    estimated,
)
from vrmpy_tune.device.timing.estimate import PARTS, TraceSimulator
from vrmpy_tune.errors import DeviceError

if TYPE_CHECKING:
    from pathlib import Path


def program(*packets: str) -> TraceWriter:
    trace = TraceWriter()
    trace.run(trace.define(*packets))
    return trace


@pytest.mark.parametrize(
    ("packets", "stalls"),
    [
        (("R0 = add(R1,#0x1)", "R2 = add(R0,#0x1)"), 0),
        (("R0 = memw(R1+#0x0)", "R2 = add(R0,#0x1)"), 1),
        (("R0 = memw(R1+#0x0)", "R3 = add(R4,#0x1)", "R2 = add(R0,#0x1)"), 0),
        (("R0 = mpyi(R1,R2)", "R3 = add(R0,#0x1)"), 1),
        (("V8 = vadd(V0.w,V0.w)", "V0 = vadd(V8.w,V9.w)"), 0),
        (("V0 = vadd(V8.w,V9.w)", "V1.h = vmpy(V0.h,R0.h)"), 1),
        (("V1.h = vmpy(V0.h,R0.h)", "V2.h = vsub(V2.h,V1.h)"), 0),
        (("V2.h = vsub(V2.h,V1.h)", "V5:4.h = vunpack(V2.b)"), 1),
        (("V5:4.h = vunpack(V2.b)", "V3 = valign(V4,V6,R1)"), 1),
        (("V0.uw += vrmpy(V1.ub,V2.ub)", "V0.uw += vrmpy(V3.ub,V4.ub)"), 0),
        (("V0.uw = vrmpy(V1.ub,V2.ub)", "V5.uw += vrmpy(V0.ub,V4.ub)"), 1),
        (("V0.uw = vrmpy(V1.ub,V2.ub)", "vmem(R0+#0x0) = V0"), 0),
        (("V0.uw = vrmpy(V1.ub,V2.ub)", "vmemu(R0+#0x0) = V0"), 1),
        (("V0 = V1", "V2 = V0"), 0),
        (("V1.cur = vmem(R0+#0x0)\n0x0:  0x0\t\tV0.uw += vrmpy(V1.ub,V2.ub)",), 0),
        (("P0 = cmp.eq(R0,#0x0); if (P0.new) jump:t PC+4",), 0),
    ],
)
def test_registers_make_a_packet_wait_as_the_manual_says(
    packets: tuple[str, ...], stalls: int, tmp_path: Path
) -> None:
    estimate = estimated(program(*packets), tmp_path)
    assert estimate.parts["issue"] == 2 * len(packets)
    assert estimate.parts["interlock"] == 2 * stalls
    assert estimate.nanoseconds == 2 * (len(packets) + stalls)


def stream(lines: int, base: int = 0x100000) -> TraceWriter:
    trace = TraceWriter()
    block = trace.define("V0 = vmem(R0++#0x1)")
    for line in range(lines):
        trace.run(block, ("load", 0, base + 128 * line, 128))
    return trace


@pytest.mark.parametrize(
    ("lines", "warm_calls", "memory_each"),
    [(8, 1, 0), (8, 0, 20), (2 * 8192, 1, 10), (5 * 8192, 1, 20)],
)
def test_lines_come_from_where_they_fit(
    lines: int, warm_calls: int, memory_each: int, tmp_path: Path
) -> None:
    estimate = estimated(stream(lines), tmp_path, warm_calls=warm_calls)
    assert estimate.parts["memory"] == memory_each * lines
    assert estimate.nanoseconds == (2 + memory_each) * lines


def tasks(count: int, lines: int) -> TraceWriter:
    trace = TraceWriter()
    block = trace.define("V0 = vmem(R0++#0x1)")
    for task in range(count):
        trace.mark(TASK_BEGIN, task)
        for line in range(lines):
            trace.run(block, ("load", 0, 0x100000 * (task + 1) + 128 * line, 128))
        trace.mark(TASK_END, task)
    return trace


def test_contexts_share_the_port_of_l2(tmp_path: Path) -> None:
    estimate = estimated(tasks(4, 100), tmp_path)
    assert estimate.parts["overhead"] == 100
    assert estimate.nanoseconds == pytest.approx(100 + 4 * 100, rel=0.02)
    assert estimate.parts["l2"] == pytest.approx(200, rel=0.05)


def test_an_unaligned_access_takes_the_port_for_as_many_lines_as_the_profile_says(
    tmp_path: Path,
) -> None:
    trace = TraceWriter()
    block = trace.define("V0 = vmemu(R0++#0x1)")
    for line in range(100):
        trace.run(block, ("load", 0, 0x100000 + 128 * line, 128))
    by_line, twice = (
        estimated(trace, tmp_path, l2_port_cycles=4, unaligned_lines=lines) for lines in (1, 2)
    )
    assert (by_line.nanoseconds, twice.nanoseconds) == pytest.approx((400, 800), rel=0.02)
    straddling = TraceWriter()
    block = straddling.define("V0 = vmemu(R0++#0x1)")
    for line in range(100):
        straddling.run(block, ("load", 0, 0x100040 + 128 * line, 128))
    assert estimated(straddling, tmp_path, l2_port_cycles=4).nanoseconds == pytest.approx(
        800, rel=0.02
    )


def test_contexts_share_what_is_behind_l2(tmp_path: Path) -> None:
    alone = estimated(tasks(1, 100), tmp_path, warm_calls=0)
    shared = estimated(tasks(4, 100), tmp_path, warm_calls=0)
    assert alone.nanoseconds == 100 + 22 * 100
    assert shared.nanoseconds == pytest.approx(100 + 4 * 8 * 100, rel=0.02)


def test_more_tasks_than_contexts_take_turns(tmp_path: Path) -> None:
    four, five = (estimated(tasks(n, 100), tmp_path, l2_port_cycles=0) for n in (4, 5))
    assert four.nanoseconds == 100 + 200
    assert five.nanoseconds == 100 + 400
    assert four.parts["imbalance"] == 0
    assert five.parts["imbalance"] == 150


def test_a_second_region_begins_with_its_first_task(tmp_path: Path) -> None:
    trace = TraceWriter()
    block = trace.define("R0 = add(R1,#0x1)")
    for _ in range(2):
        for task in range(2):
            trace.mark(TASK_BEGIN, task)
            trace.run(block)
            trace.mark(TASK_END, task)
    trace.run(block)
    estimate = estimated(trace, tmp_path)
    assert estimate.parts["overhead"] == 200
    assert estimate.nanoseconds == 2 * (100 + 2) + 2


def test_vtcm_has_its_own_port_and_never_misses(tmp_path: Path) -> None:
    trace = TraceWriter()
    trace.mark(VTCM_BEGIN, 0x100000)
    trace.mark(VTCM_END, 0x200000)
    block = trace.define("V0 = vmem(R0++#0x1)")
    for line in range(100):
        trace.run(block, ("load", 0, 0x100000 + 128 * line, 128))
    estimate = estimated(trace, tmp_path, warm_calls=0, vtcm_port_cycles=3)
    assert estimate.parts["memory"] == 0
    assert estimate.nanoseconds == 2 + 3 * 99


def test_a_scalar_load_beyond_l1_waits(tmp_path: Path) -> None:
    trace = TraceWriter()
    block = trace.define("R0 = memw(R1++#0x4)")
    for line in range(1024):
        trace.run(block, ("load", 0, 0x100000 + 64 * line, 4))
    estimate = estimated(trace, tmp_path)
    assert estimate.misses["l1"] == 1024
    assert estimate.parts["l1"] == 16 * 1024


def test_a_vector_waits_for_a_store_of_what_it_loads(tmp_path: Path) -> None:
    trace = TraceWriter()
    block = trace.define("vmem(R0+#0x0) = V0", "V1 = vmem(R0+#0x0)")
    trace.run(block, ("store", 0, 0x100000, 128), ("load", 1, 0x100000, 128))
    assert estimated(trace, tmp_path).parts["interlock"] == 14 * 2


def test_a_row_across_two_lines_takes_the_port_twice(tmp_path: Path) -> None:
    trace = TraceWriter()
    block = trace.define("V0 = vmemu(R0++#0x1)")
    for line in range(100):
        trace.run(block, ("load", 0, 0x100040 + 128 * line, 128))
    estimate = estimated(trace, tmp_path, l2_port_cycles=3)
    assert estimate.nanoseconds == 2 + 6 * 99


def test_a_network_tells_its_layers_apart(tmp_path: Path) -> None:
    trace = TraceWriter()
    block = trace.define("V0 = vmem(R0++#0x1)")
    other = trace.define("R0 = memw(R1+#0x0)", "R2 = add(R0,#0x1)")
    for lines, scalars in ((8, 0), (0, 3)):
        trace.mark(PROGRESS)
        for line in range(lines):
            trace.run(block, ("load", 0, 0x100000 + 128 * line, 128))
        for _ in range(scalars):
            trace.run(other)
        trace.mark(PROGRESS)
        trace.run(other)
    first, second = estimated(trace, tmp_path, call_ns=70).layers
    assert first == dict.fromkeys(PARTS, 0.0) | {"issue": 16.0}
    assert second == dict.fromkeys(PARTS, 0.0) | {"issue": 12.0, "interlock": 6.0}


def test_parts_add_up_to_the_estimate(tmp_path: Path) -> None:
    estimate = estimated(tasks(7, 50), tmp_path, call_ns=33)
    assert sum(estimate.parts[part] for part in PARTS) == estimate.nanoseconds


def test_the_same_trace_has_the_same_estimate_in_any_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = estimated(tasks(7, 50), tmp_path)
    monkeypatch.setenv("ANYTHING", "x" * 5000)
    assert estimated(tasks(7, 50), tmp_path) == first


@pytest.mark.parametrize("damage", ["cut", "other", "block", "empty"])
def test_a_damaged_trace_is_refused(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "damaged.trace"
    trace = stream(3)
    if damage == "block":
        trace.run(99)
    trace.write(path, ended=damage != "cut")
    if damage == "other":
        path.write_bytes(b"not a trace at all, but some text")
    if damage == "empty":
        path.write_bytes(b"")
    with TraceSimulator([path]) as simulator, pytest.raises(DeviceError, match="trace"):
        simulator.estimate(PROFILE)
