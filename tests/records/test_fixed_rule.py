"""A record beside what its workload is compiled with untuned."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.records.samples import record
from vrmpy_tune.measurement import QEMU_CRITICAL, QEMU_PACKETS
from vrmpy_tune.records.fixed_rule import is_unknown, worse_than_fixed_rule
from vrmpy_tune.records.record import FixedRule


@pytest.mark.parametrize("metric", [QEMU_PACKETS, QEMU_CRITICAL])
def test_the_critical_path_decides_whatever_the_metric(metric: str) -> None:
    one = record(metric=metric, total=1000, critical=780)
    worse = worse_than_fixed_rule(replace(one, fixed_rule=FixedRule(1100, 200)))
    assert worse == "its critical path, 780 packets, is 3.90 times the fixed rule's, 200"
    assert worse_than_fixed_rule(replace(one, fixed_rule=FixedRule(900, 780))) is None


def test_what_nobody_measured_is_unknown_and_nothing_worse() -> None:
    one = record(fixed_rule=None)
    assert worse_than_fixed_rule(one) is None
    assert is_unknown(one)
    assert not is_unknown(replace(one, fixed_rule=FixedRule(1, 1)))
