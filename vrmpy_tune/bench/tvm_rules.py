"""TVM's own way to tensorize for Hexagon: the program, rules and instructions of its deleted test.

``tests/python/contrib/test_hexagon/metaschedule_e2e`` and ``test_meta_schedule.py`` of TVM 0.19
tuned with ``MultiLevelTilingWithIntrin`` "SRSRS"; its rule set named ``hexagon`` asks for the
target kind ``hexagon``, which generates no Hexagon code in this version.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import tvm
from tvm.s_tir import meta_schedule as ms

from vrmpy_tune.bench.tvm_program import program
from vrmpy_tune.compiler.naive import naive_module
from vrmpy_tune.tune.engine import without_builtin_intrinsics
from vrmpy_tune.workload import Conv2d, Dense

if TYPE_CHECKING:
    from tvm.s_tir import Schedule

    from vrmpy_tune.target import HexagonTarget
    from vrmpy_tune.workload import Workload

INTRINSICS: Final = {
    ("u8", "u8"): "dot_32x4_u8u8i32_vrmpy",
    ("u8", "i8"): "dot_32x4_u8i8i32_vrmpy",
}
"""TVM's names of its vrmpy, by the data types of activations and weights."""

MAX_INNERMOST: Final = 64
MAX_VECTORIZED: Final = 128
JOBS_PER_CORE: Final = 16
UNROLL_STEPS: Final = (0, 16, 64, 512)
"""Settings of the rules in TVM's test."""


def why_not(workload: Workload) -> str | None:
    """Return why TVM's rules have nothing for a workload, or ``None`` if they have."""
    if not isinstance(workload, Dense | Conv2d):
        return None
    if workload.types not in INTRINSICS:
        return f"TVM has no vrmpy for {' x '.join(workload.types)}."
    if workload.rzp or (workload.lzp and not workload.bias):
        return "TVM's rules get zero points of activations in the bias, and weights have none."
    if isinstance(workload, Conv2d) and (
        workload.groups > 1 or workload.layout != "nhwc" or workload.dilation != (1, 1)
    ):
        return "TVM's Hexagon rules are asked here for plain NHWC convolutions only."
    return None


def samples(workload: Workload, target: HexagonTarget, seed: int) -> list[Schedule | None]:
    """Draw one candidate from each design space; ``None`` where TVM's postprocessors refuse it.

    Dense layers and convolutions are tensorized; other operators' loops get the other rules.
    """
    with without_builtin_intrinsics():
        _register_intrinsics()
        rules = [_finishing()]
        if isinstance(workload, Dense | Conv2d):
            rules.insert(0, _tensorizing(INTRINSICS[workload.types]))
            module = program(workload)
        else:
            module = naive_module(workload)
        generator = ms.space_generator.PostOrderApply(
            sch_rules=rules,
            postprocs=[
                ms.postproc.RewriteParallelVectorizeUnroll(),
                ms.postproc.RewriteReductionBlock(),
                ms.postproc.RewriteTensorize(vectorize_init_loop=True),
            ],
            mutator_probs={},
        )
        context = ms.TuneContext(
            module,
            target=target.tvm_target(),
            space_generator=generator,
            task_name=str(workload),
            rand_state=seed,
            num_threads=1,
        )
    return [
        schedule if all(one.apply(schedule) for one in generator.postprocs) else None
        for schedule in context.generate_design_space()
    ]


def _tensorizing(intrinsic: str) -> Any:
    rule = ms.schedule_rule
    return rule.MultiLevelTilingWithIntrin(
        intrinsic,
        structure="SRSRS",
        tile_binds=None,
        max_innermost_factor=MAX_INNERMOST,
        vector_load_lens=None,
        reuse_read=None,
        reuse_write=rule.ReuseType(req="may", levels=[1, 2], scope="global"),
    )


def _finishing() -> Any:
    return ms.schedule_rule.ParallelizeVectorizeUnroll(
        max_jobs_per_core=JOBS_PER_CORE,
        max_vectorize_extent=MAX_VECTORIZED,
        unroll_max_steps=list(UNROLL_STEPS),
        unroll_explicit=True,
    )


def _register_intrinsics() -> None:
    """Register TVM's Hexagon instructions, where they are not those of all processors."""
    package = "tvm.s_tir.tensor_intrin"
    if f"{package}.hexagon" not in sys.modules:
        sys.modules[package].__path__ = [
            str(Path(str(tvm.s_tir.__file__)).parent / "tensor_intrin")
        ]
        import_module(f"{package}.hexagon")
