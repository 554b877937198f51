"""Whether the imported network computes what the model file says, by another runtime's word.

The device is compared with the interpreter bit for bit, which shows nothing of how the file was
read.  So the interpreter is compared with onnxruntime or LiteRT, where it is installed: each layer
that makes a tensor of the file is given the runtime's own tensors, and must be within one unit of
what the runtime makes of them, since two correct roundings of one value differ by one at most.
The outputs of the whole network, in which such units add up, are measured, not judged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from vrmpy_tune.errors import VerificationError
from vrmpy_tune.model.edge import SIGN_OFFSET, dequantized, quantized
from vrmpy_tune.model.network import PASSED
from vrmpy_tune.model.reference import interpret, run_layer
from vrmpy_tune.model.runtimes import missing, open_runtime

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from vrmpy_tune.model.network import Network, Port
    from vrmpy_tune.model.runtimes import Run

MOST: Final = 1
"""Units of its scale that a layer may differ by, given the runtime's inputs."""

SEED: Final = 20_261_128
_MIDDLE: Final = 16.0
"""Deviation of inputs of the second kind, in units, round their zero point."""

_EXACT: Final = 1e-5
"""What floats of a softmax of equal values may differ by."""


@dataclass(frozen=True)
class Agreement:
    """What the interpreter was compared with, and how far it is from that.

    Attributes
    ----------
    runtime:
        Name and version; ``None`` if it was compared with nothing.
    reason:
        Why it was not; empty if it was.
    inputs:
        Number of random inputs.
    layers:
        Number of tensors of the file that were compared: inputs, and what layers make.
    largest_layer:
        The largest difference of a layer's element, given the runtime's inputs, in units.
    largest_output:
        The same of the network's outputs, given the network's inputs only; ``None`` if no output
        is of integers.
    """

    runtime: str | None
    reason: str = ""
    inputs: int = 0
    layers: int = 0
    largest_layer: int = 0
    largest_output: int | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the entry ``reference`` of reports and manifests."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


NOT_COMPARED: Final = Agreement(None, "the network is that of no file.")
"""Of networks that were not imported."""


NOT_ASKED: Final = Agreement(None, "nothing was to be verified.")
"""Of networks that are compiled without verification."""


def agreement_text(found: Mapping[str, Any]) -> str:
    """Return what :meth:`Agreement.as_json` says in words."""
    if found["runtime"] is None:
        return f"interpreter compared with no other runtime: {found['reason']}"
    parts = []
    if found["largest_output"] is not None:
        parts.append(f"largest difference {_units(found['largest_output'])} of output")
    parts.append(
        f"{found['layers']} tensors, each made of its own inputs: {_units(found['largest_layer'])}"
    )
    return f"interpreter against {found['runtime']} on {found['inputs']} inputs: {'; '.join(parts)}"


def _units(number: int) -> str:
    return f"{number} unit" if number == 1 else f"{number} units"


def compare_with_runtime(path: Path, network: Network) -> Agreement:
    """Compare a network with the runtime of the file that it was imported from.

    Parameters
    ----------
    path:
        The file.
    network:
        What was imported from it.

    Raises
    ------
    VerificationError
        If a layer is further from the runtime than rounding explains; the message names the first.
    ModelError
        If the file cannot be imported.
    """
    from vrmpy_tune.model.opening import import_plain, is_tflite

    tflite = is_tflite(path)
    absent = missing(tflite)
    if absent is not None:
        return Agreement(None, f"{absent}.")
    plain, tensors = import_plain(path)
    wanted = [one for names in tensors.values() for one in names]
    try:
        runtime = open_runtime(path, wanted, tflite=tflite)
        feeds = inputs_of(network)
        runs = [runtime.run(one) for one in feeds]
    except Exception as error:
        # What a runtime raises of a model that it does not take is of many types.
        lines = str(error).strip().splitlines() or [type(error).__name__]
        name = "LiteRT" if tflite else "onnxruntime"
        return Agreement(None, f"{name} does not run the model: {lines[0].rstrip('.')}.")
    given = list(zip(feeds, runs, strict=True))
    return compare_runs(network, plain, tensors, runtime.name, given, channels_last=tflite)


def compare_runs(
    network: Network,
    plain: Network,
    tensors: Mapping[str, Sequence[str]],
    runtime: str,
    runs: Sequence[tuple[Mapping[str, np.ndarray], Run]],
    *,
    channels_last: bool,
) -> Agreement:
    """Compare a network with what a runtime made of some inputs.

    Parameters
    ----------
    network, plain:
        The network, and the same one without fused kernels.
    tensors:
        The tensors of the file that each layer and each input of ``plain`` is.
    runtime:
        What messages call it.
    runs:
        Inputs by name, with the outputs and the integer tensors that the runtime made of them.
    channels_last:
        Whether the file's images have their channels last.

    Raises
    ------
    VerificationError
        As :func:`compare_with_runtime`.
    """
    largest_layer, layers = 0, 0
    largest_output: int | None = None
    for feed, (outputs, known) in runs:
        comparison = _Comparison(plain, tensors, runtime)
        comparison.know(known, channels_last=channels_last)
        found = comparison.layers(feed)
        comparison.check_outputs(outputs)
        layers = len(found)
        largest_layer = max(largest_layer, *found, 0)
        own = interpret(network, _entry(network, feed))
        for port, theirs in zip(network.outputs, outputs, strict=True):
            if port.after is None or port.after.grid is not None:
                units = _difference(port, own[port.tensor], theirs)
                largest_output = max(units, largest_output or 0)
    return Agreement(runtime, "", len(runs), layers, largest_layer, largest_output)


def inputs_of(network: Network) -> list[dict[str, np.ndarray]]:
    """Return random inputs, as users give them: all values alike, and values round zero."""
    feeds = []
    for kind in range(2):
        generator = np.random.default_rng((SEED, kind))
        feed = {}
        for port in network.inputs:
            drawn = (
                generator.normal(port.zero_point, _MIDDLE, port.integer_shape)
                if kind
                else generator.uniform(-0.5, 255.5, port.integer_shape)
            )
            integers = np.clip(np.rint(drawn), 0, 255).astype(port.integer_dtype)
            feed[port.name] = dequantized(port, integers)
        feeds.append(feed)
    return feeds


def _entry(network: Network, feed: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {one.tensor: quantized(one, feed[one.name]) for one in network.inputs}


class _Comparison:
    """One run of a network's layers on a runtime's tensors."""

    def __init__(
        self,
        network: Network,
        tensors: Mapping[str, Sequence[str]],
        runtime: str,
    ) -> None:
        self._network = network
        self._files = tensors
        self._runtime = runtime
        self._known: dict[str, np.ndarray] = {}
        self._tensors: dict[str, np.ndarray] = {}

    def know(self, tensors: Mapping[str, np.ndarray], *, channels_last: bool) -> None:
        """Take the runtime's tensors, of a file whose images have their channels last or first."""
        self._known = {
            name: _on_device(value, channels_last=channels_last)
            for name, value in tensors.items()
            if value.dtype in (np.uint8, np.int8)
        }

    def layers(self, feed: Mapping[str, np.ndarray]) -> list[int]:
        """Return the largest difference of each layer that makes a tensor of the file."""
        found: list[int] = []
        for port, values in zip(
            self._network.inputs, _entry(self._network, feed).values(), strict=True
        ):
            self._tensors[port.tensor] = values
            if port.dtype not in PASSED:
                found += self._judged(port.tensor, f"The input '{port.name}'")
        for layer in self._network.layers:
            self._tensors[layer.output] = run_layer(layer, self._tensors)
            found += self._judged(layer.output, f"The layer '{layer.name}' ({layer.workload})")
        return found

    def _judged(self, tensor: str, what: str) -> list[int]:
        """Compare a tensor with the file's, which then takes its place."""
        own = self._tensors[tensor]
        found: list[int] = []
        for name in self._files.get(tensor, ()):
            theirs = self._known.get(name)
            if theirs is None:
                continue
            if theirs.size != own.size:
                raise VerificationError(
                    f"{what} makes {own.size} elements of the tensor '{name}', and "
                    f"{self._runtime} {theirs.size}. {REPORT}"
                )
            theirs = theirs.reshape(own.shape)
            if not found:
                self._tensors[tensor] = theirs
            difference = np.abs(own.astype(np.int32) - theirs)
            most = int(difference.max())
            if most > MOST:
                far = int(np.count_nonzero(difference > MOST))
                raise VerificationError(
                    f"{what} is up to {most} units from {self._runtime} in {far} of "
                    f"{own.size} elements of the tensor '{name}', given the same inputs; rounding "
                    f"explains {MOST}. {REPORT}"
                )
            found.append(most)
        return found

    def check_outputs(self, outputs: Sequence[np.ndarray]) -> None:
        """Check the outputs that the layers make of the file's last tensors."""
        for port, theirs in zip(self._network.outputs, outputs, strict=True):
            own = self._tensors[port.tensor]
            if port.shape != theirs.shape:
                raise VerificationError(
                    f"The output '{port.name}' has the shape {list(port.shape)}, and "
                    f"{list(theirs.shape)} in {self._runtime}. {REPORT}"
                )
            if port.after is not None and port.after.grid is None:
                self._check_floats(port, dequantized(port, own), theirs)
                continue
            # A softmax of values that differ by a unit is not judged in its own units.
            exact = port.after is None or bool(self._files.get(port.tensor))
            units = _difference(port, own, theirs)
            if exact and units > MOST:
                raise VerificationError(
                    f"The output '{port.name}' is up to {units} units from {self._runtime}, given "
                    f"the same inputs of its layer; rounding explains {MOST}. {REPORT}"
                )

    def _check_floats(self, port: Port, own: np.ndarray, theirs: np.ndarray) -> None:
        # A unit of what goes into a softmax changes each share by this factor at most.
        factor = np.exp(2.0 * port.scale) - 1
        if (np.abs(own - theirs) > factor * np.maximum(own, theirs) + _EXACT).any():
            raise VerificationError(
                f"The output '{port.name}' is up to {np.abs(own - theirs).max():g} from "
                f"{self._runtime}, given the same inputs of its softmax. {REPORT}"
            )


REPORT: Final = (
    "The file was misread, which is a fault of the import: report it with the file. Nothing was "
    "written."
)


def _difference(port: Port, own: np.ndarray, theirs: np.ndarray) -> int:
    """Return how many units an output is from a runtime's at most."""
    if port.after is None:
        mine = own.reshape(port.integer_shape)
        other = quantized(port, theirs)
        return int(np.abs(mine.astype(np.int32) - other).max())
    assert port.after.grid is not None
    scale = port.after.grid.scale if port.dtype not in PASSED else 1.0
    apart = np.abs(dequantized(port, own).astype(np.float64) - theirs)
    return int(np.rint(apart.max() / scale))


def _on_device(values: np.ndarray, *, channels_last: bool) -> np.ndarray:
    """Return a tensor of the file as the device holds it: unsigned, images with channels last."""
    if values.dtype == np.int8:
        values = (values.astype(np.int16) + SIGN_OFFSET).astype(np.uint8)
    if values.ndim == 4 and not channels_last:
        values = values.transpose(0, 2, 3, 1)
    return values
