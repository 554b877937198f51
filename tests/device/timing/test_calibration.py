"""Published kernels, traced, against what phones took for them."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from vrmpy_tune.cli.calibrate import report_text
from vrmpy_tune.device.qemu import QemuDevice
from vrmpy_tune.device.timing import calibration, choices, points, rebuild
from vrmpy_tune.device.timing.calibration import FIT_GROUP, HELD_OUT, Calibration, geometric_error
from vrmpy_tune.device.timing.estimate import PARTS, TraceSimulator
from vrmpy_tune.device.timing.profile import load_profile
from vrmpy_tune.toolchain.pool import CodegenPool

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from vrmpy_tune.device.timing.rebuild import TracedPoint

pytestmark = [pytest.mark.device, pytest.mark.slow]

PROFILE = load_profile("sd8gen1")
BAR = 0.10


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[TracedPoint]]:
    given = points.read_points(points.PUBLISHED)
    with QemuDevice() as device, CodegenPool(rebuild.WORKERS) as pool:
        yield list(rebuild.trace_points(given, device, pool, tmp_path_factory.mktemp("traces")))


@pytest.fixture(scope="module")
def calibrated(traced: list[TracedPoint]) -> Iterator[Calibration]:
    with Calibration(traced) as made:
        yield made


def test_a_trace_has_the_packets_that_qemu_counts(traced: list[TracedPoint]) -> None:
    with TraceSimulator([one.trace for one in traced]) as simulator:
        estimates = simulator.estimate(PROFILE)
    for one, estimate in zip(traced, estimates, strict=True):
        if one.point.threads == 1:
            assert estimate.packets == one.packets
        assert sum(estimate.parts[part] for part in PARTS) == pytest.approx(estimate.nanoseconds)


def test_every_point_of_the_check_is_there(calibrated: Calibration) -> None:
    assert len(calibrated.members(FIT_GROUP)) == 16
    assert [len(calibrated.members(group)) for group in HELD_OUT] == [16, 6, 7]


def test_a_profile_fitted_to_vrmpy_streams_predicts_all_other_kernels(
    calibrated: Calibration,
) -> None:
    fitted = calibrated.fit(PROFILE, calibrated.members(FIT_GROUP))
    held_out = calibrated.members(*HELD_OUT)
    error = geometric_error([one.ratio for one in calibrated.score(fitted, held_out)])
    assert error <= BAR
    assert geometric_error(calibrated.packet_ratios(held_out)) > 5 * error


def test_the_shipped_profile_is_the_fitted_one(calibrated: Calibration) -> None:
    fitted = calibrated.fit(PROFILE, calibrated.members(FIT_GROUP))
    for name in calibration.FITTED:
        assert fitted.value(name) == pytest.approx(PROFILE.value(name), rel=1e-3)


def test_a_fit_forgets_where_its_profile_stood(calibrated: Calibration) -> None:
    some = calibrated.members(FIT_GROUP)[:10]
    moved = PROFILE.with_values({"clock_mhz": 500.0, "call_ns": 9.0})
    assert calibrated.fit(moved, some) == calibrated.fit(PROFILE, some)


def test_the_reason_of_a_time_is_told(calibrated: Calibration) -> None:
    scored = calibrated.score(PROFILE, calibrated.members(FIT_GROUP))
    reasons = {(one.point.workload, one.point.threads): one.bottleneck for one in scored}
    assert reasons["vrmpy stream n=4096", 1] == "memory"
    assert reasons["vrmpy stream n=1024", 1] == "issue"
    assert reasons["vrmpy stream n=128", 4] == "overhead"


def test_the_dense_layer_of_the_440_gops_comes_near_them(calibrated: Calibration) -> None:
    (scored,) = calibrated.score(load_profile("sd888"), calibrated.members("dense (TVM PR 12854)"))
    gops = 2 * 128 * 768 * 768 / scored.microseconds / 1e3
    assert gops == pytest.approx(440, rel=0.15)


def test_choices_made_after_errors_were_seen_are_undone_one_by_one(
    traced: list[TracedPoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    few = [one for one in traced if re.search("n=(256|1024|4096)|w=9", one.point.workload)]
    asked: list[dict[str, object]] = []

    def trace_again(how: Mapping[str, object]) -> list[TracedPoint]:
        asked.append(dict(how))
        return few

    monkeypatch.setattr(choices, "CANDIDATES", {"packet_cycles": (2, 3), "l1_miss_cycles": (0, 1)})
    with Calibration(few) as made:
        report = choices.choices_report(made, PROFILE, trace_again)
    assert {"alignment": 128} in asked
    assert {"scalar_memset": False} in asked
    assert {"alignment": 128, "scalar_memset": False, "generator": "zig"} in asked
    rows = {one["choice"]: one for one in report["without"]}
    assert len(rows) == len(choices.CHOICES)
    vmemu = rows["a vmemu takes the port of L2 for the lines that it touches"]
    assert vmemu["held_out"] != report["with_all"]["held_out"]
    # The streams have no scalar loads that miss L1, so that the fit cannot tell 0 from 1.
    decided = report["by_the_fitting_group"]
    assert decided["values"]["l1_miss_cycles"] == 0
    with Calibration(few) as made:
        fits = {
            cycles: choices.errors_of(
                made, PROFILE.with_values({"packet_cycles": cycles, "l1_miss_cycles": 0})
            ).fit
            for cycles in (2, 3)
        }
    assert decided["values"]["packet_cycles"] == min(fits, key=lambda cycles: fits[cycles])
    text = choices.choices_text(report)
    assert all(one.name in text for one in choices.CHOICES)
    assert "none of the choices" in text


def test_equal_runs_have_equal_traces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = [
        one for one in points.read_points(points.PUBLISHED) if one.workload == "vrmpy stream n=128"
    ]
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


def test_a_report_names_every_point(traced: list[TracedPoint]) -> None:
    few = [one for one in traced if "n=128" in one.point.workload or "1024" in one.point.workload]
    with Calibration(few) as made:
        report = calibration.describe_fit(made, PROFILE, PROFILE)
    text = report_text(report)
    assert all(one.point.workload in text for one in few)
    assert set(report["leave_one_group_out"]) == set(made.groups)


def test_a_fit_to_everything_says_so(traced: list[TracedPoint]) -> None:
    with Calibration(traced[:6]) as made:
        fitted = calibration.fit_all(made, PROFILE)
    assert fitted.sources["clock_mhz"] == "fitted to 6 points of TVM PR 12654"


def test_the_geometric_error_counts_both_directions() -> None:
    assert geometric_error([2.0, 0.5]) == pytest.approx(1.0)
    assert geometric_error([1.0]) == 0.0
    assert geometric_error([]) == 0.0


def test_an_unknown_measurement_is_not_rebuilt() -> None:
    known = points.read_points(points.PUBLISHED)[0]
    assert rebuild.published_kernel(replace(known, workload="something else")) is None
    assert rebuild.published_kernel(known) is not None
    assert np.isclose(known.microseconds, 1.12)
