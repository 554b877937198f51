from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.records.samples import DENSE, SPACE, TOOLCHAIN, V68, measurement, record
from vrmpy_tune.cli.application import run
from vrmpy_tune.errors import RecordFormatError, StaleRecordError, UsageError
from vrmpy_tune.measurement import PACKET_METRICS, QEMU_CRITICAL, QEMU_PACKETS
from vrmpy_tune.records import (
    Record,
    canonical_trace,
    export_json_lines,
    export_tvm_json,
    identify_among,
    import_tvm_json,
    open_stores,
)
from vrmpy_tune.records.shipped import shipped_records


@cache
def toy(extent: int = 64) -> Any:
    import tvm
    from tvm import te

    source = te.placeholder((extent,), name="source", dtype="int32")
    result = te.compute((extent,), lambda i: source[i] + 1, name="result")
    return tvm.IRModule({"main": te.create_prim_func([source, result])})


def tuned(split: int, total: int) -> Record:
    from tvm.s_tir import Schedule

    schedule = Schedule(toy(), seed=1)
    (loop,) = schedule.get_loops(schedule.get_sblock("result"))
    factors = schedule.sample_perfect_tile(loop, 2, decision=[64 // split, split])
    outer, _ = schedule.split(loop, factors)
    choice = schedule.sample_categorical([0, 1], [0.25, 0.75], decision=1)
    schedule.annotate(outer, "vrmpy_tune.codegen", choice)
    return Record.from_measurement(
        measurement(total=total),
        space=SPACE,
        trace=schedule.trace.as_json(),
        seed=0,
        generator="packets",
        toolchain=TOOLCHAIN,
        structural_hash="1",
    )


def test_what_is_exported_loads_in_tvm_ranked_as_here(tmp_path: Path) -> None:
    from tvm.s_tir.meta_schedule.database import JSONDatabase

    records = [tuned(4, 900), tuned(8, 300), tuned(16, 600)]
    export = export_tvm_json(records, tmp_path, lambda _: toy())
    assert (export.written, export.stale) == (3, ())
    database = JSONDatabase(work_dir=str(tmp_path))
    best = database.get_top_k(database.commit_workload(toy()), 3)
    assert [float(entry.run_secs[0]) for entry in best] == [300.0, 600.0, 900.0]


def test_an_import_of_the_export_yields_the_same_identities_unverified(tmp_path: Path) -> None:
    records = [tuned(4, 900), tuned(8, 300)]
    export_tvm_json(records, tmp_path, lambda _: toy())
    identify = identify_among([(DENSE, SPACE)], lambda workload, space: toy())
    report = import_tvm_json(tmp_path, metric=QEMU_PACKETS, target=V68, identify=identify)
    assert {trace.identity for trace in report.traces} == {r.identity for r in records}
    assert sorted(trace.claimed for trace in report.traces) == [300.0, 900.0]
    assert (report.unknown, report.problems) == (0, ())


def test_a_record_that_no_longer_replays_is_left_out_and_reported(tmp_path: Path) -> None:
    stale = record()
    export = export_tvm_json([stale, tuned(4, 900)], tmp_path, lambda _: toy())
    assert export.written == 1
    assert export.stale[0][0] == stale


def test_one_bad_line_costs_no_other(tmp_path: Path) -> None:
    export_tvm_json([tuned(4, 900), tuned(8, 300)], tmp_path, lambda _: toy())
    path = tmp_path / "database_tuning_record.json"
    lines = path.read_text().splitlines()
    entry = json.loads(lines[0])
    stranger = json.dumps([99, entry[1]])
    path.write_text("\n".join([lines[0], lines[1][:50], "[0, {}]", stranger]))
    with (tmp_path / "database_workload.json").open("a") as stream:
        stream.write('["1", "bm9uc2Vuc2U="]\n')
    identify = identify_among([(DENSE, SPACE)], lambda workload, space: toy())
    report = import_tvm_json(tmp_path, metric=QEMU_PACKETS, target=V68, identify=identify)
    assert len(report.traces) == 1
    assert report.unknown == 1
    places = [problem.split(": ")[0].rsplit("/", 1)[1] for problem in report.problems]
    assert places == [
        "database_workload.json:2",
        "database_tuning_record.json:2",
        "database_tuning_record.json:3",
    ]


def test_programs_of_strangers_are_counted_and_not_guessed(tmp_path: Path) -> None:
    export_tvm_json([tuned(4, 900)], tmp_path, lambda _: toy())
    identify = identify_among([(DENSE, SPACE)], lambda workload, space: toy(32))
    report = import_tvm_json(tmp_path, metric=QEMU_PACKETS, target=V68, identify=identify)
    assert (report.traces, report.unknown) == ((), 1)


def test_a_space_that_is_gone_leaves_its_records_and_programs_out(tmp_path: Path) -> None:
    def gone(*_: object) -> Any:
        raise StaleRecordError("There is no space dense.scalar/1 any more.")

    export = export_tvm_json([tuned(4, 900)], tmp_path, gone)
    assert export.stale[0][1] == "There is no space dense.scalar/1 any more."
    assert identify_among([(DENSE, SPACE)], gone)(toy()) is None


def test_several_metrics_are_not_exported_into_one_ranking(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="neither target nor metric"):
        export_tvm_json([record(), record(metric=QEMU_CRITICAL)], tmp_path, lambda _: toy())


def test_an_import_demands_a_metric_and_both_files(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no metric 'seconds'"):
        import_tvm_json(tmp_path, metric="seconds", target=V68, identify=lambda _: None)
    with pytest.raises(RecordFormatError, match="database_workload"):
        import_tvm_json(tmp_path, metric=QEMU_PACKETS, target=V68, identify=lambda _: None)


@pytest.mark.parametrize("seconds", ["[1e308, 1e308]", "[1e400]", "[-1e308, -1e308]"])
def test_seconds_out_of_range_are_a_bad_line(tmp_path: Path, seconds: str) -> None:
    export_tvm_json([tuned(4, 900)], tmp_path, lambda _: toy())
    path = tmp_path / "database_tuning_record.json"
    index, (trace, _, target, arguments) = json.loads(path.read_text().splitlines()[0])
    rest = (json.dumps(one) for one in (target, arguments))
    path.write_text(f"[{index}, [{json.dumps(trace)}, {seconds}, {', '.join(rest)}]]\n")
    identify = identify_among([(DENSE, SPACE)], lambda workload, space: toy())
    report = import_tvm_json(tmp_path, metric=QEMU_PACKETS, target=V68, identify=identify)
    assert not report.traces
    assert len(report.problems) == 1


COMMAND = "import sys; from vrmpy_tune.cli.application import run; sys.exit(run(sys.argv[1:]))"


def exported(records: list[Record], directory: Path) -> tuple[int, dict[str, int]]:
    """Export records in a process in which nothing was replayed before; return how it ended."""
    source = directory / "some.jsonl"
    export_json_lines(records, source)
    words = ["records", "export", str(directory / "tvm"), "--tvm", "--records", str(source)]
    ended = subprocess.run(
        [sys.executable, "-c", COMMAND, *words, "--json"], capture_output=True, check=False
    )
    return ended.returncode, json.loads(ended.stdout)


def shipped(metric: str) -> list[Record]:
    where = shipped_records()
    assert where is not None
    with open_stores([str(where)]) as stores:
        return stores.query(metric=metric)


def rules_of(record: Record) -> set[str]:
    """Return the kinds of tensorization rules in a record's trace."""
    instructions, _ = json.loads(record.trace)
    return {one[2][0].split("/")[0] for one in instructions if one[0] == "Tensorize"}


def test_records_with_every_kind_of_rule_are_exported(tmp_path: Path) -> None:
    chosen: list[Record] = []
    kinds: set[str] = set()
    for one in shipped(QEMU_CRITICAL):
        if rules_of(one) - kinds:
            chosen.append(one)
            kinds |= rules_of(one)
    assert len(kinds) > 5
    assert exported(chosen, tmp_path) == (
        0,
        {"path": str(tmp_path / "tvm"), "written": len(chosen), "stale": 0},
    )


@pytest.mark.slow_sweep
@pytest.mark.parametrize("metric", PACKET_METRICS)
def test_every_shipped_record_is_exported(tmp_path: Path, metric: str) -> None:
    chosen = shipped(metric)
    code, document = exported(chosen, tmp_path)
    assert (code, document["written"], document["stale"]) == (0, len(chosen), 0)


def test_an_export_that_leaves_records_out_is_an_error_and_names_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "a.jsonl"
    sound = next(one for one in shipped(QEMU_PACKETS) if one.workload.startswith("max_pool2d"))
    instructions, decisions = json.loads(sound.trace)
    instructions[0][2] = ["no_such_block", "main"]
    trace = canonical_trace([instructions, decisions])
    stale = replace(sound, identity=replace(sound.identity, trace=trace))
    export_json_lines([sound, stale], source)
    code = run(["records", "export", str(tmp_path / "tvm"), "--tvm", "--records", str(source)])
    out, err = capsys.readouterr()
    assert code == StaleRecordError.exit_code
    assert "Wrote 1 lines" in out
    assert "1 records left out" in out
    assert f"Left out: {stale.short_id} of {stale.workload}" in err
