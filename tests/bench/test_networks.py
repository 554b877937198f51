"""Networks next to published times: sums, error bars, and what is refused."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.device.timing.untuned.test_layers import EXPAND, MAX
from tests.model.networks import residual_network
from vrmpy_tune.bench import networks
from vrmpy_tune.bench.networks import (
    TUNED_SOURCE,
    UNTUNED_SOURCE,
    HeldOutErrors,
    held_out_errors,
    published,
    tuned_row,
    untuned_row,
)
from vrmpy_tune.cli.calibrate import networks_text
from vrmpy_tune.device.qemu import QemuDevice
from vrmpy_tune.device.timing import points
from vrmpy_tune.device.timing.calibration import group_of
from vrmpy_tune.device.timing.untuned.layers import SUMS_ALONE
from vrmpy_tune.errors import MissingRecordError, UsageError
from vrmpy_tune.model import compile as compiling
from vrmpy_tune.model import opening
from vrmpy_tune.toolchain.pool import CodegenPool
from vrmpy_tune.workload import parse_workload

ERRORS = HeldOutErrors(0.1, 29)


def test_published_times_come_from_the_csv() -> None:
    assert published(UNTUNED_SOURCE).microseconds == 146_000
    assert published(TUNED_SOURCE).microseconds == 50_000
    with pytest.raises(UsageError, match="no int8 VGG of TVM PR 12911"):
        published(UNTUNED_SOURCE, "int8 VGG")


@pytest.mark.device
def test_the_errors_are_those_of_held_out_points_alone() -> None:
    given = points.read_points(points.PUBLISHED)
    few = [one for one in given if one.workload in ("vadd stream n=128", "vrmpy stream n=128")]
    held_out = [one for one in few if group_of(one) == "vadd stream"]
    assert 0 < len(held_out) < len(few)
    with QemuDevice() as device, CodegenPool(2) as pool:
        errors = held_out_errors(few, device, pool)
    assert errors.points == len(held_out)
    assert 0 < errors.deviation < 0.3


@pytest.mark.device
def test_the_estimate_is_the_sum_over_all_layers() -> None:
    layers = [(parse_workload(EXPAND), 5), (parse_workload(MAX), 2)]
    told: list[str] = []
    with QemuDevice() as device, CodegenPool(2) as pool:
        row = untuned_row(layers, device, pool, ERRORS, progress=told.append)
    assert [one["operator"] for one in row["operators"]] == ["conv2d", SUMS_ALONE, "max pool"]
    assert len(told) == row["verified"] == 3
    conv, alone, pool_ = (one["estimated_us"] for one in row["operators"])
    assert row["estimate_ms"] == pytest.approx((5 * conv + 2 * pool_) / 1e3)
    assert row["sums_alone_ms"] == pytest.approx(5 * alone / 1e3)
    assert sum(row["parts_ms"].values()) == pytest.approx(row["estimate_ms"])
    assert row["estimate_cold_ms"] >= row["estimate_ms"]
    wide, narrow = row["interval_ms"]["all_err_alike"], row["interval_ms"]["each_errs_by_itself"]
    assert wide[0] < narrow[0] < row["estimate_ms"] < narrow[1] < wide[1]
    assert row["within"] == {"all_err_alike": False, "each_errs_by_itself": False}
    text = networks_text({"held_out": {"points": 29, "log_deviation": 0.1}, "networks": [row]})
    assert "146.0 ms (TVM PR 12911)" in text
    assert "without what is fused to them" in text


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    network = residual_network(), {"file": "model.onnx", "sha256": "00"}
    monkeypatch.setattr(opening, "open_model", lambda _: network)
    return tmp_path / "model.onnx"


def test_a_network_without_records_is_not_called_tuned(model: Path) -> None:
    with pytest.raises(MissingRecordError):
        tuned_row(model, [], ERRORS)


@pytest.mark.device
def test_layers_and_what_is_between_them_make_the_time_of_our_network(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lenient: Any = partial(compiling.compile_network)
    monkeypatch.setattr(
        compiling,
        "compile_network",
        lambda network, **options: lenient(network, **{**options, "strict": False}),
    )
    row = tuned_row(model, [], ERRORS)
    assert row["source"] == TUNED_SOURCE
    assert row["verified"] == len(residual_network().layers)
    assert 0 < sum(row["parts_ms"].values()) <= row["estimate_ms"]
    assert row["profile"] == networks.HVX_TIME_8GEN1
    assert row["packets_critical"] < row["packets_total"]
