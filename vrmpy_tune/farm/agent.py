"""The agent: beside TVM's RPC servers, what they lack.

It supervises the servers and the processes that have the device open, takes artifacts, leases slots
against signs of life, ends what outlives its deadline, and says how all of it is.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import secrets
import shutil
import signal
import socket
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from vrmpy_tune.device.protocol import RunResult
from vrmpy_tune.errors import FarmError
from vrmpy_tune.farm import codec, local
from vrmpy_tune.farm.blobs import BlobStore
from vrmpy_tune.farm.frame import Kind, RefusedError, from_json
from vrmpy_tune.farm.lineage import kill_group
from vrmpy_tune.farm.nursery import Nursery
from vrmpy_tune.farm.port import LOOPBACK, Peer, Port, tunnel
from vrmpy_tune.farm.relay import TrackerRelay
from vrmpy_tune.farm.slot import QUARANTINE_AFTER, QUARANTINE_S, Health, Slot
from vrmpy_tune.measurement import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from vrmpy_tune.farm.secret import FarmKey

_LOG: Final = logging.getLogger(__name__)

GRACE_S: Final = 2.0
"""Seconds beyond a measurement's own limit after which its process group is killed."""

OPEN_S: Final = 60.0
"""Seconds that a device that was lost may take to be open again, on a loaded machine."""

LEASE_S: Final = 300.0
"""Seconds after which a client is told to give its slot back."""

LEASE_GRACE_S: Final = 30.0
"""Seconds after that in which it may still begin a measurement."""

FIRST_BACKOFF_S: Final = 0.1
LAST_BACKOFF_S: Final = 30.0
"""Pauses before a process that ends again and again is started again."""

FORK_RETRY_S: Final = 0.5
"""Pause while there is no process that could fork another."""

GIVE_UP_AFTER: Final = 3
"""Failures to open the device after which its slot is not offered until it succeeds."""

UNREGISTERED_S: Final = 15.0
"""Seconds that a free server may be unknown to the tracker before it is started again."""


@dataclass(frozen=True)
class Serving:
    """What a host serves.

    Attributes
    ----------
    tracker:
        Address of ``vrmpy-tune farm tracker``.
    key:
        Name under which the slots are registered, for example ``"hexagon-v68"``.
    device:
        What each slot runs on, as after ``--device``.
    slots:
        How many.
    bind, port:
        Where the agent listens; port 0 takes a free one.
    advertise:
        Address under which clients reach the agent; where it listens, if empty.
    """

    tracker: str
    key: str
    device: str
    slots: int
    bind: str = LOOPBACK
    port: int = 0
    advertise: str = ""


class Agent:
    """Serves slots until it is stopped.

    Parameters
    ----------
    serving:
        What to serve.
    key:
        The farm key.
    say:
        Told what a user wants to see, one sentence at a time.
    """

    def __init__(
        self, serving: Serving, key: FarmKey, say: Callable[[str], None] = lambda _: None
    ) -> None:
        self._serving, self._key, self._say = serving, key, say
        self.slots = [Slot(number) for number in range(serving.slots)]
        self._ended: dict[int, int] = {}
        self._info: dict[str, Any] | None = None
        self._opened = asyncio.Event()
        self._failed = ""
        self._started_at = time.time()
        self._tasks: set[asyncio.Task[None]] = set()
        self.address = ""

    async def start(self) -> None:
        """Start everything; return when the first slot has its device open.

        Raises
        ------
        FarmError
            If the device cannot be opened, or an address cannot be listened on.
        """
        self._directory = Path(tempfile.mkdtemp(prefix="vrmpy-farm-"))
        self._socket = self._directory / "agent.sock"
        (self._directory / "blobs").mkdir()
        self._blobs = BlobStore(self._directory / "blobs", self._key)
        self._nursery = Nursery(self._on_end)
        self._relay = TrackerRelay(self._serving.tracker, self._key)
        self._port = Port(self._key, self._attend)
        self._local = await asyncio.start_unix_server(
            self._attend_local, str(self._socket), limit=1 << 20, backlog=512
        )
        await self._nursery.open()
        port = await self._port.listen(self._serving.bind, self._serving.port)
        self.address = self._serving.advertise or f"{self._serving.bind}:{port}"
        await self._relay.start(self.address, self._serving.key)
        first, *others = self.slots
        self._spawn(self._keep_worker(first))
        await self._opened.wait()
        if self._failed:
            raise FarmError(f"The device '{self._serving.device}' cannot be used: {self._failed}")
        for slot in others:
            self._spawn(self._keep_worker(slot))
        for slot in self.slots:
            self._spawn(self._keep_server(slot))
        self._spawn(self._watch_registrations())
        self._spawn(self._watch_nursery())

    async def close(self) -> None:
        """Stop serving and leave nothing behind."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._port.close()
        await self._relay.close()
        self._local.close()
        await self._nursery.close()
        await asyncio.to_thread(shutil.rmtree, self._directory, ignore_errors=True)

    async def registered(self, timeout_s: float) -> bool:
        """Wait until the tracker knows every slot; return whether it does."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            known = self._known_ports()
            if all(slot.port in known for slot in self.slots):
                return True
            await asyncio.sleep(0.1)
        return False

    def _known_ports(self) -> set[int]:
        """Return the ports of this host's servers that the tracker knows."""
        summary = self._relay.summary
        servers = summary.servers if summary else ()
        return {port for _, agent, port in servers if agent == self.address}

    def status(self) -> dict[str, Any]:
        """Return this host's part of ``farm status --json``."""
        summary = self._relay.summary
        key = self._serving.key
        return {
            "agent": self.address,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "key": key,
            "device": self._serving.device,
            "tracker": self._serving.tracker,
            "tracker_reachable": summary is not None,
            "up_s": round(time.time() - self._started_at, 1),
            "pending": summary.pending.get(key, 0) if summary else None,
            "refused": self._port.refused,
            "capabilities": self._info,
            "slots": [slot.as_json() for slot in self.slots],
        }

    # --- what peers ask -------------------------------------------------------------------------

    async def _attend(self, peer: Peer) -> None:
        while True:
            question = await peer.receive_json()
            match question.get("do"):
                case "status":
                    await peer.send_json(self.status())
                case "put":
                    await self._take_blob(peer, question)
                case "complain":
                    self._complain(question)
                    await peer.send_json({"noted": True})
                case "lease":
                    await self._lease(peer, question)
                    return
                case other:
                    raise RefusedError(f"It asks for '{str(other)[:40]}', which is nothing we do.")

    async def _take_blob(self, peer: Peer, question: dict[str, Any]) -> None:
        digest, size = question.get("digest"), question.get("bytes")
        if not isinstance(size, int):
            raise RefusedError("Its upload states no size.")
        self._blobs.check_offer(str(digest), size, str(question.get("tag")))
        content = bytearray()
        await peer.send_json({"go": True})
        while len(content) < size:
            kind, part = await peer.receive()
            if kind is not Kind.DATA or len(content) + len(part) > size:
                raise RefusedError("Its upload is not what it announced.")
            content += part
        self._blobs.add(str(digest), bytes(content))
        await peer.send_json({"stored": True})

    def _complain(self, question: dict[str, Any]) -> None:
        slot = self._slot_at(question.get("port"))
        reason = str(question.get("reason"))[:300]
        slot.complaints.append(reason)
        slot.note_fault(f"A client complains: {reason}")
        _LOG.warning("slot %d: a client complains: %s", slot.number, reason)
        if len(slot.complaints) >= QUARANTINE_AFTER and not slot.quarantined_until:
            slot.quarantined_until = time.monotonic() + QUARANTINE_S
            self._say(
                f"Slot {slot.number} is out of service for {QUARANTINE_S:.0f} s after "
                f"{len(slot.complaints)} complaints, the last of which is: {reason}"
            )
            # Both end, and are started again when the time is over.
            kill_group(slot.server)
            self._kill_worker(slot, "it is out of service")

    def _slot_at(self, port: object) -> Slot:
        for slot in self.slots:
            if slot.port == port:
                return slot
        raise FarmError(f"No slot of {self.address} has the port {port}.")

    async def _lease(self, peer: Peer, question: dict[str, Any]) -> None:
        slot = self._slot_at(question.get("port"))
        if slot.lease or slot.health not in (Health.FREE, Health.STARTING):
            raise FarmError(f"Slot {slot.number} of {self.address} is {slot.health}.")
        slot.lease, slot.holder = secrets.token_hex(16), str(question.get("holder"))[:200]
        try:
            reader, writer = await asyncio.open_connection(LOOPBACK, slot.port)
        except OSError as error:
            slot.lease = slot.holder = ""
            raise FarmError(f"The RPC server of slot {slot.number} is gone.") from error
        answer = {"lease": slot.lease, "slot": slot.number, "capabilities": self._info}
        lease = slot.lease
        slot.lease_ends = time.monotonic() + LEASE_S

        def tell() -> dict[str, Any]:
            return {**self._queue(), "over": time.monotonic() > slot.lease_ends}

        try:
            await peer.send_json(answer)
            if await tunnel(peer, reader, writer, tell=tell):
                slot.note_fault(f"{slot.holder} gave no sign of life, and lost its lease.")
                _LOG.warning("slot %d: %s", slot.number, slot.last_fault)
        finally:
            writer.close()
            if slot.measuring_since and slot.lease == lease:
                self._kill_worker(slot, "its client is gone")
            slot.lease = slot.holder = ""

    def _queue(self) -> dict[str, Any]:
        """Return who waits for such slots, with their priorities, and the number of others."""
        summary, key = self._relay.summary, self._serving.key
        if summary is None:
            return {"waiting": [], "others": 0}
        waiting = [(priority, who) for wanted, priority, who in summary.waiting if wanted == key]
        return {
            "waiting": waiting,
            "others": max(0, summary.pending.get(key, 0) - len(waiting)),
        }

    # --- what the processes of this host say ----------------------------------------------------

    async def _attend_local(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            said = from_json(await local.receive_async(reader))
            slot = self.slots[int(said["slot"])]
            if said["role"] == "worker":
                await self._introduce(slot, reader, writer)
                return  # the connection is kept, and used by _run
            while True:
                request = await local.receive_async(reader)
                await local.send_async(writer, await self._measure(slot, request))
        except (asyncio.IncompleteReadError, OSError, FarmError, asyncio.CancelledError):
            pass
        writer.close()

    async def _introduce(
        self, slot: Slot, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while True:
            said = from_json(await local.receive_async(reader))
            if "progress" in said:
                self._say(str(said["progress"]))
            elif "failed" in said:
                slot.note_fault(str(said["failed"]))
                if self._info is None:
                    self._failed = str(said["failed"])
                    self._opened.set()
                return
            else:
                self._info = said["info"]
                slot.set_jobs((reader, writer))
                slot.opened, slot.failures = True, 0
                self._opened.set()
                return

    async def _measure(self, slot: Slot, signed: bytes) -> bytes:
        """Check a request, run it, and return the signed answer."""
        tag, body = signed[:32], signed[32:]
        if not self._key.accepts(tag, "measure", body):
            slot.note_fault("A request was not signed with this farm's key.")
            _LOG.warning("slot %d: refused an unsigned request", slot.number)
            answer = b"X" + b"The request is not signed with this farm's key."
        else:
            try:
                answer = await self._answer(slot, from_json(body))
            except FarmError as error:
                answer = b"X" + str(error).encode()
            except (KeyError, TypeError) as error:
                answer = b"X" + f"The request is malformed: {error!r}.".encode()
        return self._key.tag("measured", tag, answer) + answer

    async def _answer(self, slot: Slot, request: dict[str, Any]) -> bytes:
        """Return ``R`` and a result, ``M`` and what is missing, or how it was lost.

        ``D`` is for a device whose process died of itself, ``L`` for what cannot be the candidate's
        doing.
        """
        over = time.monotonic() > slot.lease_ends + LEASE_GRACE_S
        if not slot.lease or request.get("lease") != slot.lease or over:
            raise FarmError("The lease is over.")
        digests = str(request["object"]), str(request["sets"])
        paths = [self._blobs.find(digest) for digest in digests]
        missing = [digest for digest, path in zip(digests, paths, strict=True) if path is None]
        if missing:
            return b"M" + json.dumps(missing).encode()
        runnable = (self._info or {}).get("targets", ())
        if request["target"] not in runnable:
            raise FarmError(f"Slot {slot.number} runs {', '.join(runnable)} only.")
        _, limits = codec.job_from_json(request["job"], Path())
        order = {
            "job": request["job"],
            "target": request["target"],
            "object": str(paths[0]),
            "sets": str(paths[1]),
        }
        async with slot.busy:
            started = slot.measuring_since = time.monotonic()
            try:
                return await self._run(slot, json.dumps(order).encode(), limits.wall_s)
            finally:
                slot.measuring_since = 0.0
                slot.note_measurement(time.monotonic() - started)

    async def _run(self, slot: Slot, order: bytes, wall_s: float) -> bytes:
        try:
            async with asyncio.timeout(OPEN_S):
                await slot.ready.wait()
        except TimeoutError:
            return b"L" + f"Slot {slot.number} does not get its device open.".encode()
        assert slot.jobs is not None
        reader, writer = slot.jobs
        try:
            async with asyncio.timeout(wall_s + GRACE_S):
                await local.send_async(writer, order)
                reply = await local.receive_async(reader)
        except TimeoutError:
            self._kill_worker(slot, "its measurement outlived its deadline")
            message = f"The kernel was still running after {wall_s:g} s of wall-clock time."
            slot.note_fault(message)
            return b"R" + codec.encode_result(RunResult(Outcome.TIMEOUT, message, retryable=True))
        except (asyncio.IncompleteReadError, OSError):
            slot.set_jobs(None)
            reason = slot.killed or "its process ended"
            slot.note_fault(f"The device was lost during a measurement: {reason}.")
            return (b"L" if slot.killed else b"D") + slot.last_fault.encode()
        if reply[:1] == b"F":
            text = reply[1:].decode(errors="replace")
            slot.note_fault(text)
            self._kill_worker(slot, text)
            return b"L" + reply[1:]
        return reply

    # --- supervision ----------------------------------------------------------------------------

    def _spawn(self, coroutine: Any) -> None:
        task = asyncio.create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _on_end(self, pid: int, status: int) -> None:
        self._ended[pid] = status
        for slot in self.slots:
            if pid == slot.worker and slot.jobs is not None:
                slot.set_jobs(None)

    def _kill_worker(self, slot: Slot, why: str) -> None:
        slot.killed = why
        slot.set_jobs(None)
        kill_group(slot.worker)

    async def _keep_worker(self, slot: Slot) -> None:
        """Have a process with the device open, whatever happens to it."""
        request = {
            "kind": "worker",
            "slot": slot.number,
            "socket": str(self._socket),
            "device": self._serving.device,
        }
        while True:
            slot.killed = ""
            slot.worker = await self._start_process(request)
            status = await self._wait_for(slot.worker)
            was_open, slot.opened, slot.worker = slot.opened, False, 0
            slot.set_jobs(None)
            slot.restarts += 1
            if was_open:
                slot.note_fault(f"The process with the device ended ({_how(status)}).")
            if not slot.killed and not was_open:
                slot.failures += 1
            if slot.failures >= GIVE_UP_AFTER:
                # Nobody is to be offered a slot without a device.
                kill_group(slot.server)
            await self._pause(slot)

    async def _keep_server(self, slot: Slot) -> None:
        """Have a stock RPC server, whatever happens to it."""
        while True:
            await slot.ready.wait()
            slot.port = _free_port()
            request = {
                "kind": "server",
                "slot": slot.number,
                "socket": str(self._socket),
                "port": slot.port,
                "key": self._serving.key,
                "tracker_port": self._relay.port,
                "advertised": self.address,
            }
            began = time.monotonic()
            slot.server = await self._start_process(request)
            status = await self._wait_for(slot.server)
            slot.server = 0
            slot.restarts += 1
            _LOG.info("slot %d: its RPC server ended (%s)", slot.number, _how(status))
            # A session that is cut ends its server: only one that ends at once is a fault.
            slot.failures = slot.failures + 1 if time.monotonic() - began < 1 else 0
            await self._pause(slot)

    async def _pause(self, slot: Slot) -> None:
        backoff = min(LAST_BACKOFF_S, FIRST_BACKOFF_S * 2 ** max(0, slot.failures - 1))
        await asyncio.sleep(backoff if slot.failures else 0.0)
        if slot.quarantined_until:
            await asyncio.sleep(max(0.0, slot.quarantined_until - time.monotonic()))
            # One more complaint takes it out of service again.
            slot.quarantined_until = 0.0
            slot.complaints = slot.complaints[: QUARANTINE_AFTER - 1]

    async def _wait_for(self, pid: int) -> int:
        while pid not in self._ended:
            await asyncio.sleep(0.02)
        return self._ended.pop(pid)

    async def _watch_registrations(self) -> None:
        """Start servers again that the tracker does not know although they are free."""
        while True:
            await asyncio.sleep(1.0)
            known, reachable = self._known_ports(), self._relay.summary is not None
            for slot in self.slots:
                idle = slot.server and not slot.lease and reachable
                if not idle or slot.port in known:
                    slot.unregistered_since = 0.0
                elif not slot.unregistered_since:
                    slot.unregistered_since = time.monotonic()
                elif time.monotonic() - slot.unregistered_since > UNREGISTERED_S:
                    slot.note_fault("The tracker did not know the slot's RPC server.")
                    slot.unregistered_since = 0.0
                    kill_group(slot.server)

    async def _start_process(self, request: dict[str, Any]) -> int:
        """Start a process, again and again if need be."""
        while True:
            try:
                return await self._nursery.start(request)
            except FarmError:
                await asyncio.sleep(FORK_RETRY_S)

    async def _watch_nursery(self) -> None:
        """Have a process that forks the others, whatever happens to it."""
        while True:
            await self._nursery.gone.wait()
            self._say("The process that starts the slots has ended; starting another.")
            for slot in self.slots:
                # The kernel has killed them with it.
                slot.killed = "the process that starts the slots has ended"
                for pid in (slot.server, slot.worker):
                    if pid:
                        kill_group(pid)
                        self._on_end(pid, -signal.SIGKILL)
            await self._nursery.close()
            self._nursery = Nursery(self._on_end)
            try:
                await self._nursery.open()
            except FarmError as error:
                self._say(str(error))
                await asyncio.sleep(LAST_BACKOFF_S)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def _how(status: int) -> str:
    return f"signal {-status}" if status < 0 else f"status {status}"
