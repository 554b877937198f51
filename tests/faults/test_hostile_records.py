"""FAULTS.md, row 21: a record changed by one value ends no process and stops nothing else."""

from __future__ import annotations

import pytest

from tests.faults.hostile_records import Table, run


def assert_harmless(table: Table) -> None:
    assert (table.ended, table.stopped, table.wrong) == (0, 0, 0), table.as_json()
    assert table.counts["import: refused"] > 0.5 * table.mutants
    assert table.counts["verify: stale"] > 0
    assert any(name.startswith("compile: applied") for name in table.counts)


@pytest.mark.fault
def test_mutants_of_records_end_no_process_and_stop_no_run() -> None:
    assert_harmless(run(100, 7, device=False))


@pytest.mark.fault
@pytest.mark.slow_sweep
def test_two_thousand_mutants_end_no_process_and_stop_no_run() -> None:
    """20 minutes: what replays is built, run and compared, too."""
    assert_harmless(run(2000, 0, device=True))
