"""``vrmpy-tune run``: run a compiled artifact on a device."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from vrmpy_tune.cli.options import Device, Json, check_metric
from vrmpy_tune.cli.streams import one_document
from vrmpy_tune.measurement import QEMU_PACKETS


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
        str, typer.Option(help="hvx-time/sd8gen1/1 and its like estimate the time besides.")
    ] = QEMU_PACKETS,
    verify: Annotated[
        bool, typer.Option("--verify/--no-verify", help="Check a model's outputs.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Run a compiled artifact on a device, and check its outputs."""
    check_metric(metric)
    from vrmpy_tune.compiler import run_artifact
    from vrmpy_tune.model.artifact import is_network

    with one_document(as_json) as emit:
        if is_network(directory):
            from vrmpy_tune.model.files import run_files

            report = run_files(
                directory,
                inputs=inputs,
                output=output,
                device=device,
                verify=verify,
                metric=metric,
            ).as_json()
        else:
            report = run_artifact(
                directory, inputs=inputs, output=output, device=device, metric=metric
            ).as_json()
        if as_json:
            emit(report)
    if not as_json:
        print(report_text(report, profile=profile))


def report_text(report: dict[str, Any], *, profile: bool) -> str:
    """Return the document of ``run --json`` in words; with ``profile``, a line for each layer."""
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
    return "\n".join(lines)


def time_text(layer: dict[str, Any]) -> str:
    """Return the estimated time of a layer and what most of it is, if it was estimated."""
    if layer["estimated_us"] is None:
        return ""
    parts: dict[str, float] = layer["time_us"]
    part = max(parts, key=parts.__getitem__)
    return f" {layer['estimated_us']:>10,.2f} us, {parts[part] / layer['estimated_us']:.0%} {part}"
