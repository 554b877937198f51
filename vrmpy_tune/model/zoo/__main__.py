"""Print how far a model's integer network is from onnxruntime: ``python -m vrmpy_tune.model.zoo``.

For each input: the largest difference of a layer that is given onnxruntime's tensors; the logits'
largest difference from onnxruntime without optimizations and with ``session.x64quantprecision``,
and of these two modes from each other, all in units of the last place; the first classes; and how
many of the integer network's first five are onnxruntime's, up to ties.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import onnx

from vrmpy_tune.model.comparison import (
    Reference,
    layer_differences,
    leaders_shared,
    output_difference,
)
from vrmpy_tune.model.edge import quantized
from vrmpy_tune.model.network import network_of
from vrmpy_tune.model.onnx_import import integer_module, normalized_model
from vrmpy_tune.model.reference import interpret
from vrmpy_tune.model.zoo.inputs import inputs
from vrmpy_tune.model.zoo.models import ZOO
from vrmpy_tune.model.zoo.pictures import PICTURES, picture

if TYPE_CHECKING:
    from vrmpy_tune.model.network import Network
    from vrmpy_tune.model.zoo.models import ZooModel

LEADERS: Final = 5


def main() -> None:
    """Compare one model, or all."""
    parser = argparse.ArgumentParser(prog="python -m vrmpy_tune.model.zoo", description=__doc__)
    parser.add_argument("models", nargs="*", default=list(ZOO), help=", ".join(ZOO))
    parser.add_argument("--inputs", type=int, help="how many inputs")
    parser.add_argument("--pictures", action="store_true", help="scikit-image's, not the ten kinds")
    parser.add_argument(
        "--save", type=Path, metavar="DIR", help="only write models and inputs there"
    )
    arguments = parser.parse_args()
    for name in arguments.models:
        if arguments.save:
            _save(ZOO[name], arguments.save)
            continue
        _compare(ZOO[name], arguments.inputs, pictures=arguments.pictures)


def _compare(one: ZooModel, number: int | None, *, pictures: bool) -> None:
    path = one.path()
    model = normalized_model(path)
    network, plain = (network_of(integer_module(model, fuse=fuse)) for fuse in (True, False))
    reference = Reference(model)
    whole = _float_session(one)
    (port,) = network.inputs
    print(f"{one.name}: {path}")
    print(f"{len(network.layers)} layers, {len(plain.layers)} before fusion")
    header = ("input", "layers off by", "share", "unoptimized", "precise", "modes", "integer",
              "onnxruntime", "float", "first five")  # fmt: skip
    print(" | ".join(header))
    size = port.shape[-1]
    chosen = inputs(size)
    if pictures:
        chosen = {name: picture(name, size) for name in PICTURES}
    agreed = {"onnxruntime's": 0, "the float network's": 0}
    names = list(chosen)[:number]
    for name in names:
        pixels = chosen[name]
        feed = {port.name: one.prepare(pixels[None])}
        differences = layer_differences(plain, reference, feed)
        outputs = output_difference(network, reference, feed)
        largest = max(difference.largest for difference in differences)
        share = np.mean([difference.share for difference in differences])
        first = (
            _integers(network, feed),
            reference.outputs(feed, precise=False)[0],
            whole.run(None, feed)[0],
        )
        classes = [str(int(np.argmax(logits))) for logits in first]
        for whose, theirs in zip(agreed, first[1:], strict=True):
            agreed[whose] += leaders_shared(first[0], theirs, 1)
        figures = (outputs.unoptimized, outputs.precise, outputs.modes)
        cells = (name, f"{largest} ({len(differences)} compared)", f"{share:.4%}", *figures)
        five = f"{leaders_shared(first[0], first[1], LEADERS)} of {LEADERS}"
        print(" | ".join([*(str(cell) for cell in cells), *classes, five]), flush=True)
    for whose, hits in agreed.items():
        print(f"first class equal to {whose}: {hits} of {len(names)}")


def _save(one: ZooModel, directory: Path) -> None:
    """Write ``<name>.onnx``, and the ten inputs as ``<name>-<input>.npz``."""
    directory.mkdir(parents=True, exist_ok=True)
    target = directory / f"{one.name}.onnx"
    target.write_bytes(one.path().read_bytes())
    (given,) = onnx.load(target).graph.input
    size = given.type.tensor_type.shape.dim[-1].dim_value
    for name, pixels in inputs(size).items():
        kind = name.replace(" ", "-")
        arrays: dict[str, Any] = {given.name: one.prepare(pixels[None])}
        np.savez(directory / f"{one.name}-{kind}.npz", **arrays)
    print(target)


def _integers(network: Network, feed: dict[str, np.ndarray]) -> np.ndarray:
    """Return the integer network's output."""
    (port,) = network.inputs
    tensors = interpret(network, {port.tensor: quantized(port, feed[port.name])})
    return tensors[network.outputs[0].tensor]


def _float_session(one: ZooModel) -> Any:
    import onnxruntime

    model, _ = one.make()
    return onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )


if __name__ == "__main__":
    main()
