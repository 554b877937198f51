"""Whether the device computes what the interpreter does, bit for bit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from vrmpy_tune.errors import VerificationError
from vrmpy_tune.model.reference import interpret
from vrmpy_tune.verification import differences
from vrmpy_tune.workload.inputs import INPUT_SETS, draw_values

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vrmpy_tune.model.network import Network

SEED: Final = 20_250_124
_SHORT: Final = {"uint8": "u8", "int8": "i8"}


def drawn_inputs(network: Network) -> tuple[tuple[np.ndarray, ...], ...]:
    """Return integer inputs of each kind in :data:`~vrmpy_tune.workload.inputs.INPUT_SETS`."""
    sets = []
    for index, kind in enumerate(INPUT_SETS):
        generator = np.random.default_rng((SEED, index))
        sets.append(
            tuple(
                draw_values(kind, _SHORT[port.integer_dtype], port.integer_shape, generator)
                for port in network.inputs
            )
        )
    return tuple(sets)


def check_outputs(
    network: Network, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray], what: str
) -> None:
    """Compare the device's outputs with the interpreter's.

    Parameters
    ----------
    inputs, outputs:
        Integer arrays of the ports, in order.
    what:
        Which inputs these are, for the message.

    Raises
    ------
    VerificationError
        If they differ; the message says where.
    """
    given = {port.tensor: array for port, array in zip(network.inputs, inputs, strict=True)}
    tensors = interpret(network, given)
    for port, actual in zip(network.outputs, outputs, strict=True):
        expected = tensors[port.tensor].reshape(port.integer_shape)
        wrong, first = differences(actual, expected)
        if wrong:
            raise VerificationError(
                f"{wrong} of {expected.size} elements of the output '{port.name}' differ from "
                f"the interpreter's on {what}; the first, at {list(first)}, is {actual[first]} "
                f"instead of {expected[first]}."
            )
