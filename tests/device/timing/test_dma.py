"""The DMA of the timing model against transfers whose times can be told by hand.

The engine takes 3 cycles for a line of the system cache and 8 for one of DRAM, 50 after the start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.device.timing.traces import (
    TASK_BEGIN,
    TASK_END,
    VTCM_BEGIN,
    VTCM_END,
    TraceWriter,
    estimated,
)
from vrmpy_tune.device.timing.estimate import PARTS
from vrmpy_tune.errors import DeviceError

if TYPE_CHECKING:
    from pathlib import Path

    from vrmpy_tune.device.timing.estimate import TimeEstimate

LATENCY, LINE, DRAM_LINE = 50, 3, 8
MEMORY, VTCM = 0x1000000, 0x100000


def begun() -> TraceWriter:
    trace = TraceWriter()
    trace.mark(VTCM_BEGIN, VTCM)
    trace.mark(VTCM_END, VTCM + 0x100000)
    return trace


def compute(trace: TraceWriter, packets: int) -> None:
    block = trace.define("R0 = add(R1,#0x1)")
    for _ in range(packets):
        trace.run(block)


@pytest.mark.parametrize(
    ("size", "lines"), [(1, 1), (3, 1), (127, 1), (128, 1), (129, 2), (12800, 100)]
)
@pytest.mark.parametrize(("warm_calls", "each"), [(1, LINE), (0, DRAM_LINE)])
def test_a_transfer_takes_its_latency_and_a_time_for_each_line(
    size: int, lines: int, warm_calls: int, each: int, tmp_path: Path
) -> None:
    trace = begun()
    trace.transfer(MEMORY, VTCM, size)
    trace.wait(1)
    estimate = estimated(trace, tmp_path, warm_calls=warm_calls)
    assert estimate.nanoseconds == LATENCY + each * lines
    assert estimate.parts["dma"] == estimate.nanoseconds
    assert estimate.packets == 0


@pytest.mark.parametrize("packets", [1, 100, 300])
def test_what_is_computed_meanwhile_is_not_waited_for(packets: int, tmp_path: Path) -> None:
    trace = begun()
    trace.transfer(MEMORY, VTCM, 128 * 100)
    compute(trace, packets)
    trace.wait(1)
    estimate = estimated(trace, tmp_path)
    assert estimate.parts["issue"] == 2 * packets
    assert estimate.parts["dma"] == max(0, LATENCY + LINE * 100 - 2 * packets)
    assert estimate.packets == packets


def test_the_latency_of_a_transfer_passes_while_those_before_it_move(tmp_path: Path) -> None:
    trace = begun()
    for number in range(2):
        trace.transfer(MEMORY + 0x10000 * number, VTCM + 0x10000 * number, 128 * 100)
    trace.wait(2)
    assert estimated(trace, tmp_path).nanoseconds == LATENCY + LINE * 200


def test_the_first_of_two_transfers_can_be_waited_for_alone(tmp_path: Path) -> None:
    trace = begun()
    for number in range(2):
        trace.transfer(MEMORY + 0x10000 * number, VTCM + 0x10000 * number, 128 * 100)
    trace.wait(1)
    compute(trace, 100)
    trace.wait(2)
    estimate = estimated(trace, tmp_path)
    assert estimate.parts["dma"] == LATENCY + LINE * 100 + (LINE * 100 - 2 * 100)


def test_one_ahead_hides_all_transfers_but_the_first_behind_the_work(tmp_path: Path) -> None:
    trace = begun()
    trace.transfer(MEMORY, VTCM, 128 * 100)
    for step in range(1, 5):
        trace.transfer(MEMORY + 0x10000 * step, VTCM + 0x10000 * (step % 2), 128 * 100)
        trace.wait(step)
        compute(trace, 200)
    estimate = estimated(trace, tmp_path)
    assert estimate.parts["dma"] == LATENCY + LINE * 100
    assert estimate.parts["issue"] == 4 * 400


def tasks(count: int, lines: int) -> TraceWriter:
    trace = begun()
    for task in range(count):
        trace.mark(TASK_BEGIN, task)
        trace.transfer(MEMORY + 0x100000 * task, VTCM, 128 * lines)
        trace.wait(task + 1)
        compute(trace, 10)
        trace.mark(TASK_END, task)
    return trace


def test_contexts_share_the_engine_in_the_order_of_their_starts(tmp_path: Path) -> None:
    estimate = estimated(tasks(4, 100), tmp_path)
    assert estimate.nanoseconds == 100 + LATENCY + 4 * LINE * 100 + 20
    # They wait for one, two, three and four transfers.
    assert estimate.parts["dma"] == LATENCY + 2.5 * LINE * 100
    assert estimate.parts["imbalance"] == 1.5 * LINE * 100


def test_a_task_can_wait_for_what_the_caller_started(tmp_path: Path) -> None:
    trace = begun()
    trace.transfer(MEMORY, VTCM, 128 * 100)
    compute(trace, 50)
    for task in range(2):
        trace.mark(TASK_BEGIN, task)
        trace.wait(1)
        trace.mark(TASK_END, task)
    assert estimated(trace, tmp_path).nanoseconds == 100 + LATENCY + LINE * 100


def test_the_engine_and_the_contexts_take_turns_at_what_is_behind_l2(tmp_path: Path) -> None:
    def streamed(*, transfer: bool) -> TimeEstimate:
        trace = begun()
        if transfer:
            trace.transfer(2 * MEMORY, VTCM, 128 * 1000)
        block = trace.define("V0 = vmem(R0++#0x1)")
        for line in range(500):
            trace.run(block, ("load", 0, MEMORY + 128 * line, 128))
        if transfer:
            trace.wait(1)
        return estimated(trace, tmp_path, warm_calls=0, dram_ns=8)

    alone, shared = streamed(transfer=False), streamed(transfer=True)
    assert alone.parts["memory"] == 8 * 500
    assert shared.parts["memory"] > 1.5 * alone.parts["memory"]
    # All lines together take what memory takes for them.
    assert shared.nanoseconds == pytest.approx(8 * 1500, rel=0.1)


def test_the_engine_leaves_l2_as_it_is(tmp_path: Path) -> None:
    trace = begun()
    block = trace.define("V0 = vmem(R0++#0x1)")
    for line in range(8192):  # as much as L2 holds
        trace.run(block, ("load", 0, MEMORY + 128 * line, 128))
    trace.transfer(2 * MEMORY, VTCM, 128 * 1000)
    trace.wait(1)
    estimate = estimated(trace, tmp_path)
    assert estimate.misses["l2"] == 0
    assert estimate.parts["memory"] == 0


def test_what_the_engine_writes_takes_the_port_of_vtcm(tmp_path: Path) -> None:
    def loaded(*, transfer: bool) -> TimeEstimate:
        trace = begun()
        if transfer:
            trace.transfer(MEMORY, VTCM + 0x10000, 128 * 500)
        block = trace.define("V0 = vmem(R0++#0x1)")
        for line in range(200):
            trace.run(block, ("load", 0, VTCM + 128 * line, 128))
        if transfer:
            trace.wait(1)
        return estimated(trace, tmp_path, vtcm_port_cycles=2)

    assert loaded(transfer=False).parts["vtcm"] == 0
    assert loaded(transfer=True).parts["vtcm"] > 100


def test_back_to_memory_takes_as_long(tmp_path: Path) -> None:
    trace = begun()
    trace.transfer(VTCM, MEMORY, 128 * 100)
    trace.wait(1)
    assert estimated(trace, tmp_path).nanoseconds == LATENCY + LINE * 100


def test_a_longer_latency_and_a_slower_engine_show_where_they_are_waited_for(
    tmp_path: Path,
) -> None:
    trace = begun()
    trace.transfer(MEMORY, VTCM, 128 * 100)
    trace.wait(1)
    assert estimated(trace, tmp_path, dma_latency_ns=200).nanoseconds == 200 + LINE * 100
    assert estimated(trace, tmp_path, dma_line_ns=6).nanoseconds == LATENCY + 6 * 100


def test_parts_add_up_and_repeat(tmp_path: Path) -> None:
    first, second = (estimated(tasks(7, 33), tmp_path, call_ns=33) for _ in range(2))
    assert sum(first.parts[part] for part in PARTS) == first.nanoseconds
    assert first == second


def test_waiting_for_what_was_never_started_is_a_damaged_trace(tmp_path: Path) -> None:
    trace = begun()
    trace.wait(1)
    with pytest.raises(DeviceError, match="not a trace"):
        estimated(trace, tmp_path)
