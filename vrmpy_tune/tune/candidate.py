"""One candidate: a scheduled program and the trace that led to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vrmpy_tune.toolchain.codegen import ANNOTATION, CODE_GENERATORS, CodeGenerator

if TYPE_CHECKING:
    import tvm
    from tvm.s_tir import Schedule

    from search_spaces.space import Space
    from vrmpy_tune.tune.task import Task
    from vrmpy_tune.workload import Workload


@dataclass(frozen=True)
class Candidate:
    """What is to be built and measured.

    Attributes
    ----------
    workload, space:
        What it computes, and the space that it was drawn from.
    module:
        The scheduled program, in TVM's JSON.
    trace:
        The trace without postprocessing, as canonical JSON text.
    generator:
        The code generator that the trace chose.
    structural_hash:
        TVM's structural hash of the unscheduled program, in hexadecimal.
    is_fixed_rule:
        Whether it is what the workload is compiled with untuned.
    """

    workload: Workload
    space: Space
    module: str
    trace: str
    generator: CodeGenerator
    structural_hash: str
    is_fixed_rule: bool = False

    @staticmethod
    def of(task: Task, schedule: Schedule) -> Candidate:
        """Take a candidate of a task from a schedule."""
        import tvm

        from vrmpy_tune.records.record import canonical_trace
        from vrmpy_tune.replay import trace_json

        trace = canonical_trace(trace_json(schedule.trace))
        return Candidate(
            task.workload,
            task.space,
            tvm.ir.save_json(schedule.mod),
            trace,
            code_generator(schedule.mod),
            task.structural_hash,
            is_fixed_rule=trace == task.fixed_trace,
        )


def code_generator(module: tvm.IRModule) -> CodeGenerator:
    """Return the code generator that a scheduled module asks for; the first if it does not."""
    annotations = module["main"].body.block.annotations
    return CODE_GENERATORS[int(annotations.get(ANNOTATION, 0))]


def hash_of(module: tvm.IRModule) -> str:
    """Return TVM's structural hash of a module, in hexadecimal."""
    import tvm_ffi

    return f"{tvm_ffi.structural_hash(module) & (1 << 64) - 1:016x}"
