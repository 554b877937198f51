"""Traces written by hand, in the format of ``trace_format.h``, and their estimates.

The profile has a clock of 1 GHz, so that nanoseconds are cycles, and a packet takes 2 of them.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vrmpy_tune.device.timing.estimate import TraceSimulator
from vrmpy_tune.device.timing.profile import load_profile

if TYPE_CHECKING:
    from pathlib import Path

    from vrmpy_tune.device.timing.estimate import TimeEstimate

_MAGIC = 0x3130454341525456
_BLOCK, _LOAD, _STORE, _MARK, _DEFINE, _END = 1, 2, 3, 4, 5, 6
TASK_BEGIN, TASK_END, VTCM_BEGIN, VTCM_END, PROGRESS = 2, 3, 4, 5, 6
DMA_TO, DMA_FROM, DMA_START, DMA_WAIT = 7, 8, 9, 10


@dataclass
class TraceWriter:
    """Collects the words of a trace."""

    words: list[int] = field(default_factory=lambda: [_MAGIC])
    blocks: int = 0

    def define(self, *packets: str) -> int:
        """Define a block of packets, each given as QEMU prints it without columns."""
        number, self.blocks = self.blocks, self.blocks + 1
        self.words.append(_DEFINE << 60 | len(packets) << 32 | number)
        for index, packet in enumerate(packets):
            text = f"0x00000000\t{{\t{packet} }}".encode()
            self.words.append(len(text) << 32 | 0x1000 + 4 * index)
            padded = text + bytes(-len(text) % 8)
            self.words += struct.unpack(f"<{len(padded) // 8}Q", padded)
        return number

    def run(self, block: int, *accesses: tuple[str, int, int, int]) -> None:
        """Execute a block with accesses (``"load"`` or ``"store"``, packet, address, bytes)."""
        self.words.append(_BLOCK << 60 | block)
        for kind, packet, address, size in accesses:
            code = _LOAD if kind == "load" else _STORE
            self.words.append(code << 60 | size << 44 | packet << 32 | address)

    def mark(self, what: int, argument: int = 0) -> None:
        """Add what the runtime announced."""
        self.words.append(_MARK << 60 | what << 32 | argument)

    def transfer(self, source: int, target: int, size: int) -> None:
        """Start a transfer of the DMA."""
        self.mark(DMA_TO, target)
        self.mark(DMA_FROM, source)
        self.mark(DMA_START, size)

    def wait(self, transfers: int) -> None:
        """Wait for the first so many transfers of the call."""
        self.mark(DMA_WAIT, transfers)

    def write(self, path: Path, *, ended: bool = True) -> Path:
        """Write the trace to a file."""
        words = [*self.words, _END << 60] if ended else self.words
        path.write_bytes(struct.pack(f"<{len(words)}Q", *words))
        return path


PROFILE = load_profile("sd8gen1").with_values(
    {
        "clock_mhz": 1000.0,
        "l2_port_cycles": 1,
        "system_cache_ns": 10,
        "system_cache_shared_ns": 4,
        "dram_ns": 20,
        "dram_shared_ns": 8,
        "dma_latency_ns": 50,
        "dma_line_ns": 3,
        "fork_join_ns": 100,
        "call_ns": 0,
    }
)


def estimated(trace: TraceWriter, directory: Path, **values: float) -> TimeEstimate:
    """Return the estimate of a trace by the profile with some values of its own."""
    path = trace.write(directory / "a.trace")
    with TraceSimulator([path]) as simulator:
        return simulator.estimate(PROFILE.with_values(values))[0]
