"""Estimated time as a metric of the device."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.device.simulated import V68, build, job, qemu, ramp
from vrmpy_tune.device.protocol import Limits
from vrmpy_tune.device.qemu import QemuDevice
from vrmpy_tune.device.simulator import find_simulator
from vrmpy_tune.device.timing.profile import load_profile, profile_names
from vrmpy_tune.errors import DeviceError
from vrmpy_tune.measurement import (
    HVX_TIME_8GEN1,
    HVX_TIME_888,
    PACKET_METRICS,
    QEMU_CRITICAL,
    QEMU_PACKETS,
    TIME_METRICS,
    figure_text,
)


def test_every_time_metric_has_a_profile_of_its_version() -> None:
    assert set(TIME_METRICS) == {load_profile(name).metric for name in profile_names()}


def test_figures_are_told_with_their_unit() -> None:
    assert figure_text(1234, QEMU_PACKETS) == "1,234 packets"
    assert figure_text(1234, QEMU_CRITICAL) == "1,234 packets on the critical path"
    assert figure_text(1234, HVX_TIME_8GEN1) == "1.234 us"


@pytest.mark.device
def test_a_run_that_is_asked_for_a_time_gives_it_beside_the_counts() -> None:
    plain = job(build("parallel", "TASKS=8"))
    assert HVX_TIME_8GEN1 in qemu().info().metrics
    without = qemu().run(plain, ((ramp(),),), V68, Limits())
    timed = replace(plain, time_metric=HVX_TIME_8GEN1)
    first, second = (qemu().run(timed, ((ramp(),), (ramp(),)), V68, Limits()) for _ in range(2))
    time = first.counts[0].time
    assert time is not None
    assert first.counts == second.counts
    assert replace(first.counts[0], time=None) == without.counts[0]
    assert sum(part for _, part in time.parts) == pytest.approx(
        time.nanoseconds, abs=len(time.parts)
    )
    assert time.nanoseconds > load_profile("sd8gen1").parameters["fork_join_ns"]


@pytest.mark.device
def test_a_qemu_without_plugins_offers_packets_only(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = replace(find_simulator(), has_plugins=False)
    monkeypatch.setattr("vrmpy_tune.device.qemu.find_simulator", lambda: plain)
    with QemuDevice() as device:
        assert device.info().metrics == PACKET_METRICS
        timed = replace(job(build("parallel", "TASKS=8")), time_metric=HVX_TIME_8GEN1)
        with pytest.raises(DeviceError, match="takes no plugin, so that times cannot be"):
            device.run(timed, ((ramp(),),), V68, Limits())


@pytest.mark.device
def test_profiles_differ_in_what_they_estimate() -> None:
    made = replace(job(build("parallel", "TASKS=8")), time_metric=HVX_TIME_888)
    counts = qemu().run(made, ((ramp(),),), V68, Limits()).counts[0]
    assert counts.value(HVX_TIME_888) > 0
    with pytest.raises(ValueError, match="not estimated"):
        counts.value(HVX_TIME_8GEN1)
