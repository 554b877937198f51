"""The five ways to a record, each by the function that the command line or a program calls.

Kernels are neither built nor run, for only the choice of the record matters.
"""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest
import tvm
import tvm_ffi
from tvm import relax

import vrmpy_tune as vt
from search_spaces import spaces_for
from tests.records import samples
from tests.tune.fakes import FakePool
from vrmpy_tune.bench import bench_suite
from vrmpy_tune.bench.measure import Bench
from vrmpy_tune.bench.row import TUNED
from vrmpy_tune.cli.explain import explain_workloads
from vrmpy_tune.compiler import anchor, choice
from vrmpy_tune.compiler.compile import compile_workloads
from vrmpy_tune.measurement import DEFAULT_METRIC
from vrmpy_tune.model import opening
from vrmpy_tune.model.building import BuiltKernel
from vrmpy_tune.model.compile import compile_network
from vrmpy_tune.records.database_view import Query
from vrmpy_tune.suites import Member, Suite
from vrmpy_tune.target import HexagonTarget
from vrmpy_tune.workload import Workload, parse_workload

KERNEL: Final = SimpleNamespace(multiplies=1, generator="none", fallback=None)


@dataclass(frozen=True)
class Question:
    """What each way is asked: a workload, for a target, of some stores."""

    text: str
    target: HexagonTarget
    stores: tuple[str, ...]
    place: Path
    metric: str | None = None
    exact: bool = False

    @property
    def workload(self) -> Workload:
        return parse_workload(self.text)


def without_kernels(patch: pytest.MonkeyPatch) -> None:
    """Let nothing be built, run or written; what is slow, and no choice of a record, is shared."""
    here = "vrmpy_tune.compiler.compile"
    patch.setattr("vrmpy_tune.compiler.kernel.build_kernel", lambda *_, **__: KERNEL)
    patch.setattr(f"{here}.CodegenPool", lambda _: FakePool())
    patch.setattr(f"{here}._write", lambda *_: None)
    patch.setattr("vrmpy_tune.model.compile.build_executable", _executable)
    patch.setattr("vrmpy_tune.model.compile.write_network", lambda *_: None)
    patch.setattr("vrmpy_tune.bench.run.open_device", lambda _: _Device())
    patch.setattr("vrmpy_tune.bench.run.CodegenPool", lambda _: FakePool())
    patch.setattr(Bench, "_measure", _measurement)
    patch.setattr(Bench, "_beside_naive", lambda _, row, __: row)
    patch.setattr(opening, "open_model", _opened)
    patch.setattr(choice, "fixed_schedule", cache(choice.fixed_schedule))
    patch.setattr(anchor, "DRAWS", 2)


def by_compile(asked: Question) -> str | None:
    """``compile WORKLOAD``."""
    report = compile_workloads(
        [asked.workload], target=asked.target, records=asked.stores, output=asked.place / "kernel",
        metric=asked.metric, device=None, exact=asked.exact,
    )  # fmt: skip
    return report.tasks[0].as_json()["record"]


def by_compile_of_a_model(asked: Question) -> str | None:
    """``compile MODEL``."""
    network, _ = _opened(asked.place / f"{asked.text}.onnx")
    report = compile_network(
        network, target=asked.target, records=asked.stores, output=asked.place / "net",
        metric=asked.metric, device=None, exact=asked.exact,
    )  # fmt: skip
    return report.tasks[0].as_json()["record"]


def by_explain(asked: Question) -> str | None:
    """``explain WORKLOAD``."""
    return _explained(asked, asked.text)


def by_explain_of_a_model(asked: Question) -> str | None:
    """``explain MODEL``."""
    model = asked.place / f"{asked.text}.onnx"
    model.touch()
    return _explained(asked, str(model))


def by_bench(asked: Question) -> str | None:
    """``bench --suite``."""
    suite = Suite("one", "one workload", (Member("a layer", "first", asked.text),))
    report = bench_suite(
        suite, target=asked.target, metric=asked.metric or DEFAULT_METRIC, records=asked.stores,
        systems=(TUNED,), exact=asked.exact,
    )  # fmt: skip
    (row,) = (row for row in report.rows if row.system == TUNED)
    assert "defect" not in (row.reason or "")
    return row.record


def by_applied(asked: Question, program: tvm.IRModule) -> Query:
    """``vt.applied``, by TVM's own pass; the function is scheduled if a record was named."""
    metrics = {"metrics": [asked.metric]} if asked.metric else {}
    module = _calling(program)
    with vt.applied(
        list(asked.stores), target=asked.target, shipped=False, exact=asked.exact, **metrics
    ) as report:
        tuned = relax.transform.MetaScheduleApplyDatabase()(module)
    (query,) = report.queries
    scheduled = bool((tuned["kernel"].attrs or {}).get("tirx.is_scheduled"))
    assert scheduled == (query.record is not None)
    return query


@cache
def programs(text: str, target: HexagonTarget) -> dict[tuple[str, bool], tvm.IRModule]:
    """Return a workload's programs by space, on packed and on plain weights."""
    workload = parse_workload(text)
    return {
        (space.name, packed): space.module(workload) if packed else space.plain_module(workload)
        for space in spaces_for(workload, target)
        for packed in (True, False)
    }


def same_program(one: tvm.IRModule, other: tvm.IRModule) -> bool:
    return bool(tvm_ffi.structural_equal(one, other))


def _explained(asked: Question, what: str) -> str | None:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        explain_workloads(
            [what], target=asked.target.name, records=list(asked.stores), shipped=False,
            metric=asked.metric, exact=asked.exact, as_json=True,
        )  # fmt: skip
    (row,) = json.loads(printed.getvalue())["workloads"]
    taken = [step["record"] for step in row["trail"] if step["verdict"] == "taken"]
    assert taken == [row["record"]], "the trail ends with what was taken"
    return row["record"]


def _opened(path: Path) -> tuple[Any, dict[str, str]]:
    """Stand for the import of a model: its only layer is what the file is called."""
    layer = SimpleNamespace(workload=parse_workload(path.stem), name="layer")
    return SimpleNamespace(layers=(layer,), outputs_as_json=dict), {}


def _executable(_: object, choices: Sequence[choice.Choice], *__: object) -> Any:
    kernels = tuple(BuiltKernel(one, KERNEL) for one in choices)  # type: ignore[arg-type]
    tables = SimpleNamespace(kernels=[one.workload for one in choices])
    return SimpleNamespace(tables=tables, kernels=kernels)


def _measurement(bench: Bench, workload: Workload, *_: object) -> Any:
    return samples.measurement(str(workload), target=bench.target.name, metric=bench.metric)


class _Device:
    """Can measure all; is never asked to."""

    def __enter__(self) -> _Device:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def info(self) -> Any:
        from vrmpy_tune.measurement import METRICS
        from vrmpy_tune.target import TARGETS

        return SimpleNamespace(
            targets=tuple(TARGETS), metrics=METRICS, slots=1, description="none", versions={}
        )


def _calling(program: tvm.IRModule) -> tvm.IRModule:
    """Return a Relax function that calls a program."""
    function = program["main"].without_attr("global_symbol")
    *inputs, output = function.params
    builder = relax.BlockBuilder()
    given = [
        relax.Var(f"x{number}", relax.TensorType(one.shape, one.dtype))
        for number, one in enumerate(inputs)
    ]
    with builder.function("main", given):
        with builder.dataflow():
            called = relax.call_tir(
                builder.add_func(function, "kernel"), given,
                relax.TensorType(output.shape, output.dtype),
            )  # fmt: skip
            found = builder.emit_output(called)
        builder.emit_func_output(found)
    return builder.finalize()


def all_ways(asked: Question) -> Iterator[tuple[str, str | None]]:
    """Yield the record that each way names but ``vt.applied``."""
    ways = [by_compile, by_compile_of_a_model, by_explain, by_explain_of_a_model]
    # With a metric, bench measures by it, and takes other metrics' records where it has none.
    for way in ways if asked.metric else [*ways, by_bench]:
        yield way.__name__, way(asked)
