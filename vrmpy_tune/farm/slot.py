"""One slot of a serving host: its state, and what it has done."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

RATE_WINDOW_S: Final = 60.0
"""Seconds over which throughput is averaged."""

QUARANTINE_AFTER: Final = 3
"""Complaints after which a slot is taken out of service."""

FORGIVE_EVERY: Final = 100
"""Measurements after which one complaint is forgotten."""

QUARANTINE_S: Final = 600.0
"""Seconds until a quarantined slot is tried again."""


class Health(StrEnum):
    """What a slot can do at the moment."""

    STARTING = "starting"
    FREE = "free"
    LEASED = "leased"
    MEASURING = "measuring"
    QUARANTINED = "quarantined"
    DOWN = "down"


@dataclass
class Slot:
    """What the agent knows about a slot.

    Attributes
    ----------
    number:
        Its number on this host.
    port:
        The stock RPC server's.
    server, worker:
        Numbers of the processes, 0 while there is none.
    jobs:
        The worker's connection, once its device is open.
    lease, holder, lease_ends:
        Who has it, and until when; empty when nobody does.
    measured, busy_s, restarts:
        Measurements, seconds spent on them, and processes that had to be started again.
    complaints:
        What clients complained of since the last time it was well.
    last_fault:
        The last thing that went wrong, and when.
    """

    number: int
    port: int = 0
    server: int = 0
    worker: int = 0
    jobs: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
    lease: str = ""
    holder: str = ""
    lease_ends: float = 0.0
    measuring_since: float = 0.0
    measured: int = 0
    busy_s: float = 0.0
    restarts: int = 0
    failures: int = 0
    complaints: list[str] = field(default_factory=list)
    quarantined_until: float = 0.0
    unregistered_since: float = 0.0
    last_fault: str = ""
    last_fault_at: float = 0.0
    recent: deque[float] = field(default_factory=deque)
    opened: bool = False
    """Whether the present worker got its device open."""
    killed: str = ""
    """Why the agent killed the worker; empty if it ended by itself."""
    busy: asyncio.Lock = field(default_factory=asyncio.Lock)
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while there is a worker with the device open."""

    @property
    def health(self) -> Health:
        """What it can do at the moment."""
        if self.quarantined_until:
            return Health.QUARANTINED
        if self.jobs is None or not self.server:
            return Health.DOWN if self.failures else Health.STARTING
        if self.measuring_since:
            return Health.MEASURING
        return Health.LEASED if self.lease else Health.FREE

    def set_jobs(self, jobs: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None) -> None:
        """Take the connection of a worker whose device is open, or None when that is gone."""
        if self.jobs is not None and jobs is None:
            self.jobs[1].close()
        self.jobs = jobs
        if jobs is None:
            self.ready.clear()
        else:
            self.ready.set()

    def note_fault(self, text: str) -> None:
        """Remember what went wrong."""
        self.last_fault, self.last_fault_at = text, time.time()

    def note_measurement(self, seconds: float) -> None:
        """Count a measurement that ended now."""
        self.measured += 1
        self.busy_s += seconds
        self.recent.append(time.monotonic())
        if self.measured % FORGIVE_EVERY == 0:
            self.complaints = self.complaints[1:]

    def as_json(self) -> dict[str, Any]:
        """Return the slot's entry in ``farm status --json``."""
        now = time.monotonic()
        while self.recent and self.recent[0] < now - RATE_WINDOW_S:
            self.recent.popleft()
        running = now - self.measuring_since if self.measuring_since else 0.0
        return {
            "slot": self.number,
            "port": self.port,
            "health": str(self.health),
            "holder": self.holder,
            "measured": self.measured,
            "busy_s": round(self.busy_s + running, 3),
            "per_minute": round(len(self.recent) * 60 / RATE_WINDOW_S, 1),
            "restarts": self.restarts,
            "complaints": len(self.complaints),
            "last_fault": self.last_fault,
            "last_fault_at": self.last_fault_at,
            "processes": {"server": self.server, "worker": self.worker},
        }
