"""Layers of October 2022 on the device, bit for bit against numpy."""

from __future__ import annotations

import numpy as np
import pytest

from vrmpy_tune.device.protocol import RunResult
from vrmpy_tune.device.qemu import QemuDevice
from vrmpy_tune.device.timing.profile import load_profile
from vrmpy_tune.device.timing.untuned import layers
from vrmpy_tune.device.timing.untuned.arithmetic import Factor
from vrmpy_tune.device.timing.untuned.layers import SUMS_ALONE, operators_of
from vrmpy_tune.device.timing.untuned.measure import OperatorTime, check, time_layers
from vrmpy_tune.errors import UsageError, VerificationError
from vrmpy_tune.measurement import Outcome
from vrmpy_tune.suites.resnet50 import suite
from vrmpy_tune.toolchain.pool import CodegenPool
from vrmpy_tune.workload import Conv2d, parse_workload

PROFILE = load_profile("sd888")
_U8 = "lhs=u8,rhs=i8,out=u8,bias=1,requant=channel"
STEM = f"conv2d:n=1,h=15,w=15,ci=3,co=32,kh=7,kw=7,stride=2,pad=3,{_U8},act=relu"
THREE = f"conv2d:n=1,h=7,w=7,ci=64,co=32,kh=3,kw=3,stride=1,pad=1,{_U8},act=relu"
STRIDED = f"conv2d:n=1,h=9,w=9,ci=32,co=64,kh=1,kw=1,stride=2,pad=0,{_U8}"
EXPAND = f"conv2d:n=1,h=3,w=3,ci=32,co=64,kh=1,kw=1,stride=1,pad=0,{_U8},act=relu,residual=1"
WIDE = f"conv2d:n=1,h=33,w=33,ci=32,co=32,kh=1,kw=1,stride=1,pad=0,{_U8},act=relu"
DENSE = f"dense:m=1,n=129,k=64,{_U8}"
MAX = "max_pool2d:n=1,h=9,w=9,c=64,kh=3,kw=3,stride=2,pad=1,dtype=u8"
AVERAGE = "global_avg_pool2d:n=1,h=7,w=7,c=64,dtype=u8"
LAYERS = (STEM, THREE, STRIDED, EXPAND, WIDE, DENSE, MAX, AVERAGE)


def timed(*texts: str) -> list[OperatorTime]:
    with QemuDevice() as device, CodegenPool(2) as pool:
        chosen = [(parse_workload(text), 3) for text in texts]
        return list(time_layers(chosen, device, pool, PROFILE))


@pytest.mark.device
def test_every_operator_computes_what_numpy_does_and_has_a_time() -> None:
    found = timed(*LAYERS)
    names: dict[str, list[str]] = {}
    for one in found:
        names.setdefault(str(one.workload), []).append(one.name)
    assert names == {
        STEM: ["pad, layout", "conv2d", SUMS_ALONE],
        THREE: ["pad", "conv2d", SUMS_ALONE],
        STRIDED: ["conv2d", SUMS_ALONE],
        EXPAND: ["conv2d", SUMS_ALONE],
        WIDE: ["conv2d", SUMS_ALONE],
        DENSE: ["sum of the row", "dense", "requantize"],
        MAX: ["max pool"],
        AVERAGE: ["global average"],
    }
    for one in found:
        assert one.count == 3
        assert one.in_network == (one.name != SUMS_ALONE)
        assert 0 < one.nanoseconds <= one.cold_nanoseconds
        assert sum(one.parts.values()) == pytest.approx(one.nanoseconds)


@pytest.mark.device
def test_what_is_fused_behind_a_convolution_costs_more_than_its_sums() -> None:
    fused, alone = timed(EXPAND)
    assert fused.packets > 2 * alone.packets


@pytest.mark.device
@pytest.mark.parametrize("value", [0.1, 1.3])
def test_additions_with_any_factor_are_what_the_instructions_give(
    value: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layers, "OWN_FACTOR", Factor.of(value))
    monkeypatch.setattr(layers, "OTHER_FACTOR", Factor.of(value / 2))
    assert timed(EXPAND)


def test_the_references_are_not_flat() -> None:
    for text in LAYERS:
        for operator in operators_of(parse_workload(text)):
            assert len(np.unique(operator.expected[0])) > min(8, operator.expected[0].size - 1)


def test_a_wrong_value_is_reported_with_its_place() -> None:
    (operator,) = operators_of(parse_workload(MAX))
    outputs = [(one.copy(),) for one in operator.expected]
    good = RunResult(Outcome.OK, outputs=tuple(outputs))
    check(parse_workload(MAX), operator, good)
    outputs[1][0][0, 2, 3, 4] ^= 1
    with pytest.raises(VerificationError, match=r"'extremes'; the first, at \[0, 2, 3, 4\], is"):
        check(parse_workload(MAX), operator, good)


def test_a_kernel_that_fails_is_reported() -> None:
    (operator,) = operators_of(parse_workload(MAX))
    with pytest.raises(VerificationError, match="as of 2022, failed"):
        check(parse_workload(MAX), operator, RunResult(Outcome.CRASH, "It fell."))


def test_every_layer_of_resnet_50_is_covered() -> None:
    workloads = [member.workload() for member in suite().members]
    assert all(layers.is_covered(one) for one in workloads if isinstance(one, Conv2d))
    others = [one for one in workloads if not isinstance(one, Conv2d)]
    names = [operator.name for one in others for operator in operators_of(one)]
    assert names == ["max pool", "global average", "sum of the row", "dense", "requantize"]


@pytest.mark.parametrize(
    "text",
    [
        "dense:m=2,n=32,k=64,lhs=u8,rhs=i8,out=u8,bias=1,requant=channel",
        "dense:m=1,n=32,k=64,lhs=u8,rhs=i8",
        THREE.replace("co=32", "co=31"),
        THREE.replace("rhs=i8", "rhs=u8"),
        THREE.replace("h=7", "h=9"),
        "max_pool2d:n=1,h=9,w=9,c=31,kh=3,kw=3,stride=2,pad=1,dtype=u8",
        "add:shape=1x7x7x64,lhs=u8,rhs=u8,out=u8",
    ],
)
def test_what_is_not_rebuilt_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(UsageError, match="is no layer that TVM's schedules of 2022"):
        operators_of(parse_workload(text))
