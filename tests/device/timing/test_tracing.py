"""Traces of real kernels, and estimates from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from vrmpy_tune.device.qemu import QemuDevice
from vrmpy_tune.device.timing import points, rebuild
from vrmpy_tune.device.timing.calibration import Calibration
from vrmpy_tune.device.timing.estimate import TraceSimulator
from vrmpy_tune.device.timing.profile import load_profile
from vrmpy_tune.toolchain.pool import CodegenPool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vrmpy_tune.device.timing.rebuild import TracedPoint

pytestmark = pytest.mark.device

CHOSEN = ("vrmpy stream n=128", "vrmpy stream n=4096", "vmpy stream n=1024")


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[TracedPoint]]:
    chosen = [one for one in points.read_points(points.PUBLISHED) if one.workload in CHOSEN]
    with QemuDevice() as device, CodegenPool(1) as pool:
        yield list(rebuild.trace_points(chosen, device, pool, tmp_path_factory.mktemp("traces")))


def test_a_trace_has_the_packets_that_qemu_counts(traced: list[TracedPoint]) -> None:
    with TraceSimulator([one.trace for one in traced]) as simulator:
        estimates = simulator.estimate(load_profile("sd8gen1"))
    for one, estimate in zip(traced, estimates, strict=True):
        if one.point.threads == 1:
            assert estimate.packets == one.packets
        else:
            assert estimate.packets > one.packets


def test_equal_runs_have_equal_traces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = [one for one in points.read_points(points.PUBLISHED) if one.workload == CHOSEN[0]]
    contents = []
    with QemuDevice() as device, CodegenPool(1) as pool:
        for attempt in ("a", "b"):
            monkeypatch.setenv("ANYTHING", attempt * 3000)
            directory = tmp_path / attempt
            directory.mkdir()
            traces = rebuild.trace_points(chosen, device, pool, directory)
            contents.append([one.trace.read_bytes() for one in traces])
    assert len(contents[0]) == 2
    assert contents[0] == contents[1]


def test_estimates_come_near_the_published_times(traced: list[TracedPoint]) -> None:
    with Calibration(traced) as calibration:
        scored = calibration.score(load_profile("sd8gen1"), range(len(traced)))
    for one in scored:
        assert 0.9 < one.ratio < 1.1, one


def test_a_working_set_beyond_l2_is_bound_by_memory(traced: list[TracedPoint]) -> None:
    with Calibration(traced) as calibration:
        scored = calibration.score(load_profile("sd8gen1"), range(len(traced)))
    bottlenecks = {(one.point.workload, one.point.threads): one.bottleneck for one in scored}
    assert bottlenecks["vrmpy stream n=4096", 1] == "memory"
    assert bottlenecks["vmpy stream n=1024", 1] == "issue"
    assert bottlenecks["vrmpy stream n=128", 4] == "overhead"
