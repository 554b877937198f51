"""A search space: one program of an operator, and what may be chosen for it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from search_spaces.aim import TOTAL
from search_spaces.memory import Memory
from vrmpy_tune.device.protocol import TensorSpec

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import tvm
    from tvm.s_tir import Schedule, Trace

    from search_spaces.aim import Aim
    from vrmpy_tune.target import HexagonTarget
    from vrmpy_tune.workload import Workload


SKETCH_ANNOTATION: Final = "vrmpy_tune.sketch"
"""Key of the block annotation that says which design space a trace is of."""


def sketch_of(trace: Trace) -> str:
    """Return the name of the design space that a trace is of; empty if it carries none."""
    names = (
        str(step.inputs[1])
        for step in trace.insts
        if step.kind.name == "Annotate" and str(step.attrs[0]) == SKETCH_ANNOTATION
    )
    return ";".join(names)


@dataclass(frozen=True)
class Tiling:
    """One tile that a space draws.

    Attributes
    ----------
    extent:
        Extent of the loop that it splits: the product of its factors.
    parts:
        How many factors it has.
    limit:
        The largest innermost one.
    """

    extent: int
    parts: int
    limit: int


@dataclass(frozen=True)
class Space(ABC):
    """What may be chosen for one operator in one form of its program.

    Attributes
    ----------
    operator:
        Name of the operator.
    version:
        Raised whenever traces of the version before would no longer replay to the same kernel.
    description:
        One line for ``vrmpy-tune spaces``.
    """

    operator: str
    version: int
    description: str

    @property
    def name(self) -> str:
        """Name and version, as records carry it, for example ``"max_pool2d/1"``."""
        return f"{self.operator}/{self.version}"

    @property
    def memory(self) -> Memory:
        """Where weights are while they are used."""
        return Memory.CACHED

    def applies(self, workload: Workload, target: HexagonTarget) -> bool:
        """Whether this space can hold the best kernel of ``workload`` on ``target``."""
        return workload.operator == self.operator

    @abstractmethod
    def module(self, workload: Workload) -> tvm.IRModule:
        """Return the unscheduled program, on arguments prepared at compile time."""

    def plain_module(self, workload: Workload) -> tvm.IRModule:
        """Return the program on plain operands; traces of :meth:`module` replay on it, too."""
        return self.module(workload)

    def inputs(self, workload: Workload) -> tuple[TensorSpec, ...]:
        """Return the specifications of the arguments of :meth:`module`."""
        return tuple(TensorSpec(one.shape, one.numpy_type) for one in workload.operands)

    def arguments(
        self,
        workload: Workload,
        operands: tuple[np.ndarray, ...],
    ) -> tuple[np.ndarray, ...]:
        """Return the arguments of :meth:`module` for plain operands: weights are packed here."""
        return operands

    def output(self, workload: Workload) -> TensorSpec:
        """Return the specification of the output."""
        return TensorSpec(workload.output.shape, workload.output.numpy_type)

    @abstractmethod
    def generator(
        self, workload: Workload, target: HexagonTarget
    ) -> Callable[[Schedule], list[Schedule]]:
        """Return the function that MetaSchedule calls for the design spaces of the program."""

    def tilings(
        self, workload: Workload, target: HexagonTarget, sketch: str
    ) -> tuple[Tiling, ...] | None:
        """Return the tiles that the traces of one design space draw, in order.

        Parameters
        ----------
        sketch:
            The name that traces of the design space carry (:func:`sketch_of`), if they do.

        Returns
        -------
        tuple of Tiling, or None
            ``None`` if the workload has no design space of this name.
        """
        return None

    def design(self, workload: Workload, target: HexagonTarget, sketch: str) -> Schedule | None:
        """Return the program scheduled in one design space, with whatever choices.

        ``None`` if the workload has no design space of this name.
        """
        return None

    @abstractmethod
    def estimate(self, workload: Workload, trace: Trace, aim: Aim = TOTAL) -> float:
        """Return the packets that the choices of a trace should take, about.

        They are those of all contexts together; an aim adds what idle contexts cost, as if they
        executed packets, too.
        """

    def is_good(self, trace: Trace) -> bool:
        """Whether a trace is one of the better ones among those whose estimates are equal."""
        return True

    @abstractmethod
    def features(self, workload: Workload, trace: Trace, aim: Aim = TOTAL) -> list[float]:
        """Return the choices of a trace as numbers for the cost model.

        Their count is the same for all workloads and spaces of one operator family; the last is
        the estimate, relative to the workload's size.
        """
