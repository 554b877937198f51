"""Residual networks with random weights: ResNet-50, and a small one for tests.

He et al., "Deep Residual Learning"; stride 2 on the 3x3 convolution of a block.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from vrmpy_tune.model.zoo.pictures import batch
from vrmpy_tune.model.zoo.writer import Normalizing, Writer
from vrmpy_tune.suites.resnet50 import EXPANSION, STAGES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import onnx

INPUT: Final = "image"

BRANCH_END: Final = "expand"
BRANCH_DEVIATION: Final = 0.0625
"""Deviation of what the last convolution of a branch adds.  At 1 a random network of this depth is
chaotic: a difference in one last place anywhere grows to half the range of the outputs.  At 0.25
onnxruntime's two modes still differ by up to 7 units, here by 2."""

CLASS_DECAY: Final = 5.0
LEAST_GAIN: Final = 0.1
"""Classes have gains of ``exp(-rank / 5)`` in random order, down to a tenth: as behind training,
few are in question for an input.  Of 1000 classes alike, the first ones are closer to each other
than onnxruntime's two modes."""


@dataclass(frozen=True)
class Architecture:
    """A residual network of bottleneck blocks.

    Attributes
    ----------
    size:
        Height and width of the input.
    stages:
        Inner channels and number of blocks of each stage.
    stem:
        Channels of the first convolution.
    classes:
        Outputs.
    """

    size: int
    stages: tuple[tuple[int, int], ...]
    stem: int
    classes: int


ARCHITECTURES: Final = {
    "resnet50": Architecture(224, STAGES, 64, 1000),
    # With two blocks in each stage it shares all its layers with the deeper one.
    "resnet26": Architecture(224, tuple((inner, 2) for inner, _ in STAGES), 64, 1000),
    "small-residual": Architecture(32, ((8, 2), (16, 1)), 16, 10),
}
"""Networks by name."""


def residual_network(
    architecture: Architecture, seed: int, names: Sequence[str]
) -> tuple[onnx.ModelProto, list[np.ndarray]]:
    """Return a network and what to calibrate it with.

    Parameters
    ----------
    seed:
        Of the weights.
    names:
        Pictures that weights are normalized on, and that calibrate.
    """
    pictures = batch(names, architecture.size)
    generator = np.random.default_rng(seed)
    parameters = _normalized(architecture, _drawn(architecture, generator), pictures)
    writer = Writer(parameters)
    _write(writer, architecture)
    shape = (1, *pictures.shape[1:])
    made = writer.model((INPUT, shape), ["classifier.output"])
    return made, [one[None] for one in pictures]


def _write(writer: Writer, architecture: Architecture) -> None:
    """Write all layers; the output is ``classifier.output``."""
    value = writer.node("Relu", "stem.relu", [writer.conv("stem", INPUT, 7, 2)])
    value = writer.max_pool("max_pool", value, 3, 2)
    for stage, block, stride in _blocks(architecture):
        name = f"stage{stage}.block{block}"
        inner = writer.node(
            "Relu", f"{name}.reduce.relu", [writer.conv(f"{name}.reduce", value, 1)]
        )
        inner = writer.conv(f"{name}.3x3", inner, 3, stride)
        inner = writer.node("Relu", f"{name}.3x3.relu", [inner])
        inner = writer.conv(f"{name}.expand", inner, 1)
        if block == 0:
            value = writer.conv(f"{name}.shortcut", value, 1, stride)
        total = writer.node("Add", f"{name}.add", [inner, value])
        value = writer.node("Relu", f"{name}.relu", [total])
    value = writer.node("GlobalAveragePool", "average_pool", [value])
    value = writer.node("Flatten", "flatten", [value])
    writer.dense("classifier", value)


def _drawn(architecture: Architecture, generator: np.random.Generator) -> dict[str, np.ndarray]:
    """Return random weights by name."""
    shapes: dict[str, tuple[int, ...]] = {"stem": (architecture.stem, 3, 7, 7)}
    channels = architecture.stem
    for stage, block, _ in _blocks(architecture):
        inner = architecture.stages[stage - 1][0]
        name = f"stage{stage}.block{block}"
        shapes[f"{name}.reduce"] = (inner, channels, 1, 1)
        shapes[f"{name}.3x3"] = (inner, inner, 3, 3)
        shapes[f"{name}.expand"] = (EXPANSION * inner, inner, 1, 1)
        if block == 0:
            shapes[f"{name}.shortcut"] = (EXPANSION * inner, channels, 1, 1)
        channels = EXPANSION * inner
    shapes["classifier"] = (architecture.classes, channels)
    weights = {
        f"{name}.weight": generator.standard_normal(shape, np.float32)
        / np.float32(np.sqrt(np.prod(shape[1:])))
        for name, shape in shapes.items()
    }
    ranks = generator.permutation(architecture.classes)
    gains = np.maximum(np.exp(-ranks / CLASS_DECAY), LEAST_GAIN).astype(np.float32)
    weights["classifier.weight"] *= gains[:, None]
    return weights


def _normalized(
    architecture: Architecture, weights: Mapping[str, np.ndarray], pictures: np.ndarray
) -> dict[str, np.ndarray]:
    """Return weights and biases with which outputs have mean 0, and deviation 1 in convolutions.

    The ends of residual branches deviate less, by :data:`BRANCH_DEVIATION`.
    """
    import onnxruntime

    writer = Normalizing(weights, {BRANCH_END: BRANCH_DEVIATION})
    _write(writer, architecture)
    made = writer.model((INPUT, pictures.shape), writer.statistics)
    session = onnxruntime.InferenceSession(
        made.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    values = session.run(writer.statistics, {INPUT: pictures})
    found = dict(zip(writer.statistics, values, strict=True))
    parameters = {}
    for key, weight in weights.items():
        name = key.removesuffix(".weight")
        mean = found[f"{name}.mean.output"].reshape(-1)
        deviation = found.get(f"{name}.deviation.output", np.ones_like(mean)).reshape(-1)
        parameters[key] = weight / deviation.reshape(-1, *[1] * (weight.ndim - 1))
        parameters[f"{name}.bias"] = -mean / deviation
    return parameters


def _blocks(architecture: Architecture) -> list[tuple[int, int, int]]:
    """Return stage, block and stride of each block."""
    return [
        (stage, block, 2 if stage > 1 and block == 0 else 1)
        for stage, (_, blocks) in enumerate(architecture.stages, start=1)
        for block in range(blocks)
    ]
