from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.records.samples import CONV, DENSE, TOOLCHAIN, V68, record
from vrmpy_tune.measurement import QEMU_CRITICAL, QEMU_PACKETS
from vrmpy_tune.records import JsonLinesStore, Record, RecordReader, export_json_lines
from vrmpy_tune.records.explain import explain
from vrmpy_tune.records.lookup import Status, lookup

ReaderOf = Callable[..., RecordReader]


@pytest.fixture
def reader_of(tmp_path: Path) -> ReaderOf:
    def write(*records: Record) -> RecordReader:
        path = tmp_path / "a.jsonl"
        export_json_lines(records, path)
        return JsonLinesStore(path)

    return write


def test_the_first_metric_that_has_a_record_decides(reader_of: ReaderOf) -> None:
    packets, critical = record(1, total=900), record(2, metric=QEMU_CRITICAL, critical=1)
    reader = reader_of(packets, critical)
    assert lookup(reader, DENSE, V68).record == packets
    assert lookup(reader, DENSE, V68, [QEMU_CRITICAL, QEMU_PACKETS]).record == critical


def test_the_same_toolchain_comes_before_a_better_figure(reader_of: ReaderOf) -> None:
    ours, better = record(1, total=900), record(2, total=800, toolchain={"tvm": "0.28.0"})
    reader = reader_of(ours, better)
    found = lookup(reader, DENSE, V68, toolchain=TOOLCHAIN)
    assert (found.record, found.status) == (ours, Status.APPLIED)
    assert lookup(reader, DENSE, V68).record == better
    assert "900 packets" in found.reason


def test_another_toolchain_is_taken_and_said_unless_exact(reader_of: ReaderOf) -> None:
    reader = reader_of(record(1))
    found = lookup([reader], DENSE, V68, toolchain=TOOLCHAIN | {"zig": "0.18"})
    assert found.status == "applied (other toolchain)"
    assert found.status.is_hit
    assert "zig 0.17.1, here 0.18" in found.reason
    found = lookup([reader], DENSE, V68, toolchain=TOOLCHAIN | {"zig": "0.18"}, exact=True)
    assert (found.record, found.status) == (None, Status.MISSING)
    assert "--exact" in found.reason


def test_another_simulator_is_said_but_is_no_other_toolchain(reader_of: ReaderOf) -> None:
    slower, ours = record(1, total=900), record(2, total=800, toolchain={"tvm": "0.28.0"})
    reader = reader_of(slower, ours)
    found = lookup(reader, DENSE, V68, toolchain=TOOLCHAIN | {"qemu": "10.0.2"}, exact=True)
    assert (found.record, found.status) == (slower, Status.APPLIED)
    assert "another simulator (qemu 7.2.22, here 10.0.2)" in found.reason
    unmeasured = {name: value for name, value in TOOLCHAIN.items() if name != "qemu"}
    found = lookup(reader, DENSE, V68, toolchain=unmeasured)
    assert (found.record, found.status) == (slower, Status.APPLIED)
    assert "another" not in found.reason


def test_a_record_of_another_packet_scheduler_is_another_toolchains(reader_of: ReaderOf) -> None:
    reader = reader_of(record(1))
    found = lookup(reader, DENSE, V68, toolchain=TOOLCHAIN | {"packets": "cd34"})
    assert found.status is Status.OTHER_TOOLCHAIN
    assert "another toolchain (packets ab12, here cd34)" in found.reason


def test_a_stale_record_gives_way_to_the_next_that_replays(reader_of: ReaderOf) -> None:
    stale, sound = record(1, total=1), record(2, total=2)
    found = lookup(reader_of(stale, sound), DENSE, V68, replays=lambda r: r != stale)
    assert (found.record, found.stale) == (sound, (stale,))


def test_a_miss_says_how_to_tune(reader_of: ReaderOf) -> None:
    found = lookup(reader_of(record(1)), CONV, V68)
    assert found.status is Status.MISSING
    assert f"vrmpy-tune tune '{CONV}' --target {V68}" in found.reason


def test_a_miss_is_explained_by_the_nearest_records_and_what_differs(reader_of: ReaderOf) -> None:
    reader = reader_of(
        record(1, "dense:m=128,n=768,k=3072,lhs=u8,rhs=u8"),
        record(1, "dense:m=128,n=768,k=1024,lhs=u8,rhs=u8"),
        record(1, "dense:m=128,n=768,k=512,lhs=i8,rhs=u8"),
        record(1, CONV),
    )
    explanation = explain(reader, DENSE, V68)
    assert not explanation.is_hit
    first, second, third = explanation.nearest
    assert [str(d) for d in first.differences] == ["k 1024 instead of 768"]
    assert [str(d) for d in second.differences] == ["k 3072 instead of 768"]
    assert {d.field for d in third.differences} == {"k", "lhs"}
    assert "k 1024 instead of 768" in explanation.text()
    assert explanation.to_json()["workload"] == DENSE


def test_another_target_is_a_difference(reader_of: ReaderOf) -> None:
    explanation = explain(reader_of(record(1)), DENSE, "hexagon-v73")
    assert [str(d) for d in explanation.nearest[0].differences] == [
        "target hexagon-v68 instead of hexagon-v73"
    ]


def test_a_hit_and_an_empty_store_are_explained_too(reader_of: ReaderOf) -> None:
    assert explain(reader_of(record(1)), DENSE, V68).is_hit
    assert "record " in explain(reader_of(record(1)), DENSE, V68).text()
    assert "the store is empty" in explain(reader_of(), DENSE, V68).text()
