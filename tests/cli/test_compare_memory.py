"""What ``vrmpy-tune compare-memory`` prints."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from search_spaces.memory import Memory
from tests.cli.conftest import Command
from tests.cli.fakes import DENSE
from vrmpy_tune.measurement import HVX_TIME_8GEN1

Replace = Callable[..., None]


class Row:
    """A row as the comparison gives it."""

    def __init__(self, memory: Memory, figure: float | None) -> None:
        self.row: dict[str, Any] = {
            "workload": DENSE, "memory": str(memory), "estimated_us": figure,
            "time_us": {"issue": 1.5, "dma": 0.25, "l1": 0.0} if figure else None,
            "packets_total": 1234, "reason": None if figure else "No room.",
            "what_if_us": {"dma_line_ns": {"1.49": 1.0}} if memory is Memory.DMA else {},
        }  # fmt: skip

    def as_json(self) -> dict[str, Any]:
        return self.row


def rows(*_: object, memories: tuple[Memory, ...], **options: object) -> Iterator[Row]:
    assert options["metric"] == HVX_TIME_8GEN1
    for memory in memories:
        yield Row(memory, None if memory is Memory.PIPELINED else 1.75)


def test_each_plan_is_a_line_with_the_parts_of_its_time(command: Command, replace: Replace) -> None:
    replace("vrmpy_tune.tune.memory_comparison", compare_memory=rows)
    ended = command("compare-memory", DENSE)
    assert ended.code == 0
    assert ended.stdout.splitlines() == [
        DENSE,
        "  cached          1.75 us  issue 1.5  dma 0.2  (1,234 packets)",
        "  copied          1.75 us  issue 1.5  dma 0.2  (1,234 packets)",
        "  dma             1.75 us  issue 1.5  dma 0.2  (1,234 packets)",
        "            with dma_line_ns of 1.49: 1.00 us",
        "  pipelined  No room.",
    ]


def test_the_document_has_a_row_for_each_plan(command: Command, replace: Replace) -> None:
    replace("vrmpy_tune.tune.memory_comparison", compare_memory=rows)
    ended = command("compare-memory", DENSE, "--memory", "dma", "--memory", "cached", "--json")
    assert [row["memory"] for row in ended.document["rows"]] == ["cached", "dma"]


def test_packets_know_no_memory(command: Command) -> None:
    ended = command("compare-memory", DENSE, "--metric", "qemu-packets/1")
    assert ended.code == 2
    assert "does not know memory; compare by one of hvx-time/" in ended.stderr


def test_a_plan_that_is_not_there_is_refused_with_those_that_are(command: Command) -> None:
    for verb in ("compare-memory", "tune"):
        ended = command(verb, DENSE, "--memory", "floppy")
        assert ended.code == 2
        assert "use cached, copied, dma, pipelined." in ended.stderr
