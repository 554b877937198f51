"""``vrmpy-tune run``: run a compiled artifact on a device."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vrmpy_tune.cli.options import Device, Json, check_metric
from vrmpy_tune.cli.streams import one_document
from vrmpy_tune.errors import UsageError
from vrmpy_tune.measurement import DEFAULT_METRIC, HVX_TIME_8GEN1, EstimatedTime, is_time
from vrmpy_tune.report.figure import check_directory
from vrmpy_tune.workload import parse_workload

if TYPE_CHECKING:
    from vrmpy_tune.compiler.run import RunReport
    from vrmpy_tune.model.compiled import ModelRun


def run_kernels(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="What `compile` wrote.")],
    *,
    inputs: Annotated[
        Path | None, typer.Option("--input", metavar="X.npz", help="Inputs; else random ones.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="Y.npz", help="Where the outputs go.")
    ] = None,
    device: Device = "qemu",
    profile: Annotated[bool, typer.Option("--profile", help="A line for each layer.")] = False,
    metric: Annotated[
        str | None,
        typer.Option(
            help="hvx-time/sd8gen1/1 and its like estimate the time besides; "
            f"default: {DEFAULT_METRIC}, with --html {HVX_TIME_8GEN1}."
        ),
    ] = None,
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A page about the run, in times."),
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify/--no-verify", help="Check a model's outputs.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Run a compiled artifact and check its outputs."""
    check_metric(metric)
    metric = metric or (DEFAULT_METRIC if html is None else HVX_TIME_8GEN1)
    if html is not None:
        if not is_time(metric):
            raise UsageError(
                f"--html shows estimated times; use --metric {HVX_TIME_8GEN1} or its like."
            )
        check_directory(html)
    from vrmpy_tune.compiler import run_artifact
    from vrmpy_tune.model.artifact import is_network

    report: dict[str, Any]
    with one_document(as_json) as emit:
        if is_network(directory):
            from vrmpy_tune.model.files import run_files

            run: ModelRun | RunReport = run_files(
                directory,
                inputs=inputs,
                output=output,
                device=device,
                verify=verify,
                metric=metric,
            )
        else:
            run = run_artifact(
                directory, inputs=inputs, output=output, device=device, metric=metric
            )
        report = run.as_json()
        if html is not None:
            html.write_text(page_of(directory, report, metric), encoding="utf-8")
        if as_json:
            emit(report)
    if not as_json:
        print(report_text(report, profile=profile))


def page_of(directory: Path, report: dict[str, Any], metric: str) -> str:
    """Return the page about a run, from its document and the code in its artifact."""
    from vrmpy_tune.compiler.artifact import code_of_kernels
    from vrmpy_tune.device.timing.profile import profile_of
    from vrmpy_tune.model.artifact import code_of_layers, is_network
    from vrmpy_tune.report.profile_page import PageLayer, profile_page

    layers = []
    code = code_of_layers(directory) if is_network(directory) else code_of_kernels(directory)
    for layer, (tir, assembly) in zip(report["layers"], code, strict=True):
        workload = parse_workload(layer.get("workload", layer["name"]))
        parts = tuple((part, round(us * 1e3)) for part, us in layer["time_us"].items())
        time = EstimatedTime(metric, max(1, round(layer["estimated_us"] * 1e3)), parts)
        layers.append(
            PageLayer(layer["name"], workload, layer["packets_total"], time, tir, assembly)
        )
    return profile_page(directory.name, layers, profile_of(metric), report["estimated_us"])


def report_text(report: dict[str, Any], *, profile: bool) -> str:
    """Return the document of ``run --json`` in words; with ``profile``, a line for each layer."""
    from vrmpy_tune.model.softmax import lines_after

    lines = []
    if profile:
        for layer in report["layers"]:
            lines.append(
                f"{layer['packets_total']:>15,} packets {layer['share']:>6.1%} "
                f"{layer['macs'] / max(1, layer['packets_total']):>6.1f} MACs/packet"
                f"{time_text(layer)}  {layer['name']}"
            )
    lines.append(
        f"{report['packets_total']:,} packets in all, "
        f"{report['packets_critical']:,} on the critical path"
    )
    if report["estimated_us"] is not None:
        lines[-1] += f", {report['estimated_us']:,.2f} us estimated"
    lines += lines_after(report.get("outputs", {}))
    return "\n".join(lines)


def time_text(layer: dict[str, Any]) -> str:
    """Return the estimated time of a layer and what most of it is, if it was estimated."""
    if layer["estimated_us"] is None:
        return ""
    parts: dict[str, float] = layer["time_us"]
    part = max(parts, key=parts.__getitem__)
    return f" {layer['estimated_us']:>10,.2f} us, {parts[part] / layer['estimated_us']:.0%} {part}"
