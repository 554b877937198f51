"""The interpreter: the network in numpy, layer by layer, exact.

What the device must match bit for bit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from vrmpy_tune.model.network import Layer, Network


def interpret(network: Network, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return every tensor of the network by name.

    Parameters
    ----------
    inputs:
        Integer arrays by the name of their tensor (:attr:`~vrmpy_tune.model.network.Port.tensor`).
    """
    tensors = dict(inputs)
    for layer in network.layers:
        tensors[layer.output] = run_layer(layer, tensors)
    return tensors


def run_layer(layer: Layer, tensors: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return the output of one layer, given the tensors that it reads by name."""
    operands = [
        layer.constants[operand.name] if tensor is None else tensors[tensor].reshape(operand.shape)
        for operand, tensor in layer.operands()
    ]
    return layer.workload.reference(*operands)
