"""A search space: one program of an operator, and what may be chosen for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from search_spaces.geometry import geometry
from search_spaces.program import Form, build_program
from search_spaces.tiling import apply, sketches
from vrmpy_tune import layout
from vrmpy_tune.device.protocol import TensorSpec
from vrmpy_tune.workload import NUMPY_TYPES

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import tvm
    from tvm.s_tir import Schedule

    from search_spaces.geometry import Geometry, Workload
    from vrmpy_tune.target import HexagonTarget


@dataclass(frozen=True)
class Space:
    """What may be chosen for one operator in one form of the multiplication.

    Attributes
    ----------
    operator:
        Name of the operator.
    form:
        Form of the multiplication.
    version:
        Raised whenever traces of the version before would no longer replay to the same kernel.
    description:
        One line for ``vrmpy-tune spaces``.
    """

    operator: str
    form: Form
    version: int
    description: str

    @property
    def name(self) -> str:
        """Name and version, as records carry it, for example ``"dense.scalar/1"``."""
        return f"{self.operator}.{self.form}/{self.version}"

    def geometry(self, workload: Workload) -> Geometry:
        """Return the loop nest that the space schedules.

        Sums of activations are formed row by row, so that the ``offset`` form keeps its rows.
        """
        return geometry(workload, flatten=self.form is not Form.OFFSET)

    def applies(self, workload: Workload, target: HexagonTarget) -> bool:
        """Whether this space can hold the best kernel of ``workload`` on ``target``."""
        if workload.operator != self.operator:
            return False
        if self.form is Form.SPLAT:
            # Half as fast as the scalar forms where it issues once a packet, and worth that only
            # where the sums of activations, which signed weights cost the other form, weigh more.
            view = self.geometry(workload)
            sums_cost_most = view.pixels == 1 or view.vectors == 1
            return target.vector_pair_rate > 1 or (workload.rhs == "i8" and sums_cost_most)
        return self.form is (Form.SCALAR if workload.rhs == "u8" else Form.OFFSET)

    def module(self, workload: Workload) -> tvm.IRModule:
        """Return the unscheduled program; its weights were packed at compile time."""
        return build_program(workload, self.geometry(workload), self.form)

    def plain_module(self, workload: Workload) -> tvm.IRModule:
        """Return the program on plain weights; traces of :meth:`module` replay on it, too."""
        return build_program(workload, self.geometry(workload), self.form, packed=False)

    def pack(self, workload: Workload, weights: np.ndarray) -> np.ndarray:
        """Pack plain weights for :meth:`module`."""
        view = self.geometry(workload)
        plain = weights.reshape(view.groups * view.outputs, *view.kernel, view.depth)
        return layout.pack(plain, view.groups, offset=self.form is Form.OFFSET)

    def inputs(self, workload: Workload) -> tuple[TensorSpec, TensorSpec]:
        """Return the specifications of the activations and of the packed weights."""
        view = self.geometry(workload)
        plain = (view.groups * view.outputs, *view.kernel, view.depth)
        weight_type = "uint8" if self.form is Form.OFFSET else view.rhs
        return (
            TensorSpec(workload.input_shape, NUMPY_TYPES[workload.lhs]),
            TensorSpec(layout.packed_shape(plain, view.groups), weight_type),
        )

    def output(self, workload: Workload) -> TensorSpec:
        """Return the specification of the output."""
        return TensorSpec(workload.output_shape, "int32")

    def generator(
        self, workload: Workload, target: HexagonTarget
    ) -> Callable[[Schedule], list[Schedule]]:
        """Return the function that MetaSchedule calls for the design spaces of the program."""
        from tvm.s_tir import Schedule

        view = self.geometry(workload)

        def generate(base: Schedule) -> list[Schedule]:
            schedules = []
            for sketch in sketches(view, target):
                # Not base.copy(): in TVM 0.27 copies share nodes that primitives change in place.
                schedule = Schedule(self.module(workload), seed=base.fork_seed())
                apply(schedule, view, self.form, sketch)
                schedules.append(schedule)
            return schedules

        return generate
