"""Rewriting TIR statements in Python, which TVM 0.27 has no visitor for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tvm.tirx import stmt as tir

if TYPE_CHECKING:
    from collections.abc import Callable


def rewrite(statement: tir.Stmt, rule: Callable[[tir.Stmt], tir.Stmt]) -> tir.Stmt:
    """Rebuild a lowered statement bottom-up, replacing each node by ``rule(node)``."""
    if isinstance(statement, tir.SeqStmt):
        statement = tir.SeqStmt([rewrite(part, rule) for part in statement.seq])
    elif isinstance(statement, tir.For):
        statement = tir.For(
            statement.loop_var,
            statement.min,
            statement.extent,
            statement.kind,
            rewrite(statement.body, rule),
            statement.thread_binding,
            statement.annotations,
            statement.step,
        )
    elif isinstance(statement, tir.AttrStmt):
        statement = tir.AttrStmt(
            statement.node, statement.attr_key, statement.value, rewrite(statement.body, rule)
        )
    elif isinstance(statement, tir.IfThenElse):
        otherwise = statement.else_case
        statement = tir.IfThenElse(
            statement.condition,
            rewrite(statement.then_case, rule),
            rewrite(otherwise, rule) if otherwise is not None else None,
        )
    elif isinstance(statement, tir.While):
        statement = tir.While(statement.condition, rewrite(statement.body, rule))
    return rule(statement)


def sequence(statements: list[tir.Stmt]) -> tir.Stmt:
    """Join statements, without wrapping a single one."""
    return statements[0] if len(statements) == 1 else tir.SeqStmt(statements)
