"""Measurements of compiled artifacts, for calibration."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.compiler.conftest import Compile
from tests.tuned import DENSE
from vrmpy_tune.cli.calibrate import call_of_artifact
from vrmpy_tune.device.qemu import QemuDevice
from vrmpy_tune.device.timing.points import Point
from vrmpy_tune.device.timing.rebuild import trace_points
from vrmpy_tune.errors import UsageError
from vrmpy_tune.toolchain.pool import CodegenPool

pytestmark = pytest.mark.device


def point(workload: str) -> Point:
    return Point("me", "my phone", workload, 4, 12.5, "")


def test_a_measured_artifact_is_traced_as_it_is(compiled: Compile, tmp_path: Path) -> None:
    report = compiled(DENSE)
    measured = [point(str(report.artifact)), point("no such thing")]
    with QemuDevice() as device, CodegenPool(1) as pool:
        (traced,) = trace_points(measured, device, pool, tmp_path, own=call_of_artifact)
    assert traced.point is measured[0]
    assert traced.packets == report.as_json()["tasks"][0]["packets_critical"]
    assert traced.trace.stat().st_size > 0


def test_an_artifact_of_several_kernels_is_no_measurement(compiled: Compile) -> None:
    report = compiled(DENSE, "dense:m=1,n=32,k=16,lhs=u8,rhs=u8")
    with pytest.raises(UsageError, match="not one kernel"):
        call_of_artifact(point(str(report.artifact)))
