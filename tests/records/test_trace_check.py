"""Traces as data: what no search space can have written is refused, with the instruction."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from tests.records.samples import DENSE, record
from vrmpy_tune.errors import RecordFormatError
from vrmpy_tune.records import Record, import_json_lines, open_store
from vrmpy_tune.records.jsonlines import encode_line, read_json_lines
from vrmpy_tune.records.record import canonical_trace
from vrmpy_tune.records.shipped import shipped_records
from vrmpy_tune.records.trace_check import check_identity, check_trace

SHIPPED: Final = shipped_records()


def a_shipped_record() -> Record:
    assert SHIPPED is not None
    lines = read_json_lines(SHIPPED / "v68" / "peers.jsonl")
    return next(one for one in lines if isinstance(one, Record) and one.workload == DENSE)


def changed(path: tuple[Any, ...], value: object) -> str:
    """Return the trace of a shipped record with one value replaced."""
    trace: Any = json.loads(a_shipped_record().trace)
    inner = trace
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return json.dumps(trace)


def test_every_shipped_record_passes() -> None:
    assert SHIPPED is not None
    found = [one for file in SHIPPED.glob("*/*.jsonl") for one in read_json_lines(file)]
    for one in found[::7]:
        assert isinstance(one, Record)
        check_identity(one.identity)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ((1, 0, 0), -1, "instruction -1, which draws nothing"),
        ((1, 0, 0), 1 << 40, "draws nothing"),
        ((1, 0, 0), True, "instruction True, which draws nothing"),
        ((1, 0, 0), 0, "instruction 0, which draws nothing"),
        ((1, 0), [37, 3], "one for each instruction that draws"),
        ((1, 0, 1), [4, 8], "not a list of 3 factors"),
        ((1, 0, 1), [4, 8, 0], "out of range"),
        ((1, 0, 1), [1 << 30, 1 << 30, 1], "out of range"),
        ((1, 0, 1), [1, 1, 128], "over 9"),
        ((1, 3, 1), 4, "decision 4 is not one of 4"),
        ((1, 3, 1), -1, "decision -1"),
        ((1, 3, 1), False, "no integer"),
        ((0, 0, 0), "EnterPostproc", "which no search space of this version uses"),
        ((0, 1, 1), ["b7"], "its inputs"),
        ((0, 2, 1), ["l2", "None", 0], "less than 1"),
        ((0, 2, 1), ["l2", "None", 1 << 50], "its inputs"),
        ((0, 2, 3), ["l11"], "a loop for each factor|its outputs"),
        ((0, 2, 3), ["l12", "l11"], "next values"),
        ((0, 5, 2), [2, 9], "as many factors"),
        ((0, 5, 2), [3, -1], "as many factors"),
        ((0, 17, 2), ["1", -1], "its attributes"),
        ((0, 37, 2), [[0, 1, 2], [0.1, 0.2, 0.7, 0.0]], "probabilities"),
        ((0, 37, 2), [[0, 1, 2, 64], [0.1, 0.2, 0.7, 0.0]], "counted from 0"),
        ((0, 37, 2), [[0, 1, 2, True], [0.1, 0.2, 0.7, 0.0]], "its attributes"),
        ((0, 39, 1), ["b53", "v16"], "the code generator"),
        ((0, 39, 2), ["pragma_import_c"], "annotates"),
        ((0, 0), "GetSBlock", "not one of TVM's"),
    ],
    ids=str,
)
def test_one_altered_value_is_refused_by_name(
    path: tuple[Any, ...], value: object, message: str
) -> None:
    with pytest.raises(RecordFormatError, match=message):
        check_trace(changed(path, value))


@pytest.mark.parametrize(
    ("workload", "message"),
    [
        ("dense:m=0,n=768,k=768,lhs=u8,rhs=u8", "m=0 is out of range"),
        ("dense:n=768,m=128,k=768,lhs=u8,rhs=u8", "is not written as"),
        ("dense:m=128,n=768,k=768,lhs=u8,rhs=u8,bias=0", "is not written as"),
        ("clip:shape=2081,dtype=i8", "is not one of clip"),
        ("dense:m=128,n=768", "must be given"),
    ],
)
def test_an_impossible_workload_is_refused(workload: str, message: str) -> None:
    identity = replace(a_shipped_record().identity, workload=workload)
    with pytest.raises(RecordFormatError, match=message):
        check_identity(identity)


def test_an_import_names_the_lines_it_refuses_and_takes_the_others(tmp_path: Path) -> None:
    good = a_shipped_record()
    moved = replace(good.identity, trace=canonical_trace(changed((1, 0, 0), -1)))
    impossible = replace(good.identity, workload="dense:m=0,n=768,k=768,lhs=u8,rhs=u8")
    bad = [replace(good, identity=one) for one in (moved, impossible)]
    path = tmp_path / "strange.jsonl"
    path.write_text("\n".join(encode_line(one) for one in (bad[0], record(), bad[1], good)))
    with open_store(tmp_path / "store.db") as store:
        report = import_json_lines(store, path)
        assert (report.added, report.bad_lines) == (2, 2)
        assert [one.line for one in report.problems] == [1, 3]
        assert "draws nothing" in report.problems[0].reason
        assert "m=0" in report.problems[1].reason
        assert {one.id for one in store.query()} == {good.id, record().id}
