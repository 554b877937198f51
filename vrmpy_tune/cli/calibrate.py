"""``vrmpy-tune calibrate``: how far estimated times are from measured ones."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from vrmpy_tune.cli.options import Json
from vrmpy_tune.cli.streams import one_document, say
from vrmpy_tune.errors import UsageError
from vrmpy_tune.target import parse_target
from vrmpy_tune.workload import parse_workload

if TYPE_CHECKING:
    from vrmpy_tune.device.timing.choices import Rebuild
    from vrmpy_tune.device.timing.points import Point
    from vrmpy_tune.device.timing.rebuild import OwnCall

_PROFILE: Final = "sd8gen1"


def calibrate(
    measurements: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[CSV]",
            help="Measurements of your own, besides the published ones.",
            show_default=False,
        ),
    ] = None,
    *,
    profile: Annotated[
        str, typer.Option(metavar="NAME", help="Profile to start from, or a .toml file.")
    ] = _PROFILE,
    check: Annotated[
        bool,
        typer.Option("--check", help="Fit on PR 12654's vrmpy streams alone, score the others."),
    ] = False,
    choices: Annotated[
        bool,
        typer.Option(
            "--choices",
            help="With --check: the error without each choice that was made after errors were "
            "seen. Takes some five minutes.",
        ),
    ] = False,
    networks: Annotated[
        bool,
        typer.Option("--networks", help="Estimate published networks instead, with error bars."),
    ] = False,
    codegen: Annotated[
        str,
        typer.Option(metavar="NAME", help="Code generator of the rebuilt kernels; see README."),
    ] = "tvm",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write the fitted profile (.toml)."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Fit a device profile to measured times.

    Rebuilds and traces the kernels that were measured, fits the profile's parameters to their
    times, and cross-validates: each group of points is predicted from all others.

    --networks rebuilds int8 ResNet-50 as TVM compiled it in 2022, untuned, layer by layer, and
    compiles it with the records that ship: both estimates stand next to published times, with
    error bars from the held-out points.
    """
    if check and output:
        raise UsageError("--check fits on a part of the points only; give --output without it.")
    if choices and not check:
        raise UsageError("--choices goes with --check, whose choices it undoes.")
    if networks and (check or output or measurements or profile != _PROFILE):
        raise UsageError("--networks fits nothing; it goes with --codegen and --json alone.")
    from vrmpy_tune.device.qemu import QemuDevice
    from vrmpy_tune.device.timing import calibration, points, rebuild
    from vrmpy_tune.device.timing.choices import choices_report
    from vrmpy_tune.device.timing.profile import format_profile, load_profile
    from vrmpy_tune.toolchain.pool import CodegenPool

    if codegen not in rebuild.GENERATORS:
        known = ", ".join(rebuild.GENERATORS)
        raise UsageError(f"There is no code generator '{codegen}'. Name one of {known}.")
    if networks:
        _networks(codegen, as_json)
        return
    base = load_profile(profile)
    given = [
        point
        for path in (points.PUBLISHED, *(measurements or ()))
        for point in points.read_points(path)
    ]
    with (
        one_document(as_json) as emit,
        tempfile.TemporaryDirectory(prefix="vrmpy-tune-") as scratch,
        QemuDevice(say) as device,
        CodegenPool(rebuild.WORKERS) as pool,
    ):

        def trace(directory: Path, **how: Any) -> list[rebuild.TracedPoint]:
            built: dict[str, Any] = {"generator": codegen, "own": call_of_artifact} | how
            return list(rebuild.trace_points(given, device, pool, directory, **built))

        def trace_again(how: Rebuild) -> list[rebuild.TracedPoint]:
            say(f"Rebuilding with {', '.join(f'{name} {value}' for name, value in how.items())}")
            return trace(Path(tempfile.mkdtemp(dir=scratch)), **how)

        traced = trace(Path(scratch))
        say(f"{len(traced)} of {len(given)} measured kernels rebuilt and traced.")
        with calibration.Calibration(traced) as calibrated:
            if check:
                report = calibration.check(calibrated, base)
                if choices:
                    report["choices"] = choices_report(calibrated, base, trace_again)
            else:
                fitted = calibration.fit_all(calibrated, base)
                report = calibration.describe_fit(calibrated, base, fitted)
                if output:
                    output.write_text(format_profile(fitted))
        rebuilt = {one.point for one in traced}
        report["not_rebuilt"] = [
            {"source": one.source, "workload": one.workload} for one in given if one not in rebuilt
        ]
        if as_json:
            emit(report)
    if not as_json:
        print(report_text(report))


def _networks(codegen: str, as_json: bool) -> None:
    from vrmpy_tune.bench.networks import held_out_errors, tuned_row, untuned_row
    from vrmpy_tune.device.qemu import QemuDevice
    from vrmpy_tune.device.timing import points, rebuild
    from vrmpy_tune.model.zoo import resnet50
    from vrmpy_tune.records.shipped import shipped_records
    from vrmpy_tune.suites import suite_called
    from vrmpy_tune.toolchain.pool import CodegenPool

    layers = [(one.workload(), one.count) for one in suite_called("resnet50-int8").members]
    records = [str(one) for one in (shipped_records(),) if one]
    with one_document(as_json) as emit:
        with QemuDevice(say) as device, CodegenPool(rebuild.WORKERS) as pool:
            given = points.read_points(points.PUBLISHED)
            errors = held_out_errors(given, device, pool, codegen)
            untuned = untuned_row(layers, device, pool, errors, generator=codegen, progress=say)
        say("Compiling ResNet-50 with the records that ship, and running it")
        report = {
            "held_out": {"log_deviation": errors.deviation, "points": errors.points},
            "networks": [untuned, tuned_row(resnet50(), records, errors)],
        }
        if as_json:
            emit(report)
    if not as_json:
        print(networks_text(report))


def networks_text(report: dict[str, Any]) -> str:
    """Return the estimates of networks as text: next to what was measured, and of what they are."""
    held_out = report["held_out"]
    lines = [
        f"error bars: 95%, from {held_out['points']} held-out points, whose logarithms deviate "
        f"by {held_out['log_deviation']:.3f}"
    ]
    for row in report["networks"]:
        alike, alone = (row["interval_ms"][one] for one in ("all_err_alike", "each_errs_by_itself"))
        lines += [
            f"{row['network']}, {row['device']}: {row['measured_ms']:.1f} ms ({row['source']})",
            f"  {row['system']}: {row['estimate_ms']:.1f} ms estimated by {row['profile']}, "
            f"x {row['ratio']:.2f}; if all kernels err alike {alike[0]:.1f} to {alike[1]:.1f}, "
            f"if each errs by itself {alone[0]:.1f} to {alone[1]:.1f}",
            "  " + ", ".join(f"{part} {ms:.1f}" for part, ms in row["parts_ms"].items()),
        ]
        if "by_operator_ms" in row:
            operators = row["by_operator_ms"].items()
            lines += [
                f"  {row['estimate_cold_ms']:.1f} ms if every call found its caches empty",
                "  " + ", ".join(f"{name} {ms:.2f}" for name, ms in operators),
                f"  {row['sums_alone_ms']:.1f} ms for convolutions without what is fused to them",
            ]
    return "\n".join(lines)


def call_of_artifact(point: Point) -> OwnCall | None:
    """Return the call of the artifact that a measurement names as its workload, if it does.

    Raises
    ------
    UsageError
        If the artifact does not hold exactly one kernel.
    ArtifactError
        If it is damaged.
    """
    directory = Path(point.workload)
    if not (directory / "manifest.json").is_file():
        return None
    from vrmpy_tune.compiler.artifact import read_artifact
    from vrmpy_tune.compiler.run import stored_call
    from vrmpy_tune.device.timing.rebuild import OwnCall
    from vrmpy_tune.model.artifact import is_network

    if is_network(directory) or len(kernels := read_artifact(directory)) != 1:
        raise UsageError(f"A measurement names the artifact {directory}, which is not one kernel.")
    (kernel,) = kernels
    job, operands, _ = stored_call(kernel, parse_workload(kernel.workload))
    return OwnCall(job, operands, parse_target(kernel.target))


def report_text(report: dict[str, Any]) -> str:
    """Return a report as plain text."""
    from vrmpy_tune.device.timing.choices import choices_text

    lines = []
    for point in (*report["points"], *report.get("beyond", ())):
        lines.append(
            f"{point['source']:14} {point['name']:32} {point['microseconds']:10.2f} us  "
            f"estimate {point['estimate']:10.2f}  x {point['ratio']:.2f}  ({point['bottleneck']})"
        )
    for group, row in report["groups"].items():
        lines.append(
            f"{group}: {row['points']} points, {row['geomean_error']:.1%}, "
            f"packets x constant {row['packets_geomean_error']:.1%}"
        )
    for key in ("held_out_geomean_error", "packets_geomean_error", "fit_geomean_error"):
        if key in report:
            lines.append(f"{key.replace('_', ' ')}: {report[key]:.1%}")
    for point in report.get("unexplained", ()):
        lines.append(
            f"off by more than 15%: {point['source']}, {point['name']}, x {point['ratio']:.2f}"
        )
    for key in ("leave_one_group_out", "ablations"):
        for name, error in report.get(key, {}).items():
            lines.append(f"{key.replace('_', ' ')}, {name}: {error:.1%}")
    if "choices" in report:
        lines.append(choices_text(report["choices"]))
    return "\n".join(lines)
