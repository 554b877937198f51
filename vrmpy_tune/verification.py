"""Verifying a kernel: inputs that provoke errors, an independent reference, a comparison.

The only place that makes a :class:`~vrmpy_tune.measurement.Measurement`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np

from vrmpy_tune.measurement import Counts, Measurement, Outcome
from vrmpy_tune.workload import NUMPY_TYPES

if TYPE_CHECKING:
    from collections.abc import Callable

    from search_spaces.geometry import Workload
    from vrmpy_tune.device.protocol import RunResult

SEED: Final = 20_240_611
"""Seed of the random inputs: every run of every machine verifies on the same ones."""

EXTREMES: Final = {"u8": (0, 1, 127, 128, 254, 255), "i8": (-128, -127, -1, 0, 1, 127)}
"""Values at which sign, offset and saturation errors show."""


INPUT_SETS: Final = ("random", "extremes", "largest")
"""Names of the input sets."""


@dataclass(frozen=True)
class InputSet:
    """Inputs of one kernel call and what it must return.

    Attributes
    ----------
    name:
        How the values were made.
    activations, weights:
        Plain inputs.
    expected:
        The exact int32 output.
    """

    name: str
    activations: np.ndarray
    weights: np.ndarray
    expected: np.ndarray


class Verifier:
    """Inputs and references of one workload, computed once and used for every candidate.

    Parameters
    ----------
    workload:
        What the kernels compute.
    names:
        Which of the input sets to use; all by default.
    """

    def __init__(self, workload: Workload, names: tuple[str, ...] = INPUT_SETS) -> None:
        self.workload, self._names = workload, names

    @cached_property
    def input_sets(self) -> tuple[InputSet, ...]:
        """The inputs on which every candidate is verified.

        ``random``, ``extremes`` (drawn from :data:`EXTREMES`), and ``largest``: all elements
        equal and of the largest magnitude.
        """
        generator = np.random.default_rng(SEED)
        lhs, rhs = self.workload.lhs, self.workload.rhs

        def draw(kind: str, shape: tuple[int, ...]) -> np.ndarray:
            low, high = (0, 256) if kind == "u8" else (-128, 128)
            return generator.integers(low, high, shape).astype(NUMPY_TYPES[kind])

        def extreme(kind: str, shape: tuple[int, ...]) -> np.ndarray:
            return generator.choice(EXTREMES[kind], shape).astype(NUMPY_TYPES[kind])

        def largest(kind: str, shape: tuple[int, ...]) -> np.ndarray:
            return np.full(shape, EXTREMES[kind][0 if kind == "i8" else -1], NUMPY_TYPES[kind])

        makers: dict[str, Callable[[str, tuple[int, ...]], np.ndarray]] = dict(
            zip(INPUT_SETS, (draw, extreme, largest), strict=True)
        )
        return tuple(
            self._input_set(name, make(lhs, self.workload.input_shape),
                            make(rhs, self.workload.weight_shape))
            for name, make in makers.items()
            if name in self._names
        )  # fmt: skip

    def _input_set(self, name: str, activations: np.ndarray, weights: np.ndarray) -> InputSet:
        return InputSet(name, activations, weights, self.workload.reference(activations, weights))

    def difference(self, result: RunResult) -> str | None:
        """Compare a run's outputs with the references bit for bit.

        Returns
        -------
        difference:
            ``None`` if all are equal, else a sentence that names the input set, how many elements
            differ, and the first of them.
        """
        if len(result.outputs) != len(self.input_sets):
            return (
                f"The device returned {len(result.outputs)} outputs for "
                f"{len(self.input_sets)} input sets of {self.workload}."
            )
        for inputs, outputs in zip(self.input_sets, result.outputs, strict=True):
            actual, expected = outputs[0], inputs.expected
            if actual.shape != expected.shape or actual.dtype != expected.dtype:
                return (
                    f"The output of {self.workload} is {actual.dtype}{list(actual.shape)} "
                    f"instead of {expected.dtype}{list(expected.shape)}."
                )
            wrong = np.flatnonzero(actual.ravel() != expected.ravel())
            if wrong.size:
                index = tuple(int(i) for i in np.unravel_index(wrong[0], expected.shape))
                return (
                    f"{wrong.size} of {expected.size} outputs of {self.workload} are wrong on the "
                    f"input '{inputs.name}'; the first, at {list(index)}, is {actual[index]} "
                    f"instead of {expected[index]}."
                )
        return None

    def measure(
        self,
        result: RunResult,
        *,
        target: str,
        metric: str,
        static_vrmpy: int,
        artifact: str,
        device: str,
    ) -> Measurement | str:
        """Return the measurement of a verified run, or the sentence that says why it is none.

        Parameters
        ----------
        result:
            A run with outcome ``OK`` on all of :attr:`input_sets`.
        target, metric, static_vrmpy, artifact, device:
            As in :class:`~vrmpy_tune.measurement.Measurement`.
        """
        if result.outcome is not Outcome.OK:
            return result.message
        wrong = self.difference(result)
        if wrong is not None:
            return wrong
        return Measurement(
            workload=str(self.workload),
            target=target,
            metric=metric,
            counts=slowest(result.counts, metric),
            static_vrmpy=static_vrmpy,
            artifact=artifact,
            device=device,
            inputs=tuple(inputs.name for inputs in self.input_sets),
            alignment_checked=result.alignment_checked,
        )


def slowest(counts: tuple[Counts, ...], metric: str) -> Counts:
    """Return the counts of the input set that took longest by ``metric``."""
    return max(counts, key=lambda one: one.value(metric))
