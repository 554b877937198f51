"""Where time and packets choose different schedules."""

from __future__ import annotations

import pytest

from tests.records.samples import CONV, record
from vrmpy_tune.measurement import HVX_TIME_8GEN1, HVX_TIME_888, QEMU_CRITICAL
from vrmpy_tune.records.disagreement import disagreements


def test_a_search_in_which_both_agree_is_left_out() -> None:
    agreeing = [record(n, metric=HVX_TIME_8GEN1, total=n, critical=n) for n in (10, 20, 30)]
    assert disagreements(agreeing) == []


def test_what_packets_would_have_chosen_stands_beside_the_best() -> None:
    records = [
        record(1, metric=HVX_TIME_8GEN1, total=100, critical=50),
        record(2, metric=HVX_TIME_8GEN1, total=150, critical=40),
        record(3, metric=HVX_TIME_8GEN1, total=120, critical=45),
    ]
    (found,) = disagreements(records)
    assert (found.by_time.value, found.by_packets.value, found.candidates) == (100, 150, 3)
    assert found.loss == pytest.approx(0.5)
    assert found.as_json()["by_packets"]["packets_critical"] == 40


def test_searches_of_other_metrics_and_workloads_are_kept_apart() -> None:
    records = [
        record(1, metric=HVX_TIME_8GEN1, total=100, critical=50),
        record(2, metric=HVX_TIME_888, total=150, critical=40),
        record(3, CONV, metric=HVX_TIME_8GEN1, total=150, critical=40),
        record(4, metric=QEMU_CRITICAL, total=150, critical=10),
    ]
    assert disagreements(records) == []


def test_of_equal_packets_the_quicker_counts() -> None:
    records = [record(n, metric=HVX_TIME_8GEN1, total=n, critical=5) for n in (10, 20)]
    assert disagreements(records) == []
