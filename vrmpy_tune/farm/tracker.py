"""``vrmpy-tune farm tracker``: TVM's tracker, supervised, behind an authenticated port."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import struct
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Final

from vrmpy_tune.errors import FarmError
from vrmpy_tune.farm.frame import RefusedError
from vrmpy_tune.farm.lineage import environment_without_key, kill_group
from vrmpy_tune.farm.port import LOOPBACK, Peer, Port, pipe, tunnel
from vrmpy_tune.farm.tracker_link import TRACKER_MAGIC

if TYPE_CHECKING:
    from collections.abc import Callable

    from vrmpy_tune.farm.secret import FarmKey

_LOG: Final = logging.getLogger(__name__)

START_S: Final = 120.0
"""Seconds that the stock tracker may take to start: it imports TVM."""

ANSWER_S: Final = 5.0
"""Seconds that the stock tracker may take to answer a ping."""

CHECK_S: Final = 2.0
"""Seconds between two pings."""


class Tracker:
    """TVM's tracker on the loopback interface, started again when it ends or does not answer.

    On the port that users name, peers prove that they know the farm key; processes of this host may
    speak TVM's plain protocol there instead.

    Parameters
    ----------
    key:
        The farm key.
    say:
        Told what a user wants to see, one sentence at a time.
    """

    def __init__(self, key: FarmKey, say: Callable[[str], None] = lambda _: None) -> None:
        self._say = say
        self._port = Port(key, self._attend, self._attend_plain)
        self._process: subprocess.Popen[bytes] | None = None
        self._stock_port = 0
        self.restarts = 0
        self.address = ""

    async def start(self, bind: str, port: int) -> None:
        """Start listening, and return when the stock tracker answers.

        Raises
        ------
        FarmError
            If it cannot listen there, or the tracker does not start.
        """
        port = await self._port.listen(bind, port)
        self.address = f"{bind}:{port}"
        await self._start_stock()
        self._supervising = asyncio.create_task(self._supervise())

    async def close(self) -> None:
        """Stop."""
        self._supervising.cancel()
        await asyncio.gather(self._supervising, return_exceptions=True)
        await self._port.close()
        self._kill()

    @property
    def stock_process(self) -> int:
        """Number of the stock tracker's process."""
        return self._process.pid if self._process else 0

    def _kill(self) -> None:
        if self._process is not None:
            kill_group(self._process.pid)
            self._process.wait()

    async def _start_stock(self) -> None:
        with socket.socket() as probe:
            probe.bind((LOOPBACK, 0))
            self._stock_port = int(probe.getsockname()[1])
        self._process = subprocess.Popen(
            [sys.executable, "-B", "-m", "vrmpy_tune.farm.stock", str(self._stock_port)],
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr,
            env=environment_without_key(),
            start_new_session=True,
        )
        deadline = time.monotonic() + START_S
        while not await self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise FarmError("TVM's tracker does not start. Run: vrmpy-tune doctor")
            await asyncio.sleep(0.05)

    async def _supervise(self) -> None:
        while True:
            await asyncio.sleep(CHECK_S)
            if self._process is not None and self._process.poll() is None and await self._answers():
                continue
            self._say("TVM's tracker has ended or does not answer; starting another.")
            self._kill()
            self.restarts += 1
            with contextlib.suppress(FarmError):
                await self._start_stock()

    async def _answers(self) -> bool:
        """Whether the stock tracker answers a ping."""
        writer: asyncio.StreamWriter | None = None
        try:
            async with asyncio.timeout(ANSWER_S):
                reader, writer = await asyncio.open_connection(LOOPBACK, self._stock_port)
                writer.write(TRACKER_MAGIC)
                await reader.readexactly(len(TRACKER_MAGIC))
                ping = b"[1]"
                writer.write(struct.pack("<i", len(ping)) + ping)
                await reader.readexactly(4)
                return True
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            return False
        finally:
            if writer is not None:
                writer.close()

    async def _attend(self, peer: Peer) -> None:
        question = await peer.receive_json()
        if question.get("do") != "tracker":
            raise RefusedError("It asks for what a tracker does not do.")
        try:
            reader, writer = await asyncio.open_connection(LOOPBACK, self._stock_port)
        except OSError as error:
            raise FarmError("TVM's tracker is being started again.") from error
        await peer.send_json({"go": True})
        await tunnel(peer, reader, writer, tell=dict)

    async def _attend_plain(
        self, first: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Let stock TVM programs of this host use the tracker as they would any other."""
        if first != TRACKER_MAGIC:
            raise RefusedError("It speaks neither the farm's protocol nor TVM's.")
        stock = await asyncio.open_connection(LOOPBACK, self._stock_port)
        stock[1].write(first)
        await pipe((reader, writer), stock)
