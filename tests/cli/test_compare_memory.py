"""What ``vrmpy-tune compare-memory`` prints."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from search_spaces.memory import Memory
from tests.cli.conftest import Command
from tests.cli.fakes import DENSE
from vrmpy_tune.measurement import HVX_TIME_8GEN1
from vrmpy_tune.tune.events import Interrupted

Replace = Callable[..., None]


class Row:
    """A row as the comparison gives it."""

    def __init__(self, memory: Memory, figure: float | None) -> None:
        self.row: dict[str, Any] = {
            "workload": DENSE, "memory": str(memory), "estimated_us": figure,
            "time_us": {"issue": 1.5, "dma": 0.25, "l1": 0.0} if figure else None,
            "packets_total": 1234, "measured": 16, "reason": None if figure else "No room.",
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
        "  cached          1.75 us  issue 1.5  dma 0.2  (1,234 packets, 16 candidates)",
        "  copied          1.75 us  issue 1.5  dma 0.2  (1,234 packets, 16 candidates)",
        "  dma             1.75 us  issue 1.5  dma 0.2  (1,234 packets, 16 candidates)",
        "            with dma_line_ns of 1.49: 1.00 us",
        "  pipelined  No room.",
    ]


def test_the_document_has_a_row_for_each_plan(command: Command, replace: Replace) -> None:
    replace("vrmpy_tune.tune.memory_comparison", compare_memory=rows)
    ended = command("compare-memory", DENSE, "--memory", "dma", "--memory", "cached", "--json")
    assert [row["memory"] for row in ended.document["rows"]] == ["cached", "dma"]


def test_what_is_left_is_not_begun_after_an_interrupt(command: Command, replace: Replace) -> None:
    def interrupted(*arguments: object, **options: Any) -> Iterator[Row]:
        yield next(rows(*arguments, **options))
        options["events"](Interrupted("vrmpy-tune tune", 1))

    replace("vrmpy_tune.tune.memory_comparison", compare_memory=interrupted)
    ended = command("compare-memory", DENSE, f"{DENSE},lzp=3", "--json")
    assert ended.code == 130
    assert ended.document["interrupted"] is True
    assert len(ended.document["rows"]) == 1


def test_models_are_refused(command: Command) -> None:
    ended = command("compare-memory", "model.tflite")
    assert ended.code == 2
    assert "takes workloads" in ended.stderr


def test_packets_know_no_memory(command: Command) -> None:
    ended = command("compare-memory", DENSE, "--metric", "qemu-packets/1")
    assert ended.code == 2
    assert "does not know memory; compare by one of hvx-time/" in ended.stderr


def test_a_plan_that_is_not_there_is_refused_with_those_that_are(command: Command) -> None:
    for verb in ("compare-memory", "tune"):
        ended = command(verb, DENSE, "--memory", "floppy")
        assert ended.code == 2
        assert "use cached, copied, dma, pipelined." in ended.stderr
