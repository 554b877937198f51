"""Search spaces of dense and convolution: one loop nest, in several forms of the multiplication."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from search_spaces.aim import TOTAL
from search_spaces.decisions import Decisions
from search_spaces.epilogue import epilogue_of
from search_spaces.geometry import geometry
from search_spaces.memory import DESCRIPTIONS, STAGED, Memory
from search_spaces.operands import packed_arguments, parameters
from search_spaces.program import FORMS, Form, build_program
from search_spaces.space import Space, Tiling
from search_spaces.tiling import apply, sketches, staged_sketches, tilings
from vrmpy_tune.device.protocol import TensorSpec
from vrmpy_tune.workload import Contraction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy as np
    import tvm
    from tvm.s_tir import Schedule, Trace

    from search_spaces.aim import Aim
    from search_spaces.geometry import Geometry
    from search_spaces.tiling import Sketch
    from vrmpy_tune.target import HexagonTarget
    from vrmpy_tune.workload import Workload

WHOLE_WORDS: Final = 4
"""Words in a loop body that all tiles do well with; other numbers took up to 12% more packets with
some tiles, on the peers' workloads."""


@dataclass(frozen=True)
class ContractionSpace(Space):
    """What may be chosen for a contraction in one form of the multiplication.

    Attributes
    ----------
    form:
        Form of the multiplication.
    memory:
        Where weights are while they are multiplied.
    """

    form: Form
    memory: Memory = Memory.CACHED

    @property
    def name(self) -> str:
        """Name and version, as records carry it, for example ``"dense.scalar/3"``."""
        plan = "" if self.memory is Memory.CACHED else f"-{self.memory}"
        return f"{self.operator}.{self.form}{plan}/{self.version}"

    def geometry(self, workload: Contraction) -> Geometry:
        """Return the loop nest that the space schedules."""
        return geometry(workload, self.form.weight_offset)

    def applies(self, workload: Workload, target: HexagonTarget) -> bool:  # noqa: D102
        if workload.operator != self.operator:
            return False
        if self.memory is not Memory.CACHED:
            view = self.geometry(_contraction(workload))
            if target.version < self.memory.first_arch:
                return False
            if not any(staged_sketches(view, target, self.memory)):
                return False
        if self.form is Form.SPLAT:
            # Half as fast as the scalar forms where it issues once a packet, and worth that only
            # where the sums of activations, which signed weights cost the other form, weigh more.
            view = self.geometry(_contraction(workload))
            sums_cost_most = view.pixels == 1 or view.vectors == 1
            signed = _contraction(workload).types[1] == "i8"
            return target.vector_pair_rate > 1 or (signed and sums_cost_most)
        unsigned = _contraction(workload).types[1] == "u8"
        return self.form is (Form.SCALAR if unsigned else Form.OFFSET)

    def module(self, workload: Workload) -> tvm.IRModule:  # noqa: D102
        return self._program(workload, packed=True)

    def plain_module(self, workload: Workload) -> tvm.IRModule:  # noqa: D102
        return self._program(workload, packed=False)

    def _program(self, workload: Workload, *, packed: bool) -> tvm.IRModule:
        view = self.geometry(_contraction(workload))
        return build_program(_contraction(workload), view, self.form, packed=packed)

    def inputs(self, workload: Workload) -> tuple[TensorSpec, ...]:  # noqa: D102
        contraction = _contraction(workload)
        view, offset = self.geometry(contraction), self.form.weight_offset
        return tuple(
            TensorSpec(one.shape, one.numpy_type) for one in parameters(contraction, view, offset)
        )

    def arguments(  # noqa: D102
        self, workload: Workload, operands: tuple[np.ndarray, ...]
    ) -> tuple[np.ndarray, ...]:
        contraction = _contraction(workload)
        view, offset = self.geometry(contraction), self.form.weight_offset
        return packed_arguments(contraction, view, offset, operands)

    def generator(  # noqa: D102
        self, workload: Workload, target: HexagonTarget
    ) -> Callable[[Schedule], list[Schedule]]:
        view = self.geometry(_contraction(workload))

        def generate(base: Schedule) -> list[Schedule]:
            return [
                self._scheduled(workload, target, sketch, base.fork_seed())
                for sketch in self._sketches(view, target)
            ]

        return generate

    def _scheduled(
        self, workload: Workload, target: HexagonTarget, sketch: Sketch, seed: int
    ) -> Schedule:
        from tvm.s_tir import Schedule

        contraction = _contraction(workload)
        view = self.geometry(contraction)
        epilogue = epilogue_of(contraction, view) if view.narrow else None
        # Not a copy: in TVM 0.27 copies share nodes that primitives change in place.
        schedule = Schedule(self.module(workload), seed=seed)
        apply(
            schedule, view, self.form, sketch, epilogue,
            contexts=target.contexts, memory=self.memory,
        )  # fmt: skip
        return schedule

    def tilings(  # noqa: D102
        self, workload: Workload, target: HexagonTarget, sketch: str
    ) -> tuple[Tiling, ...] | None:
        named = self._named(workload, target, sketch)
        if named is None:
            return None
        return tilings(self.geometry(_contraction(workload)), named, self.memory)

    def design(  # noqa: D102
        self, workload: Workload, target: HexagonTarget, sketch: str
    ) -> Schedule | None:
        named = self._named(workload, target, sketch)
        return None if named is None else self._scheduled(workload, target, named, 1)

    def _named(self, workload: Workload, target: HexagonTarget, text: str) -> Sketch | None:
        view = self.geometry(_contraction(workload))
        return next((one for one in self._sketches(view, target) if one.text() == text), None)

    def _sketches(self, view: Geometry, target: HexagonTarget) -> Iterator[Sketch]:
        if self.memory is Memory.CACHED:
            return sketches(view, target)
        return staged_sketches(view, target, self.memory)

    def estimate(self, workload: Workload, trace: Trace, aim: Aim = TOTAL) -> float:  # noqa: D102
        view = self.geometry(_contraction(workload))
        return Decisions.of(trace).estimate(view, self.form, self.memory, aim=aim)

    def is_good(self, trace: Trace) -> bool:  # noqa: D102
        return Decisions.of(trace).depth[-1] % WHOLE_WORDS == 0

    def features(  # noqa: D102
        self, workload: Workload, trace: Trace, aim: Aim = TOTAL
    ) -> list[float]:
        view = self.geometry(_contraction(workload))
        return Decisions.of(trace).numbers(view, self.form, self.memory, aim=aim)


def _contraction(workload: Workload) -> Contraction:
    assert isinstance(workload, Contraction)  # what ``applies`` accepts is one
    return workload


def contraction_spaces(operator: str, version: int, staged_version: int) -> tuple[Space, ...]:
    """Return the spaces of an operator: in every form, and in every form through VTCM."""
    plain = tuple(ContractionSpace(operator, version, text, form) for form, text in FORMS.items())
    staged = tuple(
        ContractionSpace(operator, staged_version, f"{text}; {DESCRIPTIONS[memory]}", form, memory)
        for memory in STAGED
        for form, text in FORMS.items()
    )
    return plain + staged
