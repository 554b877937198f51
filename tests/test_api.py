"""The Python API: tune, compile, and records as anybody's MetaSchedule database."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tvm
import tvm_ffi
from tvm import relax

import vrmpy_tune as vt
from search_spaces import find_space
from tests.tuned import CONV, DENSE, UNKNOWN, V68, falsified, records, stale, tuned_store
from vrmpy_tune.errors import NoValidCandidateError, StoreError, TargetError, WorkloadError
from vrmpy_tune.records import open_store
from vrmpy_tune.workload import parse_workload

pytestmark = pytest.mark.device


def program(text: str, *, packed: bool = True) -> tvm.tirx.PrimFunc:
    """Return the program of a workload in the form of its best record."""
    best = records(text)
    space = find_space(best[0].space if best else "dense.scalar/3")
    assert space is not None
    workload = parse_workload(text)
    module = space.module(workload) if packed else space.plain_module(workload)
    return module["main"].without_attr("global_symbol")


def relax_module(*functions: tvm.tirx.PrimFunc) -> tvm.IRModule:
    """Return a Relax function that calls each of ``functions``, named ``kernel<i>``, once."""
    builder = relax.BlockBuilder()
    arguments: list[relax.Var] = []
    calls: list[tuple[Any, Sequence[relax.Var], Any]] = []
    for index, function in enumerate(functions):
        *inputs, output = function.params
        given = [
            relax.Var(f"x{index}_{number}", relax.TensorType(one.shape, one.dtype))
            for number, one in enumerate(inputs)
        ]
        arguments += given
        kind = relax.TensorType(output.shape, output.dtype)
        calls.append((builder.add_func(function, f"kernel{index}"), given, kind))
    with builder.function("main", arguments):
        with builder.dataflow():
            results = [
                builder.emit(relax.call_tir(function, given, kind))
                for function, given, kind in calls
            ]
            found = builder.emit_output(relax.Tuple(results))
        builder.emit_func_output(found)
    return builder.finalize()


def apply(
    module: tvm.IRModule, store: Path | str | None = None, **options: Any
) -> tuple[tvm.IRModule, Any]:
    options = {"target": V68, "shipped": False, **options}
    with vt.applied(store or tuned_store(), **options) as report:
        return relax.transform.MetaScheduleApplyDatabase()(module), report


def is_tuned(module: tvm.IRModule, name: str) -> bool:
    function = module[name]
    scheduled = bool((function.attrs or {}).get("tirx.is_scheduled"))
    assert scheduled == ("vrmpy" in function.script()), "scheduled, and with the instruction"
    return scheduled


def test_functions_on_packed_and_on_plain_weights_are_tuned() -> None:
    module = relax_module(
        program(DENSE), program(DENSE, packed=False), program(CONV), program(CONV, packed=False)
    )
    tuned, report = apply(module)
    names = [f"kernel{index}" for index in range(4)]
    assert not any(is_tuned(module, name) for name in names)
    assert all(is_tuned(tuned, name) for name in names)
    assert sorted(query.name for query in report.applied) == names
    assert report.missed == []
    best = {records(text)[0].id for text in (DENSE, CONV)}
    assert {query.record for query in report.applied} == best
    assert all("critical path (qemu-critical/1)" in query.reason for query in report.applied)


def test_a_function_without_records_is_left_alone_and_reported() -> None:
    module = relax_module(program(DENSE), program(UNKNOWN))
    tuned, report = apply(module)
    assert [is_tuned(tuned, f"kernel{index}") for index in range(2)] == [True, False]
    assert tvm_ffi.structural_equal(tuned["kernel1"], module["kernel1"])
    (missed,) = report.missed
    assert (missed.name, missed.workload, missed.record) == ("kernel1", None, None)
    assert missed.reason == "No workload with records is computed by this function."


def test_records_of_another_target_are_not_applied() -> None:
    tuned, report = apply(relax_module(program(DENSE)), target="hexagon-v73")
    assert not is_tuned(tuned, "kernel0")
    (missed,) = report.missed
    assert missed.workload == DENSE
    assert f"vrmpy-tune tune '{DENSE}'" in missed.reason


def test_only_the_asked_metrics_count() -> None:
    _, report = apply(relax_module(program(DENSE)), metrics=["qemu-packets/1"])
    assert [query.workload for query in report.missed] == [DENSE]


def test_stale_records_are_passed_over_and_counted(tmp_path: Path) -> None:
    best = records(DENSE)[0]
    with open_store(tmp_path / "a.db") as store:
        store.add(stale(best))
    tuned, report = apply(relax_module(program(DENSE)), tmp_path / "a.db")
    assert not is_tuned(tuned, "kernel0")
    assert report.missed[0].reason.startswith(
        f"1 records of {DENSE} on hexagon-v68 no longer replay"
    )
    with open_store(tmp_path / "a.db") as store:
        store.add(best)
    tuned, report = apply(relax_module(program(DENSE)), tmp_path / "a.db")
    assert is_tuned(tuned, "kernel0")
    assert report.applied[0].record == best.id


def test_records_of_this_toolchain_go_first(tmp_path: Path) -> None:
    best, other, *_ = records(DENSE)
    with open_store(tmp_path / "a.db") as store:
        store.add(best)
        store.add(replace(falsified(other, 1), toolchain={"tvm": "0.26"}))
    _, report = apply(relax_module(program(DENSE)), tmp_path / "a.db")
    assert report.applied[0].record == best.id


def test_nothing_is_applied_outside_the_context() -> None:
    module = relax_module(program(DENSE))
    apply(module)
    with V68.tvm_target(), tvm.s_tir.meta_schedule.database.MemoryDatabase():
        untouched = relax.transform.MetaScheduleApplyDatabase()(module)
    assert not is_tuned(untouched, "kernel0")


def test_the_database_view_is_read_only() -> None:
    from vrmpy_tune.records.database_view import DatabaseView

    with open_store(tuned_store(), readonly=True) as reader:
        view = DatabaseView(reader, V68)
        assert len(view) == reader.count()
        (kept, *_) = view.get_all_tuning_records()
        with pytest.raises(Exception, match="read-only"):
            view.commit_tuning_record(kept)


def test_a_store_that_does_not_exist_is_said_before_anything_is_applied(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="none"), vt.applied(tmp_path / "none.db"):
        pytest.fail("the context was entered")


def test_tune_takes_text_or_a_workload_and_resumes(tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "target": "v68",
        "trials": 2,
        "effort": "quick",
        "records": f"sqlite:///{tmp_path}/store.db",
    }
    first = vt.tune(DENSE, **options)
    second = vt.tune(vt.Dense(m=8, n=32, k=16, lhs="u8", rhs="u8"), **options)
    assert str(first.workload) == DENSE
    assert first.best == second.best
    assert (first.recalled, second.recalled) == (0, 2)


def test_an_interrupted_tune_without_a_candidate_is_an_error_and_no_result(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("vrmpy_tune.tune.run.tune", lambda *_, **__: [])
    with pytest.raises(NoValidCandidateError, match="interrupted"):
        vt.tune(DENSE)


def test_compile_takes_one_or_several_workloads_and_paths(tmp_path: Path) -> None:
    one = vt.compile(DENSE, output=tmp_path / "one", records=tuned_store(), device=None)
    assert [task.as_json()["status"] for task in one.tasks] == ["applied"]
    workloads = [vt.Dense(m=8, n=32, k=16, lhs="u8", rhs="u8"), CONV]
    stores = [str(tuned_store()), tuned_store()]
    two = vt.compile(workloads, output=str(tmp_path / "two"), records=stores, device=None)
    assert [str(task.choice.workload) for task in two.tasks] == [DENSE, CONV]


def test_names_that_mean_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(WorkloadError):
        vt.tune("softmax:m=8")
    with pytest.raises(TargetError):
        vt.compile(DENSE, output=tmp_path / "out", target="hexagon-v99")
    with pytest.raises(TargetError), vt.applied(target="hexagon-v99"):
        pytest.fail("the context was entered")
