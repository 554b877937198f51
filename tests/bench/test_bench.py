"""Benchmarks: every row is there, measured or with a reason, and compared with what is like it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.bench.conftest import TINY, UNHEARD, Bench
from tests.tuned import CONV, DENSE, UNKNOWN, V68, records, stale, tuned_store
from vrmpy_tune.bench import bench_suite
from vrmpy_tune.bench.compare import beside_fixed, comparable, compared, summary, worst_to_fixed
from vrmpy_tune.bench.row import FIXED, METASCHEDULE, OWN_SYSTEMS, TUNED, Row
from vrmpy_tune.bench.run import stands_beside
from vrmpy_tune.device.fake import FakeDevice, Fault
from vrmpy_tune.errors import DeviceError, StoreError, UsageError
from vrmpy_tune.records import open_store
from vrmpy_tune.suites import SUITES, suite_called
from vrmpy_tune.suites.peer_rows import peer_rows
from vrmpy_tune.target import TARGETS

CONTRACT = {
    "workload", "system", "packets_total", "packets_critical", "macs", "macs_per_packet",
    "estimated_us", "verified", "record", "contexts", "counts", "peer_workload",
}  # fmt: skip
"""Fields that DESIGN.md promises of every row."""


def rows_of(document: dict[str, Any], system: str) -> dict[str, dict[str, Any]]:
    return {row["workload"]: row for row in document["rows"] if row["system"] == system}


def test_every_row_has_the_promised_fields_and_a_reason_for_every_null(fake_bench: Bench) -> None:
    document = fake_bench().as_json()
    assert {"suite", "metric", "rows"} <= set(document)
    for row in document["rows"]:
        assert set(row) >= CONTRACT
        assert row["reason"]
        assert isinstance(row["counts"], list)
    for system in OWN_SYSTEMS:
        assert set(rows_of(document, system)) == {DENSE, CONV, UNKNOWN, UNHEARD}


def test_records_are_applied_built_run_and_verified_again(fake_bench: Bench) -> None:
    device_packets = 4321
    tuned = rows_of(fake_bench(_right(packets=lambda _: device_packets)).as_json(), TUNED)
    for text in (DENSE, CONV):
        row = tuned[text]
        assert row["record"] == records(text)[0].id
        assert row["verified"] is True
        assert row["packets_total"] == device_packets
        assert row["macs_per_packet"] == row["macs"] / device_packets
        assert row["contexts"] == 1
    assert tuned[DENSE]["count"] == 3
    assert tuned[DENSE]["counts"] == []
    sums = ["activation sums"] if ".offset" in records(CONV)[0].space else []
    assert tuned[CONV]["counts"] == ["padding", *sums]


def test_what_cannot_be_measured_says_why_and_loses_nobody_else(fake_bench: Bench) -> None:
    document = fake_bench().as_json()
    tuned, fixed = rows_of(document, TUNED), rows_of(document, FIXED)
    assert tuned[UNKNOWN]["packets_total"] is None
    assert tuned[UNKNOWN]["verified"] is None
    assert f"No record of {UNKNOWN}" in tuned[UNKNOWN]["reason"]
    assert "is not a workload" in tuned[UNHEARD]["reason"]
    assert "is not a workload" in fixed[UNHEARD]["reason"]
    assert fixed[UNKNOWN]["verified"] is True
    assert fixed[UNKNOWN]["record"] is None
    by_tvm = rows_of(document, METASCHEDULE)
    assert by_tvm[DENSE]["reason"] == "Not measured: add --untuned."
    assert "is not a workload" in by_tvm[UNHEARD]["reason"]


def test_a_wrong_output_is_no_figure(fake_bench: Bench) -> None:
    device = _right(faults=dict.fromkeys(range(3), Fault.WRONG_LANE))
    tuned = rows_of(fake_bench(device, systems=(TUNED,)).as_json(), TUNED)
    for text in (DENSE, CONV):
        assert tuned[text]["packets_total"] is None
        assert "is not right" in tuned[text]["reason"]
        assert "\n" not in tuned[text]["reason"]


def test_a_crash_and_a_lost_device_cost_one_row_each(fake_bench: Bench) -> None:
    device = _right(faults={0: Fault.CRASH, 1: Fault.LOST}, slots=1)
    document = fake_bench(device).as_json()
    done = [row for row in document["rows"] if row["verified"]]
    assert len(done) == 3  # of five that can be measured


def test_a_defect_of_one_workload_costs_one_row(
    fake_bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise KeyError("no such\nthing")

    monkeypatch.setattr("vrmpy_tune.bench.measure.fixed_schedule", broken)
    document = fake_bench().as_json()
    reason = rows_of(document, FIXED)[DENSE]["reason"]
    assert reason.startswith("A defect of vrmpy-tune (KeyError: ")
    assert rows_of(document, TUNED)[DENSE]["verified"] is True


def test_a_stale_record_is_said_to_be(fake_bench: Bench, tmp_path: Path) -> None:
    with open_store(tmp_path / "a.db") as store:
        store.add(stale(records(DENSE)[0]))
    tuned = rows_of(fake_bench(records=[str(tmp_path / "a.db")]).as_json(), TUNED)
    assert "no longer replay" in tuned[DENSE]["reason"]


def test_one_context_is_measured_with_records_of_the_other_metric(fake_bench: Bench) -> None:
    document = fake_bench(metric="qemu-packets/1").as_json()
    row = rows_of(document, TUNED)[DENSE]
    assert records(DENSE)[0].metric == "qemu-critical/1"
    assert row["record"] == records(DENSE)[0].id
    assert row["contexts"] == 1


def test_the_critical_path_stands_beside_one_context_and_the_fixed_rule(
    fake_bench: Bench, tmp_path: Path
) -> None:
    own = records(DENSE)[0]
    with open_store(tmp_path / "both.db") as store:
        store.add_many([own, own.under("qemu-packets/1")])
    where = [str(tmp_path / "both.db")]
    document = fake_bench(metric="qemu-critical/1", records=where).as_json()
    row, fixed = (rows_of(document, system)[DENSE] for system in (TUNED, FIXED))
    assert row["record"] == own.id
    assert row["contexts"] == V68.contexts
    total, critical = row["packets_total"], row["packets_critical"]
    assert row["macs_per_packet"] == row["macs"] / total, "of all contexts, by any metric"
    assert row["balance"] == total / (V68.contexts * critical)
    assert row["ratio_to_one_context"] == own.counts.packets_total / total
    assert row["packets_to_fixed"] == total / fixed["packets_total"]
    assert row["critical_to_fixed"] == critical / fixed["packets_critical"]
    (entry,) = [
        one
        for one in document["summary"]
        if (one["variant"], one["system"]) == (row["variant"], TUNED)
    ]
    assert entry["worst_critical_to_fixed"] == row["critical_to_fixed"]
    assert entry["worst_critical_to_fixed_workload"] == DENSE


def test_the_worst_ratios_to_the_fixed_rule_are_the_largest() -> None:
    rows = [
        Row("a", TUNED, "qemu-critical/1", 103, 25), Row("a", FIXED, "qemu-critical/1", 100, 50),
        Row("b", TUNED, "qemu-critical/1", 90, 60), Row("b", FIXED, "qemu-critical/1", 100, 50),
        Row("c", TUNED, "qemu-critical/1", 90, 60), Row("c", FIXED, "qemu-critical/1"),
    ]  # fmt: skip
    assert worst_to_fixed(beside_fixed(rows)) == {
        "worst_packets_to_fixed": 1.03,
        "worst_packets_to_fixed_workload": "a",
        "worst_critical_to_fixed": 1.2,
        "worst_critical_to_fixed_workload": "b",
    }
    assert worst_to_fixed([])["worst_packets_to_fixed"] is None


def test_suites_are_measured_by_the_critical_path_but_for_peers_which_had_one_thread() -> None:
    by_packets = [name for name in SUITES if suite_called(name).metric == "qemu-packets/1"]
    assert by_packets == ["peers"]
    others = {suite_called(name).metric for name in SUITES if name != "peers"}
    assert others == {"qemu-critical/1"}


def test_an_interrupted_run_keeps_the_rows_it_has(
    fake_bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    import contextlib
    from collections.abc import Callable, Iterator

    stop: list[Callable[[], None]] = []

    @contextlib.contextmanager
    def stopping(stopped: Callable[[], None]) -> Iterator[Callable[[], bool]]:
        stop.append(stopped)
        yield lambda: True

    monkeypatch.setattr("vrmpy_tune.bench.run.stopping_on_interrupt", stopping)
    device = _right(slots=1)
    report = fake_bench(device, progress=lambda _: stop[0]())
    assert report.interrupted
    tuned = rows_of(report.as_json(), TUNED)
    assert tuned[DENSE]["verified"] is True
    assert tuned[CONV]["reason"] == "Not measured: the run was interrupted."


def test_what_makes_the_whole_run_impossible_is_an_error(fake_bench: Bench) -> None:
    with pytest.raises(UsageError, match="no variant"):
        fake_bench(variants=("third",))
    with pytest.raises(StoreError, match="none"):
        fake_bench(records=["/nowhere/none.db"])
    with pytest.raises(DeviceError, match="cannot measure qemu-packets/1 on hexagon-v75"):
        bench_suite(
            TINY, target=TARGETS["hexagon-v75"], metric="qemu-packets/1",
            records=[str(tuned_store())], device="fake",
        )  # fmt: skip


def tuned_row(variant: str, layer: str, packets: int, system: str = TUNED) -> Row:
    member = next(
        one for one in suite_called("peers").members if (one.variant, one.layer) == (variant, layer)
    )
    return Row(
        member.text, system, "qemu-packets/1", packets, macs=member.macs, verified=True,
        variant=variant, layer=layer, peer_workload=layer, outputs=12544 * 64,
    )  # fmt: skip


STEM = "conv 224x224x3->64 k7 s2 p3"


def test_ratios_are_to_the_best_right_peer_of_the_same_types_and_padding() -> None:
    (row,) = compared([tuned_row("u8u8-i32", STEM, 348_330)], V68)
    more = row.as_json()
    assert more["best_peer"] == "Halide 21, best tile"
    assert more["ratio_to_best_peer"] == pytest.approx(696_659 / 348_330)
    assert more["like_for_like"] is True
    (row,) = compared([tuned_row("u8i8-u8-inside", STEM, 1_174_885)], V68)
    assert row.as_json()["best_peer"] == "Halide hannk published convolution"
    assert row.as_json()["like_for_like"] is False


def test_a_peer_built_for_a_later_architecture_is_not_compared_with() -> None:
    row = tuned_row("i8i8-i32", "dense M128 N768 K768", 1)
    newest = "XNNPACK microkernel, two bugs fixed, built for v73"
    assert newest not in [peer.system for peer in comparable(row, V68)]
    assert comparable(row, TARGETS["hexagon-v73"])[0].system == newest


def test_figures_of_another_metric_are_not_compared_with_peers() -> None:
    row = replace(tuned_row("u8u8-i32", STEM, 1000), metric="qemu-critical/1")
    assert comparable(row, V68) == []


def test_signed_weights_are_compared_with_our_unsigned_and_epilogues_with_int32() -> None:
    rows = [
        tuned_row("u8u8-i32", STEM, 900),
        tuned_row("u8i8-i32", STEM, 1000),
        tuned_row("u8u8-u8", STEM, 900 + 3 * 12544 * 2),
        tuned_row("u8u8-u8", STEM, 5, FIXED),
    ]
    plain, signed, requantized, other = (row.as_json() for row in compared(rows, V68))
    assert plain["ratio_to_u8u8"] is None
    assert plain["epilogue_packets_per_vector"] is None
    assert signed["ratio_to_u8u8"] == pytest.approx(0.9)
    assert requantized["epilogue_packets_per_vector"] == pytest.approx(3.0)
    assert other["epilogue_packets_per_vector"] is None, "never from another system's figure"


def test_a_workload_that_has_no_unsigned_or_plain_form_is_compared_with_none() -> None:
    text = "dense:m=8,n=32,k=16,lhs=u8,rhs=i8,rzp=-3"
    (row,) = compared([Row(text, TUNED, "qemu-packets/1", 100)], V68)
    assert row.as_json()["ratio_to_u8u8"] is None
    assert row.as_json()["epilogue_packets_per_vector"] is None


def test_the_summary_has_geometric_means_and_names_the_least() -> None:
    dense = "dense M128 N768 K768"
    rows = compared(
        [tuned_row("u8u8-i32", STEM, 348_330), tuned_row("u8u8-i32", dense, 597_638)], V68
    )
    (entry,) = summary(rows)
    ratios = entry["ratio_to_best_peer"]
    assert ratios["geometric_mean"] == pytest.approx(1.0, rel=1e-5)
    assert ratios["least"] == pytest.approx(0.5)
    assert (ratios["least_layer"], ratios["rows"]) == (dense, 2)
    assert entry["network_packets"] == 348_330 + 597_638


def test_all_peers_of_the_chosen_shapes_stand_beside_and_of_one_variant_those_like_it(
    fake_bench: Bench,
) -> None:
    assert all(row["system"] in OWN_SYSTEMS for row in fake_bench().as_json()["rows"])
    stem = [one for one in suite_called("peers").members if one.layer == STEM]
    everyone = [peer for peer in peer_rows() if stands_beside(peer, stem)]
    assert everyone == [peer for peer in peer_rows() if peer.workload == STEM]
    beside = [peer.system for peer in peer_rows() if stands_beside(peer, stem[:1])]
    assert beside == ["Halide 21, best tile", "Halide 21, hannk tile rule", "Hexagon NN assembly"]


@pytest.mark.device
def test_a_real_workload_is_measured_as_its_record_says() -> None:
    report = bench_suite(
        replace(TINY, members=TINY.members[:1]),
        target=V68,
        metric="qemu-packets/1",
        records=[str(tuned_store())],
    )
    document = report.as_json()
    best = records(DENSE)[0]
    assert rows_of(document, TUNED)[DENSE]["packets_total"] == best.value
    assert rows_of(document, FIXED)[DENSE]["verified"] is True


def _right(**options: Any) -> FakeDevice:
    from tests.tune.fakes import oracle
    from vrmpy_tune.workload import parse_workload

    known = [parse_workload(text) for text in (DENSE, CONV, UNKNOWN)]
    return FakeDevice(oracle(*known), **{"slots": 2, **options})
