"""The mutation that MetaSchedule lacks: a new draw of a categorical decision."""

from __future__ import annotations

from typing import Any

import numpy as np
from tvm.ir.utils import derived_object
from tvm.s_tir import meta_schedule as ms


@derived_object
class MutateGenerator(ms.mutator.PyMutator):  # type: ignore[misc]
    """Changes one ``sample_categorical`` decision of a trace: the code generator.

    Parameters
    ----------
    seed:
        Seed of its own random numbers: TVM's state does not reach Python.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed
        self.random = np.random.default_rng(seed)

    def _initialize_with_tune_context(self, context: Any) -> None:
        """Need nothing of the context."""

    def apply(self, trace: Any, _: Any = None) -> Any:
        """Return the trace with another decision, or ``None`` if there is no choice."""
        choices = [
            one
            for one in trace.insts
            if one.kind.name == "SampleCategorical" and len(one.attrs[0]) > 1
        ]
        if not choices:
            return None
        chosen = choices[int(self.random.integers(len(choices)))]
        probabilities = np.array([float(part) for part in chosen.attrs[1]])
        probabilities[int(trace.decisions[chosen])] = 0.0
        probabilities /= probabilities.sum()
        decision = int(self.random.choice(len(probabilities), p=probabilities))
        return trace.with_decision(chosen, decision, remove_postproc=True)

    def clone(self) -> Any:
        """Return a mutator that draws on from here."""
        return MutateGenerator(int(self.random.integers(2**31 - 1)))
