from __future__ import annotations

import ast
import json
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import vrmpy_tune.records
from tests.records.samples import CONV, DENSE, TOOLCHAIN, failure, measurement, record, trace
from vrmpy_tune.errors import RecordFormatError
from vrmpy_tune.measurement import (
    HVX_TIME_8GEN1,
    HVX_TIME_888,
    QEMU_CRITICAL,
    QEMU_PACKETS,
    Outcome,
)
from vrmpy_tune.records import Failure, FinishedRun, Record, canonical_trace
from vrmpy_tune.records.record import FixedRule
from vrmpy_tune.records.safe_json import Json


def test_a_record_survives_json_and_pickle() -> None:
    made = record()
    assert Record.from_json(json.loads(json.dumps(made.to_json()))) == made
    assert pickle.loads(pickle.dumps(made)) == made
    assert len({made, record()}) == 1


def test_the_figure_is_that_of_the_metric() -> None:
    assert record(total=1000, critical=300).value == 1000
    assert record(metric=QEMU_CRITICAL, total=1000, critical=300).value == 300
    timed = record(metric=HVX_TIME_8GEN1, total=1000, critical=300)
    assert timed.value == timed.to_json()["nanoseconds"] == 1000
    assert Record.from_json(json.loads(json.dumps(timed.to_json()))) == timed


def test_a_figure_of_time_needs_an_estimate_of_that_profile() -> None:
    counts = measurement(metric=HVX_TIME_8GEN1).counts
    with pytest.raises(ValueError, match="not estimated"):
        counts.value(HVX_TIME_888)
    with pytest.raises(ValueError, match="not estimated"):
        measurement().counts.value(HVX_TIME_8GEN1)


def test_a_record_carries_its_generator_and_what_the_fixed_rule_takes() -> None:
    made = record(generator="packets-fallback", fixed_rule=FixedRule(2000, 600))
    stored = made.to_json()
    assert stored["generator"] == "packets-fallback"
    assert stored["fixed_rule"] == {"packets_total": 2000, "packets_critical": 600}
    assert Record.from_json(json.loads(json.dumps(stored))) == made
    assert made.id == record().id
    assert record().to_json()["fixed_rule"] is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("generator", ""),
        ("generator", "A\x1b[31m"),
        ("generator", None),
        ("fixed_rule", {}),
        ("fixed_rule", []),
        ("fixed_rule", {"packets_total": 0, "packets_critical": 1}),
        ("fixed_rule", {"packets_total": 1, "packets_critical": True}),
        ("fixed_rule", {"packets_total": 1, "packets_critical": 1, "time": 1}),
    ],
)
def test_a_malformed_generator_or_fixed_rule_is_refused(field: str, value: Json) -> None:
    with pytest.raises(RecordFormatError, match=field.replace("_", ".")):
        Record.from_json(record().to_json() | {field: value})


def test_a_record_of_packets_carries_no_time() -> None:
    value = record(metric=HVX_TIME_8GEN1).to_json()
    value |= {"metric": QEMU_PACKETS, "id": record().id}
    with pytest.raises(RecordFormatError, match="unknown field 'nanoseconds'"):
        Record.from_json(value)


def test_the_id_depends_on_the_identity_alone() -> None:
    same = record(total=5, toolchain={"zig": "9"})
    assert same.id == record().id
    others = [
        record(2),
        record(workload=CONV),
        record(target="hexagon-v73"),
        record(metric=QEMU_CRITICAL),
        record(space="dense.scalar/3"),
    ]
    assert len({r.id for r in [*others, same]}) == 6


def test_the_id_never_changes() -> None:
    # Ids name records in stores, files and manifests: a new value here breaks all of them.
    kept = [[["GetSBlock", [], ["dense", "main"], ["b0"]]], [[0, [1, 4]]]]
    identity = replace(record().identity, trace=canonical_trace(kept))
    assert identity.id == "fefa10507463c513a6ef795819b75160d7180886c845ac940b0ffab394361b9d"


def test_the_spacing_of_a_trace_does_not_matter() -> None:
    assert canonical_trace(json.dumps(trace(1), indent=3)) == canonical_trace(trace(1))


@pytest.mark.parametrize("bad", ["", "{}", "[1,2]", "[[],[],[]]", "[[],[NaN]]", "[[],"])
def test_what_is_no_trace_is_refused(bad: str) -> None:
    with pytest.raises(RecordFormatError):
        canonical_trace(bad)


def test_a_trace_of_live_objects_is_refused() -> None:
    with pytest.raises(RecordFormatError, match="is not data"):
        canonical_trace([[], [[0, object()]]])


def test_a_measurement_that_could_not_be_read_back_is_refused() -> None:
    with pytest.raises(RecordFormatError, match="artifact"):
        Record.from_measurement(
            replace(measurement(), artifact="none"),
            space="dense.scalar/1",
            trace=trace(1),
            seed=0,
            generator="packets",
            toolchain=TOOLCHAIN,
            structural_hash="",
        )


def test_only_record_py_constructs_records() -> None:
    package = Path(vrmpy_tune.records.__file__).parents[1]
    callers = set()
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Record":
                callers.add(path.name)
    assert callers <= {"record.py"}


@pytest.mark.parametrize("outcome", [o for o in Outcome if not o.is_remembered])
def test_an_outcome_that_says_nothing_of_the_candidate_is_not_remembered(outcome: Outcome) -> None:
    with pytest.raises(RecordFormatError, match="is not remembered"):
        failure(outcome=outcome)


def test_a_failure_keeps_the_printable_end_of_a_long_message() -> None:
    kept = Failure.of(
        Outcome.BUILD_ERROR,
        workload=DENSE,
        target="hexagon-v68",
        metric=QEMU_PACKETS,
        space="dense.scalar/1",
        trace=trace(1),
        message="x" * 10_000 + "\x1b[31merror: the end\n",
    )
    assert len(kept.message) == 4000
    assert kept.message.endswith("\N{REPLACEMENT CHARACTER}[31merror: the end\n")
    assert Failure.from_json(kept.to_json()) == kept


def test_whatever_was_asked_changes_a_finished_runs_key() -> None:
    asked = {
        "workload": DENSE,
        "target": "hexagon-v68",
        "metric": QEMU_PACKETS,
        "spaces": ["a/1"],
        "seed": 0,
        "trials": 8,
        "options": {"effort": "quick"},
    }
    changed = [
        asked | {name: value}
        for name, value in {
            "workload": CONV,
            "target": "hexagon-v73",
            "metric": QEMU_CRITICAL,
            "spaces": ["a/2"],
            "seed": 1,
            "trials": 9,
            "options": {},
        }.items()
    ]
    keys = {FinishedRun.key_of(**arguments) for arguments in [asked, *changed]}  # type: ignore[arg-type]
    assert len(keys) == 8


def test_importing_the_package_imports_neither_tvm_nor_sqlalchemy() -> None:
    script = (
        "import sys, vrmpy_tune.records as r; heavy = {'tvm', 'sqlalchemy', 'rich', 'typer'};"
        "assert not heavy & set(sys.modules); [getattr(r, n) for n in r.__all__];"
        "assert 'tvm' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_run_for_time_also_tells_its_packets() -> None:
    timed = record(metric=HVX_TIME_8GEN1, total=1000, critical=300)
    packets = timed.under(QEMU_CRITICAL)
    assert packets.value == 300
    assert packets == record(metric=QEMU_CRITICAL, total=1000, critical=300)
    assert Record.from_json(packets.to_json()) == packets
    with pytest.raises(ValueError, match="is a time, which no other figure stands for"):
        packets.under(HVX_TIME_8GEN1)
