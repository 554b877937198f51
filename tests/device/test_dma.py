"""The user DMA of the on-device runtime: what it moves, what it refuses, what it costs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.device.simulated import V68, build, job, qemu, ramp, run
from vrmpy_tune.device.protocol import Limits, RunResult
from vrmpy_tune.measurement import HVX_TIME_8GEN1, HVX_TIME_888, Outcome
from vrmpy_tune.target import TARGETS

pytestmark = pytest.mark.device

SIZES = (2, 3, 7, 31, 32, 33, 129, 1000)
MIB = 1 << 20


def moved(mode: str, size: int = 1000) -> RunResult:
    return run("dma", f"MODE={mode}", bytes_in=size, bytes_out=size)


def is_right(result: RunResult, size: int = 1000) -> bool:
    assert result.outcome is Outcome.OK, result.message
    return bool(np.array_equal(result.outputs[0][0], ramp(size)))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("mode", ["ONCE", "TWO_GROUPS", "ONE_GROUP", "TWO_QUEUES"])
def test_what_was_waited_for_is_there_in_any_size(mode: str, size: int) -> None:
    assert is_right(moved(mode, size), size)


@pytest.mark.parametrize("mode", ["TOO_EARLY", "SECOND_FIRST", "OVERWRITTEN"])
def test_what_is_read_while_a_transfer_goes_on_is_wrong(mode: str) -> None:
    assert not is_right(moved(mode))


def test_a_kernel_that_never_waits_is_refused() -> None:
    result = moved("NO_WAIT")
    assert result.outcome is Outcome.CRASH
    assert "ended with transfers of the DMA that it did not wait for" in result.message


def test_a_task_that_never_waits_is_refused() -> None:
    result = run("parallel_vtcm", "TASKS=4", "EACH=1024")
    assert result.outcome is Outcome.CRASH
    assert "freed 1024 bytes of VTCM into which a transfer of the DMA goes on" in result.message


def test_a_queue_that_is_not_there_is_refused() -> None:
    result = moved("WRONG_QUEUE")
    assert result.outcome is Outcome.CRASH
    assert "queue 99 of the DMA; there are 8" in result.message


def test_packets_are_those_of_starting_and_waiting_not_of_the_bytes() -> None:
    """Copying out of VTCM takes one packet a vector; the DMA none."""
    short, long = (moved("ONCE", size).counts[0].packets_total for size in (12800, 128000))
    assert long - short == pytest.approx(900, abs=5)


def test_a_transfer_that_is_waited_for_is_in_the_time() -> None:
    made = replace(job(build("dma", "MODE=ONCE"), 128000, 128000), time_metric=HVX_TIME_8GEN1)
    first, second = (
        qemu().run(made, ((ramp(128000),),), V68, Limits()).counts[0].time for _ in range(2)
    )
    assert first is not None
    assert first == second
    parts = dict(first.parts)
    assert sum(parts.values()) == pytest.approx(first.nanoseconds, abs=len(parts))
    # 500 ns, and 1000 lines of the system cache at 2.98.
    assert parts["dma"] == pytest.approx(3480, rel=0.05)


def parallel(tasks: int, each: int, target: str = "hexagon-v68", metric: str = "") -> RunResult:
    made = job(build("parallel_vtcm", f"TASKS={tasks}", f"EACH={each}", "WAIT"))
    made = replace(made, time_metric=metric or None)
    return qemu().run(made, ((ramp(),),), TARGETS[target], Limits())


def test_tasks_share_vtcm_among_as_many_contexts_as_run_at_once() -> None:
    assert is_right(parallel(tasks=8, each=MIB))
    assert is_right(parallel(tasks=2, each=2 * MIB))
    result = parallel(tasks=8, each=MIB + 1)
    assert result.outcome is Outcome.CRASH
    assert "the VTCM of each context is exhausted" in result.message
    assert "asked for 1048577 bytes, and 0 of 1048576 are in use" in result.message


def test_a_device_with_less_vtcm_than_the_target_refuses_more_than_it_has() -> None:
    assert TARGETS["hexagon-v69"].vtcm_bytes == 8 * MIB
    assert is_right(parallel(4, 2 * MIB, "hexagon-v69", HVX_TIME_8GEN1))
    result = parallel(4, 2 * MIB, "hexagon-v69", HVX_TIME_888)
    assert result.outcome is Outcome.CRASH
    assert "VTCM of each context is exhausted" in result.message
