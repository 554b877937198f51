"""The agent's side of :mod:`vrmpy_tune.farm.zygote`: starts processes and hears of their ends."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final

from vrmpy_tune.errors import FarmError
from vrmpy_tune.farm.lineage import environment_without_key, kill_group

if TYPE_CHECKING:
    from collections.abc import Callable

START_S: Final = 120.0
"""Seconds that importing TVM may take on a loaded machine."""


class Nursery:
    """Starts processes in groups of their own.

    Parameters
    ----------
    on_end:
        Told the number and the exit status of each process that ended.
    """

    def __init__(self, on_end: Callable[[int, int], None]) -> None:
        self._on_end = on_end
        self._starts: dict[int, asyncio.Future[int]] = {}
        self._count = 0
        self._children: set[int] = set()
        self._process: subprocess.Popen[bytes] | None = None
        self._listening: asyncio.Task[None] | None = None
        self._gone = asyncio.Event()
        self._gone.set()

    async def open(self) -> None:
        """Start the process that forks the others.

        Raises
        ------
        FarmError
            If it does not start.
        """
        ours, theirs = socket.socketpair()
        environment = {**environment_without_key(), "OPENBLAS_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-B", "-m", "vrmpy_tune.farm.zygote", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
            env=environment,
            start_new_session=True,
        )
        theirs.close()
        self._reader, self._writer = await asyncio.open_connection(sock=ours)
        try:
            async with asyncio.timeout(START_S):
                await self._reader.readuntil(b"\n")
        except (TimeoutError, asyncio.IncompleteReadError) as error:
            raise FarmError(
                "The process that starts the slots does not start. Run: vrmpy-tune doctor"
            ) from error
        self._gone.clear()
        self._listening = asyncio.create_task(self._listen())

    @property
    def gone(self) -> asyncio.Event:
        """Set unless there is a forking process; when that ends, all others end with it."""
        return self._gone

    async def start(self, request: dict[str, Any]) -> int:
        """Start a process and return its number.

        Raises
        ------
        FarmError
            If the forking process is gone.
        """
        if self._gone.is_set():
            raise FarmError("The process that starts the slots has ended.")
        self._count += 1
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._starts[self._count] = future
        self._writer.write(json.dumps({**request, "id": self._count}).encode() + b"\n")
        await self._writer.drain()
        return await future

    async def close(self) -> None:
        """Kill every process."""
        if self._process is None:
            return
        if self._listening is not None:
            self._listening.cancel()
        for pid in self._children:
            kill_group(pid)
        self._writer.close()
        kill_group(self._process.pid)
        await asyncio.to_thread(self._process.wait)

    async def _listen(self) -> None:
        try:
            while line := await self._reader.readline():
                told = json.loads(line)
                if "ended" in told:
                    self._children.discard(told["ended"])
                    # What it started belongs to its group, and may have outlived it.
                    kill_group(told["ended"])
                    self._on_end(told["ended"], told["status"])
                else:
                    self._children.add(told["pid"])
                    self._starts.pop(told["id"]).set_result(told["pid"])
        finally:
            self._gone.set()
            for future in self._starts.values():
                if not future.done():
                    future.set_exception(FarmError("The process that starts the slots has ended."))
