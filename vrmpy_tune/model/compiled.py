"""A compiled network: what it takes and gives, and running it on any device."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vrmpy_tune.device.open import open_device
from vrmpy_tune.measurement import DEFAULT_METRIC
from vrmpy_tune.model.artifact import StoredNetwork, read_network
from vrmpy_tune.model.edge import check_inputs, dequantized, quantized
from vrmpy_tune.model.execution import execute
from vrmpy_tune.model.verification import check_outputs

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from vrmpy_tune.device.protocol import Device
    from vrmpy_tune.measurement import Counts, EstimatedTime
    from vrmpy_tune.model.network import Port
    from vrmpy_tune.workload import Workload


@dataclass(frozen=True)
class LayerCost:
    """What one layer took.

    Attributes
    ----------
    name, workload:
        The layer.
    packets_total, packets_critical:
        All its packets, and those on the critical path.
    time:
        Its estimated time, if that was asked for.
    """

    name: str
    workload: Workload
    packets_total: int
    packets_critical: int
    time: EstimatedTime | None


@dataclass(frozen=True)
class ModelRun:
    """What one run gave.

    Attributes
    ----------
    outputs:
        The user's outputs by name.
    counts:
        What was counted in the whole call.
    layers:
        What each layer took, in order.
    verified:
        Whether the outputs were compared with the interpreter's.
    described:
        Shapes and types of the outputs as JSON data by name, and what the host computed of them.
    """

    outputs: dict[str, np.ndarray]
    counts: Counts
    layers: tuple[LayerCost, ...]
    verified: bool
    described: dict[str, dict[str, Any]]

    def as_json(self) -> dict[str, Any]:
        """Return the document of ``run --json``."""
        total = self.counts.packets_total
        return {
            "packets_total": total,
            "packets_critical": self.counts.packets_critical,
            "estimated_us": self.counts.time.nanoseconds / 1e3 if self.counts.time else None,
            "verified": self.verified,
            "outputs": self.described,
            "layers": [
                {
                    "name": layer.name,
                    "workload": str(layer.workload),
                    "packets_total": layer.packets_total,
                    "packets_critical": layer.packets_critical,
                    "packet_bound": layer.workload.packet_bound,
                    "macs": layer.workload.macs,
                    "share": layer.packets_total / total if total else 0.0,
                    "estimated_us": layer.time.nanoseconds / 1e3 if layer.time else None,
                    "time_us": layer.time.as_json() if layer.time else None,
                }
                for layer in self.layers
            ],
        }


class CompiledModel:
    """A network that was compiled into an artifact directory.

    Parameters
    ----------
    directory:
        The artifact directory; every hash in it is checked.
    keep:
        What must live as long as the model does, such as a temporary directory.

    Raises
    ------
    ArtifactError
        If the directory is not one of a network, or was altered.

    Examples
    --------
    >>> net = CompiledModel("net/")  # doctest: +SKIP
    >>> logits = net.run(device="qemu", image=pixels)  # doctest: +SKIP
    """

    def __init__(self, directory: Path | str, *, keep: object = None) -> None:
        self.directory = Path(directory)
        self._keep = keep
        self._stored: StoredNetwork = read_network(self.directory)

    @property
    def inputs(self) -> tuple[Port, ...]:
        """Names, shapes, types, layouts, scales and zero points of the inputs."""
        return self._stored.network.inputs

    @property
    def outputs(self) -> tuple[Port, ...]:
        """The same of the outputs, and in ``after`` what the host computes of them."""
        return self._stored.network.outputs

    @property
    def manifest(self) -> dict[str, Any]:
        """The artifact's manifest: kernels, records, metric, toolchain."""
        return self._stored.manifest

    def run(
        self,
        inputs: Mapping[str, np.ndarray] | None = None,
        /,
        *,
        device: Device | str = "qemu",
        **named: np.ndarray,
    ) -> np.ndarray | dict[str, np.ndarray]:
        """Run the network and return its output, or its outputs by name if it has several.

        Parameters
        ----------
        inputs, named:
            The arrays by the inputs' names; a mapping for names that are no identifiers.
        device:
            A device, or the name of one.

        The errors are those of :meth:`profile`.
        """
        outputs = self.profile({**(inputs or {}), **named}, device=device).outputs
        return next(iter(outputs.values())) if len(outputs) == 1 else outputs

    def profile(
        self,
        inputs: Mapping[str, np.ndarray],
        *,
        device: Device | str = "qemu",
        verify: bool = False,
        source: str = "The inputs",
        metric: str = DEFAULT_METRIC,
    ) -> ModelRun:
        """Run the network and return its outputs with what each layer took.

        Parameters
        ----------
        inputs:
            The arrays by the inputs' names.
        device:
            A device, or the name of one.
        verify:
            Compare the outputs with the interpreter's, bit for bit.
        source:
            Where the inputs came from, for messages.
        metric:
            What is wanted besides packets: an estimated time, or nothing.

        Raises
        ------
        UsageError
            If the arrays are not what the model takes.
        VerificationError
            If the network does not run to its end, or an output is wrong.
        DeviceError
            If the device cannot run it at all.
        """
        network = self._stored.network
        arrays = check_inputs(network.inputs, inputs, source)
        integers = tuple(map(quantized, network.inputs, arrays))
        with ExitStack() as opened:
            if isinstance(device, str):
                device = opened.enter_context(open_device(device))
            (execution,) = execute(
                self._stored.program, (integers,), device, self._stored.target, metric
            )
        if verify:
            check_outputs(network, integers, execution.outputs, source)
        outputs = {
            port.name: dequantized(port, array)
            for port, array in zip(network.outputs, execution.outputs, strict=True)
        }
        time = execution.counts.time
        times = time.layers if time else (None,) * len(network.layers)
        layers = tuple(
            LayerCost(layer.name, layer.workload, int(total), int(critical), estimated)
            for layer, (total, critical), estimated in zip(
                network.layers, execution.layers, times, strict=True
            )
        )
        return ModelRun(outputs, execution.counts, layers, verify, network.outputs_as_json())


def compile_model(path: Path, *, output: Path | None, **options: Any) -> CompiledModel:
    """Compile an ONNX file.

    Parameters
    ----------
    output:
        The artifact directory; by default one that exists as long as the model that is returned.
    options:
        Those of :func:`vrmpy_tune.model.compile.compile_network`, which also lists the errors.

    Raises
    ------
    VerificationError
        If the network is not what onnxruntime or LiteRT computes, where one is installed, as
        :func:`vrmpy_tune.model.agreement.compare_with_runtime` finds; nothing is written.
    """
    from vrmpy_tune.model.agreement import NOT_ASKED, compare_with_runtime
    from vrmpy_tune.model.compile import compile_network
    from vrmpy_tune.model.opening import open_model

    network, source = open_model(path)
    verify = options.get("device", "qemu") is not None
    agreement = compare_with_runtime(path, network) if verify else NOT_ASKED
    kept = None
    if output is None:
        kept = tempfile.TemporaryDirectory(prefix="vrmpy-tune-")
        output = Path(kept.name)
    compile_network(network, output=output, source=source, agreement=agreement, **options)
    return CompiledModel(output, keep=kept)
