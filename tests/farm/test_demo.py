"""What ``make farm-demo`` shows, with fewer trials."""

from __future__ import annotations

import pytest

from vrmpy_tune.farm.demo import demonstrate


@pytest.mark.device
@pytest.mark.slow
@pytest.mark.fault
def test_two_jobs_on_a_farm_that_loses_a_slot_find_what_one_device_finds() -> None:
    said: list[str] = []
    assert demonstrate(6, said.append), "\n".join(said)
    assert any(text.startswith("Half-way: killed slot") for text in said)
    assert sum("6 records, equal" in text for text in said) == 2
