"""Plans of memory, tuned and put side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from search_spaces.memory import STAGED, Memory
from vrmpy_tune.measurement import HVX_TIME_8GEN1, HVX_TIME_888
from vrmpy_tune.target import TARGETS
from vrmpy_tune.tune.memory_comparison import NO_ROOM, WHAT_IF, compare_memory
from vrmpy_tune.tune.run import resume_command
from vrmpy_tune.workload import parse_workload

V68: Final = TARGETS["hexagon-v68"]
SMALL: Final = parse_workload("dense:m=16,n=256,k=129,lhs=u8,rhs=u8")


@pytest.mark.device
def test_every_plan_has_a_verified_schedule_and_says_where_its_time_goes(tmp_path: Path) -> None:
    plans = (Memory.CACHED, Memory.PIPELINED)
    found = compare_memory(
        SMALL, target=V68, metric=HVX_TIME_8GEN1, trials=1, seed=0, memories=plans,
        records=str(tmp_path / "memory.db"), what_if=True,
    )  # fmt: skip
    cached, pipelined = (one.as_json() for one in found)
    for row in (cached, pipelined):
        assert row["verified"], row["reason"]
        assert sum(row["time_us"].values()) == pytest.approx(row["estimated_us"], abs=0.01)
    assert (cached["space"], pipelined["space"]) == ("dense.scalar/3", "dense.scalar-pipelined/1")
    assert cached["time_us"]["dma"] == 0 < pipelined["time_us"]["dma"]
    # Of so few rows, weights are used too seldom to be worth moving.
    assert cached["estimated_us"] < pipelined["estimated_us"]
    assert not cached["what_if_us"]
    tried = pipelined["what_if_us"]
    assert set(tried) == set(WHAT_IF)
    assert tried["dma_latency_ns"]["2000"] > tried["dma_latency_ns"]["100"] + 1
    assert tried["dma_latency_ns"]["500"] == pytest.approx(pipelined["estimated_us"], abs=0.01)


def test_a_plan_without_room_in_vtcm_says_so(tmp_path: Path) -> None:
    deep = parse_workload("dense:m=1,n=128,k=70000,lhs=u8,rhs=u8")
    rows = list(
        compare_memory(
            deep, target=V68, metric=HVX_TIME_888, trials=1, seed=0,
            records=str(tmp_path / "none.db"), memories=STAGED,
        )
    )  # fmt: skip
    assert [row.reason for row in rows] == [NO_ROOM] * 3
    assert not any(row.as_json()["verified"] for row in rows)


def test_the_command_that_resumes_a_run_names_its_plans() -> None:
    assert "--memory" not in resume_command(["w"], target=V68, memory=(Memory.CACHED,))
    both = resume_command(["w"], target=V68, memory=(Memory.COPIED, Memory.DMA))
    assert both.endswith("--memory copied --memory dma")
