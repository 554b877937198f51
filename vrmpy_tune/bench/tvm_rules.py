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
from tvm import te
from tvm.s_tir import meta_schedule as ms

from vrmpy_tune.layout import packed_shape
from vrmpy_tune.target import LANES, REDUCE
from vrmpy_tune.tune.engine import without_builtin_intrinsics
from vrmpy_tune.workload import NUMPY_TYPES, Contraction, Conv2d, Dense

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
        return f"TVM's Hexagon rules tensorize dense and conv2d, not {workload.operator}."
    if workload.types not in INTRINSICS:
        return f"TVM has no vrmpy for {' x '.join(workload.types)}."
    if workload.out != "i32" or workload.bias or workload.lzp or workload.rzp:
        return "TVM's Hexagon rules end at int32 sums: no bias, zero points or requantization."
    if isinstance(workload, Conv2d) and (
        workload.groups > 1 or workload.layout != "nhwc" or workload.dilation != (1, 1)
    ):
        return "TVM's Hexagon rules are asked here for plain NHWC convolutions only."
    return None


def samples(workload: Contraction, target: HexagonTarget, seed: int) -> list[Schedule | None]:
    """Draw one candidate from each design space; ``None`` where TVM's postprocessors refuse it."""
    with without_builtin_intrinsics():
        _register_intrinsics()
        generator = ms.space_generator.PostOrderApply(
            sch_rules=_rules(INTRINSICS[workload.types]),
            postprocs=[
                ms.postproc.RewriteParallelVectorizeUnroll(),
                ms.postproc.RewriteReductionBlock(),
                ms.postproc.RewriteTensorize(vectorize_init_loop=True),
            ],
            mutator_probs={},
        )
        context = ms.TuneContext(
            program(workload),
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


def program(workload: Contraction) -> tvm.IRModule:
    """Return the program that TVM's test schedules: packed weights, one reduction."""
    lhs, rhs = (NUMPY_TYPES[one] for one in workload.types)
    activations = te.placeholder(workload.input_shape, lhs, name="activations")
    shape = workload.weight_shape
    plain = (shape[0], *shape[1:-1], shape[-1]) if len(shape) == 4 else (shape[0], 1, 1, shape[1])
    weights = te.placeholder(packed_shape(plain, 1), rhs, name="weights")
    if isinstance(workload, Dense):
        output = _dense(workload, activations, weights)
    else:
        assert isinstance(workload, Conv2d)
        output = _conv2d(workload, activations, weights)
    function = te.create_prim_func([activations, weights, output])
    return tvm.IRModule({"main": function.with_attr("global_symbol", "main")})


def _dense(workload: Dense, activations: Any, weights: Any) -> Any:
    k = te.reduce_axis((0, workload.k), name="k")
    return te.compute(
        (workload.m, workload.n),
        lambda m, n: te.sum(
            activations[m, k].astype("int32") * _weight(weights, n, 0, 0, k), axis=k
        ),
        name="compute",
    )


def _conv2d(workload: Conv2d, activations: Any, weights: Any) -> Any:
    top, left, _, _ = workload.pad
    down, across = workload.stride
    padded = activations
    if any(workload.pad):
        zero = tvm.tirx.const(0, activations.dtype)

        def inside(n: Any, y: Any, x: Any, c: Any) -> Any:
            within = te.all(
                y >= top, y < workload.h + top, x >= left, x < workload.w + left
            )  # fmt: skip
            return te.if_then_else(within, activations[n, y - top, x - left, c], zero)

        padded = te.compute((workload.n, *workload.padded_size, workload.ci), inside, name="padded")
    dy = te.reduce_axis((0, workload.kh), name="dy")
    dx = te.reduce_axis((0, workload.kw), name="dx")
    c = te.reduce_axis((0, workload.ci), name="c")
    return te.compute(
        workload.output_shape,
        lambda n, y, x, o: te.sum(
            padded[n, y * down + dy, x * across + dx, c].astype("int32")
            * _weight(weights, o, dy, dx, c),
            axis=[dy, dx, c],
        ),
        name="compute",
    )


def _weight(weights: Any, output: Any, row: Any, column: Any, depth: Any) -> Any:
    lane, byte = output % LANES, depth % REDUCE
    return weights[0, output // LANES, row, column, depth // REDUCE, lane, byte].astype("int32")


def _rules(intrinsic: str) -> list[Any]:
    rule = ms.schedule_rule
    return [
        rule.MultiLevelTilingWithIntrin(
            intrinsic,
            structure="SRSRS",
            tile_binds=None,
            max_innermost_factor=MAX_INNERMOST,
            vector_load_lens=None,
            reuse_read=None,
            reuse_write=rule.ReuseType(req="may", levels=[1, 2], scope="global"),
        ),
        rule.ParallelizeVectorizeUnroll(
            max_jobs_per_core=JOBS_PER_CORE,
            max_vectorize_extent=MAX_VECTORIZED,
            unroll_max_steps=list(UNROLL_STEPS),
            unroll_explicit=True,
        ),
    ]


def _register_intrinsics() -> None:
    """Register TVM's Hexagon instructions, where they are not those of all processors."""
    package = "tvm.s_tir.tensor_intrin"
    if f"{package}.hexagon" not in sys.modules:
        sys.modules[package].__path__ = [
            str(Path(str(tvm.s_tir.__file__)).parent / "tensor_intrin")
        ]
        import_module(f"{package}.hexagon")
