"""Rewriting TIR statements."""

from __future__ import annotations

import pytest
import tvm
import tvm_ffi
from tvm import tirx
from tvm.tirx import stmt as tir

from tests.search_spaces.samples import CASES, samples
from tests.toolchain.generated import V68
from vrmpy_tune.toolchain.lower import lower
from vrmpy_tune.toolchain.statements import rewrite, sequence


def evaluate(number: int) -> tir.Stmt:
    return tir.Evaluate(tirx.IntImm("int32", number))


def numbers(statement: tir.Stmt) -> list[int]:
    """Return the numbers that are evaluated, in order."""
    found: list[int] = []

    def visit(node: tir.Stmt) -> tir.Stmt:
        if isinstance(node, tir.Evaluate):
            found.append(int(node.value))
        return node

    rewrite(statement, visit)
    return found


def nested() -> tir.Stmt:
    """Return one statement of every kind that contains others."""
    i, n = tirx.Var("i", "int32"), tirx.Var("n", "int32")
    branch = tir.IfThenElse(n > 3, evaluate(2), evaluate(3))
    loop = tir.For(
        i, tirx.IntImm("int32", 0), n, tir.ForKind.PARALLEL, tir.SeqStmt([evaluate(1), branch]),
        annotations={"pragma": 1},
    )  # fmt: skip
    attribute = tir.AttrStmt(n, "storage_alignment", tirx.IntImm("int32", 128), loop)
    lone = tir.IfThenElse(n > 4, evaluate(5), None)
    return tir.SeqStmt([evaluate(0), attribute, tir.While(n < 9, evaluate(4)), lone])


def test_a_rule_that_changes_nothing_gives_an_equal_statement() -> None:
    statement = nested()
    assert tvm_ffi.structural_equal(rewrite(statement, lambda node: node), statement, True)


def test_every_statement_inside_is_visited_in_order() -> None:
    assert numbers(nested()) == [0, 1, 2, 3, 4, 5]


def test_a_replaced_statement_keeps_all_that_surrounds_it() -> None:
    statement = nested()

    def replace(node: tir.Stmt) -> tir.Stmt:
        is_three = isinstance(node, tir.Evaluate) and int(node.value) == 3
        return evaluate(33) if is_three else node

    changed = rewrite(statement, replace)
    assert numbers(changed) == [0, 1, 2, 33, 4, 5]
    assert numbers(statement) == [0, 1, 2, 3, 4, 5]
    loop = changed.seq[1].body
    assert loop.kind == tir.ForKind.PARALLEL
    assert dict(loop.annotations) == {"pragma": 1}
    assert changed.seq[1].attr_key == "storage_alignment"


def test_a_sequence_of_one_is_not_wrapped() -> None:
    assert isinstance(sequence([evaluate(1)]), tir.Evaluate)
    assert numbers(sequence([evaluate(1), evaluate(2)])) == [1, 2]


@pytest.mark.parametrize("case", CASES[::5], ids=" ".join)
def test_a_lowered_kernel_is_rebuilt_as_it_was(case: tuple[str, str]) -> None:
    """Every kind of statement that lowering leaves is one that ``rewrite`` knows."""
    module = lower(samples(*case)[-1].schedule.mod, V68.tvm_target())
    for _, function in module.functions.items():
        if isinstance(function, tirx.PrimFunc):
            again = function.with_body(rewrite(function.body, lambda node: node))
            tvm.ir.assert_structural_equal(again, function, map_free_vars=True)
