"""The fake device misbehaves exactly as ordered."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.device.simulated import V68, job, ramp
from vrmpy_tune.device.fake import FakeDevice, Fault, parse_faults
from vrmpy_tune.device.open import open_device
from vrmpy_tune.device.protocol import Limits
from vrmpy_tune.errors import DeviceError
from vrmpy_tune.measurement import Outcome

JOB = job(Path("no-such.o"))
SETS = ((ramp(),),)


def test_the_plan_says_what_each_run_does() -> None:
    device = open_device("fake:crash,lost,ok")
    outcomes = [device.run(JOB, SETS, V68, Limits()).outcome for _ in range(4)]
    assert outcomes == [Outcome.CRASH, Outcome.DEVICE_LOST, Outcome.OK, Outcome.OK]


def test_a_wrong_lane_is_one_element_that_differs() -> None:
    device = FakeDevice(faults={0: Fault.WRONG_LANE})
    wrong, right = (device.run(JOB, SETS, V68, Limits()) for _ in range(2))
    assert wrong.outcome is Outcome.OK
    assert (wrong.outputs[0][0] != right.outputs[0][0]).sum() == 1
    assert wrong.counts == right.counts


def test_a_hang_lasts_until_the_deadline_and_may_be_tried_again() -> None:
    device = FakeDevice(faults={0: Fault.HANG})
    started = time.monotonic()
    result = device.run(JOB, SETS, V68, Limits(wall_s=0.2))
    assert 0.2 <= time.monotonic() - started < 1
    assert result.outcome is Outcome.TIMEOUT
    assert result.retryable


def test_an_unknown_device_is_refused_with_the_known_ones() -> None:
    with pytest.raises(DeviceError, match=r"Known devices: qemu, .*fake"):
        open_device("gemu")


def test_an_unknown_fault_is_refused_with_the_known_ones() -> None:
    with pytest.raises(DeviceError, match="wrong-lane"):
        parse_faults("ok,explode")
