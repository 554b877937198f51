"""Verifying a kernel: inputs that provoke errors, an independent reference, a comparison.

The only place that makes a :class:`~vrmpy_tune.measurement.Measurement`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np

from vrmpy_tune.measurement import Counts, Measurement, Outcome
from vrmpy_tune.workload.inputs import INPUT_SETS

if TYPE_CHECKING:
    from search_spaces.space import Space
    from vrmpy_tune.device.protocol import RunResult
    from vrmpy_tune.workload import Workload

SEED: Final = 20_240_611
"""Seed of the random inputs: every run of every machine verifies on the same ones."""


@dataclass(frozen=True)
class InputSet:
    """Inputs of one kernel call and what it must return.

    Attributes
    ----------
    name:
        How the values were made: one of :data:`~vrmpy_tune.workload.inputs.INPUT_SETS`.
    operands:
        Plain inputs, as :attr:`vrmpy_tune.workload.Workload.operands` says.
    expected:
        The exact output.
    """

    name: str
    operands: tuple[np.ndarray, ...]
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
        self._arguments: dict[str, tuple[tuple[np.ndarray, ...], ...]] = {}

    @cached_property
    def input_sets(self) -> tuple[InputSet, ...]:
        """The inputs on which every candidate is verified."""
        sets = []
        for index, name in enumerate(INPUT_SETS):
            if name in self._names:
                operands = self.workload.draw(name, np.random.default_rng((SEED, index)))
                sets.append(InputSet(name, operands, self.workload.reference(*operands)))
        return tuple(sets)

    def arguments(self, space: Space) -> tuple[tuple[np.ndarray, ...], ...]:
        """Return for each input set the arguments of a kernel of ``space``."""
        if space.name not in self._arguments:
            self._arguments[space.name] = tuple(
                space.arguments(self.workload, one.operands) for one in self.input_sets
            )
        return self._arguments[space.name]

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
            wrong, index = differences(actual, expected)
            if wrong:
                return (
                    f"{wrong} of {expected.size} outputs of {self.workload} are wrong on the "
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


def differences(actual: np.ndarray, expected: np.ndarray) -> tuple[int, tuple[int, ...]]:
    """Return how many elements of two arrays of one shape differ, and the index of the first.

    The index is ``()`` where none differs.
    """
    wrong = np.argwhere(actual != expected)
    return len(wrong), tuple(int(one) for one in wrong[0]) if len(wrong) else ()
