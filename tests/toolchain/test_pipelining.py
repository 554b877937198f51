"""Loops that LLVM need not try to pipeline."""

from __future__ import annotations

from pathlib import Path

import pytest

from vrmpy_tune.target import TARGETS
from vrmpy_tune.toolchain.pipelining import FUTILE, without_futile_pipelining
from vrmpy_tune.toolchain.zig import compile_llvm_ir

_INTRINSIC = "<32 x i32> @llvm.hexagon.V6.vrmpyub.acc.128B"


def loop(multiplies: int) -> str:
    """Return a function in the form of TVM's LLVM IR, with one loop of so many multiplies."""
    body, before = [], "sum"
    for index in range(multiplies):
        arguments = f"<32 x i32> %{before}, <32 x i32> %w, i32 %n"
        body.append(f"  %m{index} = call {_INTRINSIC}({arguments})")
        before = f"m{index}"
    return "\n".join(
        [
            "define <32 x i32> @f(<32 x i32> %w, i32 %n) {",
            "entry:",
            "  br label %for_begin_v_0",
            "",
            "for_begin_v_0:                       ; preds = %for_next_v_0, %entry",
            "  %i = phi i32 [ 0, %entry ], [ %j, %for_next_v_0 ]",
            f"  %sum = phi <32 x i32> [ zeroinitializer, %entry ], [ %{before}, %for_next_v_0 ]",
            "  %more = icmp slt i32 %i, %n",
            "  br i1 %more, label %for_body_v_0, label %for_end_v_0",
            "",
            "for_body_v_0:                        ; preds = %for_begin_v_0",
            *body,
            "  br label %for_next_v_0",
            "",
            "for_end_v_0:                         ; preds = %for_begin_v_0",
            "  ret <32 x i32> %sum",
            "",
            "for_next_v_0:                        ; preds = %for_body_v_0",
            "  %j = add nsw i32 %i, 1",
            "  br label %for_begin_v_0",
            "}",
            f"declare {_INTRINSIC}(<32 x i32>, <32 x i32>, i32)",
            "!7 = !{}",
            "",
        ]
    )


def test_only_the_back_edge_of_a_large_loop_is_marked() -> None:
    source = loop(FUTILE)
    marked = without_futile_pipelining(source).split("\n")
    changed = [line for line in marked if line not in source.split("\n")]
    assert changed == [
        "  br label %for_begin_v_0, !llvm.loop !8",
        "!8 = distinct !{!8, !9}",
        '!9 = !{!"llvm.loop.pipeline.disable", i1 true}',
    ]
    assert marked.count("  br label %for_begin_v_0") == 1, "the entry is no back edge"


@pytest.mark.parametrize("multiplies", [0, 1, FUTILE - 1])
def test_other_loops_are_left_alone(multiplies: int) -> None:
    assert without_futile_pipelining(loop(multiplies)) == loop(multiplies)


def test_a_loop_of_the_same_name_in_another_function_is_another_loop() -> None:
    source = loop(FUTILE) + loop(1).replace("@f(", "@g(")
    marked = without_futile_pipelining(source)
    assert marked.count("!llvm.loop") == 1
    assert marked.index("!llvm.loop") < marked.index("@g(")


def test_llvm_takes_the_mark_and_makes_the_same_code(tmp_path: Path) -> None:
    target, source = TARGETS["hexagon-v68"], loop(FUTILE)
    marked = without_futile_pipelining(source)
    assert marked != source
    assert (
        compile_llvm_ir(marked, target, tmp_path).assembly
        == compile_llvm_ir(source, target, tmp_path).assembly
    )
