"""The farm as a device: every job runs on some slot of it."""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlsplit

import numpy as np

from vrmpy_tune.closing import ClosedOnExit
from vrmpy_tune.device.protocol import DeviceInfo, RunResult
from vrmpy_tune.errors import DeviceError, FarmError, UsageError
from vrmpy_tune.farm import codec
from vrmpy_tune.farm.agent_link import AgentLink
from vrmpy_tune.farm.blobs import digest_of
from vrmpy_tune.farm.channel import CONNECT_S, parse_address
from vrmpy_tune.farm.lease import LeaseOverError, MissingBlobsError, SlotDiedError, SlotLostError
from vrmpy_tune.farm.pool import LeasePool
from vrmpy_tune.farm.secret import load_key
from vrmpy_tune.farm.tracker_link import TrackerLink
from vrmpy_tune.measurement import Outcome
from vrmpy_tune.target import TARGETS

if TYPE_CHECKING:
    from vrmpy_tune.device.protocol import Job, Limits
    from vrmpy_tune.farm.lease import Lease
    from vrmpy_tune.farm.secret import FarmKey
    from vrmpy_tune.farm.tracker_link import Summary
    from vrmpy_tune.target import HexagonTarget

_LOG: Final = logging.getLogger(__name__)

_MOST: Final = 2**31 - 1
"""Largest number in a farm's address: some 68 years of seconds."""

DEFAULT_WAIT_S: Final = 600.0
"""Seconds without any device after which a run ends."""

POISON_AFTER: Final = 2
"""Devices that a candidate may end before no other gets to see it."""

MOST_ATTEMPTS: Final = 8
"""Times that a job is lost to the network or to devices before it is given up for now."""


REGISTER_S: Final = 3.0
"""Seconds to wait at a tracker that knows no key at all."""


@dataclass(frozen=True)
class FarmAddress:
    """What ``rpc://HOST:PORT/KEY?slots=N&priority=P&wait=S`` says.

    Attributes
    ----------
    tracker, key:
        Address of the tracker, and key of the devices.
    slots:
        Jobs at once; as many as there are devices, if None.
    priority:
        Higher ones are served first; 1 by default.
    wait_s:
        Seconds without any device after which a run ends.
    """

    tracker: str
    key: str
    slots: int | None = None
    priority: int = 1
    wait_s: float = DEFAULT_WAIT_S

    @staticmethod
    def parse(text: str) -> FarmAddress:
        """Read an address.

        Raises
        ------
        UsageError
            If the text is none.
        """
        try:
            parts = urlsplit(text)
            options = dict(parse_qsl(parts.query, strict_parsing=True)) if parts.query else {}
            parse_address(parts.netloc)
            slots = options.pop("slots", None)
            address = FarmAddress(
                parts.netloc,
                parts.path.strip("/"),
                None if slots is None else int(slots),
                int(options.pop("priority", 1)),
                float(options.pop("wait", DEFAULT_WAIT_S)),
            )
            good = (
                address.key
                and not options
                and (address.slots is None or 0 < address.slots <= _MOST)
                and abs(address.priority) <= _MOST
                and 0 <= address.wait_s <= _MOST
            )
        except (ValueError, FarmError):
            good = False
        if not good or any(character.isspace() for character in text):
            raise UsageError(
                f"'{text}' is no address of a farm. Write rpc://HOST:PORT/KEY, if need be with "
                "?slots=N&priority=P&wait=SECONDS."
            )
        return address


class RpcDevice(ClosedOnExit):
    """Runs jobs on the slots of a farm.

    A job that a device or the network loses runs again on another slot; one that ends two devices
    is taken for the cause, and runs on no third.

    Parameters
    ----------
    address:
        ``rpc://HOST:PORT/KEY``, see :class:`FarmAddress`.
    secret:
        The farm key; that of the environment by default.

    Raises
    ------
    FarmError
        If the farm cannot be reached or trusted, or nobody serves the key.
    """

    def __init__(self, address: str, secret: FarmKey | None = None) -> None:
        self._address = FarmAddress.parse(address)
        self._secret = secret or load_key()
        self._links: dict[str, AgentLink] = {}
        self._killed: dict[str, set[str]] = {}
        self._lock = threading.Lock()
        self._closed = False
        summary = self._find()
        self._info = self._describe(summary)
        self._pool = LeasePool(
            self._address.tracker,
            self._address.key,
            self._secret,
            priority=self._address.priority,
            wait_s=self._address.wait_s,
        )

    def info(self) -> DeviceInfo:
        """Describe the device, as its slots do: the farm itself measures nothing."""
        self._require_open()
        return self._info

    def run(
        self,
        job: Job,
        input_sets: tuple[tuple[np.ndarray, ...], ...],
        target: HexagonTarget,
        limits: Limits,
    ) -> RunResult:
        """Run ``job`` on whichever slot is free.

        Raises
        ------
        DeviceError
            If the device is closed, no slot runs ``target``, or there is no device for longer than
            the address says.
        ValueError
            If an input does not have the shape and type that the job states.
        """
        return self.run_elsewhere(job, input_sets, target, limits, "")

    def run_elsewhere(
        self,
        job: Job,
        input_sets: tuple[tuple[np.ndarray, ...], ...],
        target: HexagonTarget,
        limits: Limits,
        ran_on: str,
    ) -> RunResult:
        """Run ``job`` on another slot than ``ran_on``, if there is one; raises as :meth:`run`."""
        self._require_open()
        if target.name not in self._info.targets:
            raise DeviceError(
                f"The farm's devices '{self._address.key}' cannot run {target.name}. "
                f"They run: {', '.join(self._info.targets)}."
            )
        _check_inputs(job, input_sets)
        try:
            content = job.object_file.read_bytes()
        except OSError:
            content = b""  # whether that matters is for the device to say
        sets = codec.encode_sets(input_sets)
        digest, sets_digest = digest_of(content), digest_of(sets)
        blobs = {digest: content, sets_digest: sets}
        request = {
            "job": codec.job_to_json(job, limits),
            "object": digest,
            "sets": sets_digest,
            "target": target.name,
        }
        avoid = {ran_on} - {""}
        reason = ""
        for _ in range(MOST_ATTEMPTS):
            if len(self._killed.get(digest, set())) >= POISON_AFTER:
                return self._poison(digest)
            lease = self._pool.take(avoid)
            try:
                result = codec.decode_result(self._measure(lease, request, blobs, limits.wall_s))
            except SlotLostError as error:
                # Its session is well: only the process with the device ended.
                reason = str(error)
                if isinstance(error, SlotDiedError):
                    self._killed.setdefault(digest, set()).add(lease.slot)
                avoid.add(lease.slot)
                self._pool.give(lease)
            except LeaseOverError as error:
                reason = str(error)
                self._pool.discard(lease, reason)
            except FarmError as error:
                reason = str(error)
                avoid.add(lease.slot)
                self._pool.discard(lease, reason)
            else:
                self._pool.give(lease)
                return replace(result, ran_on=lease.slot)
            _LOG.info("%s lost a job, which runs again elsewhere: %s", lease.slot, reason)
        message = f"{MOST_ATTEMPTS} devices lost the job, the last one so: {reason}"
        return RunResult(Outcome.DEVICE_LOST, message, retryable=True)

    def report_sick(self, ran_on: str, reason: str) -> None:
        """Complain to the agent of a slot whose result was wrong while another's was right."""
        agent, _, number = ran_on.rpartition("/")
        try:
            slots = self._link(agent).status()["slots"]
            port = next(slot["port"] for slot in slots if str(slot["slot"]) == number)
            self._link(agent).complain(port, reason)
        except (FarmError, StopIteration) as error:
            _LOG.warning("Cannot complain of %s: %s", ran_on, error)

    def close(self) -> None:
        """Give every slot back."""
        if self._closed:
            return
        self._closed = True
        self._pool.close()
        for link in self._links.values():
            link.close()

    def _require_open(self) -> None:
        if self._closed:
            raise DeviceError("The farm device is closed. Open another one.")

    def _measure(
        self, lease: Lease, request: dict[str, Any], blobs: dict[str, bytes], wall_s: float
    ) -> bytes:
        link = self._link(lease.offer.agent)
        link.upload(blobs)
        try:
            return lease.measure(request, wall_s)
        except MissingBlobsError as error:
            link.forget(error.digests)
            link.upload(blobs)
            return lease.measure(request, wall_s)

    def _poison(self, digest: str) -> RunResult:
        devices = " and ".join(sorted(self._killed[digest]))
        message = f"It ended the devices {devices}, and runs on no third."
        return RunResult(Outcome.CRASH, message)

    def _link(self, agent: str) -> AgentLink:
        with self._lock:
            if agent not in self._links:
                self._links[agent] = AgentLink(agent, self._secret)
            return self._links[agent]

    def _find(self) -> Summary:
        """Return what the tracker knows, if that is somebody who serves our key."""
        patience = time.monotonic() + REGISTER_S
        with TrackerLink(self._address.tracker, self._secret, CONNECT_S / 2) as link:
            summary = link.summary(CONNECT_S / 2)
            while not summary.keys and time.monotonic() < patience:
                # A tracker that was just started: its servers come within a second or two.
                time.sleep(0.2)
                summary = link.summary(CONNECT_S / 2)
        if self._address.key not in summary.keys:
            known = ", ".join(summary.keys) or "none"
            raise FarmError(
                f"Nobody serves '{self._address.key}' on the farm {self._address.tracker}. "
                f"Keys that are served: {known}."
            )
        return summary

    def _describe(self, summary: Summary) -> DeviceInfo:
        """Put together what the agents say of their devices."""
        agents = summary.agents(self._address.key)

        def ask(agent: str) -> dict[str, Any] | str:
            try:
                return self._link(agent).status()
            except FarmError as error:
                return str(error)

        with ThreadPoolExecutor(min(16, len(agents))) as threads:
            told = list(threads.map(ask, agents))
        hosts = [one for one in told if not isinstance(one, str)]
        infos = [host["capabilities"] for host in hosts]
        if not infos:
            raise FarmError(
                f"No agent of '{self._address.key}' can be reached: {told[0]} "
                f"Run: vrmpy-tune farm doctor {self._address.tracker}"
            )
        return _agreed(infos, self._address.slots or sum(len(host["slots"]) for host in hosts))


def _agreed(infos: list[dict[str, Any]], slots: int) -> DeviceInfo:
    """Return what all hosts' capabilities have in common.

    Raises
    ------
    FarmError
        If their figures cannot be compared, or they disagree with this host on a target.
    """
    first = infos[0]
    clocks = sorted({str(info["clock"]) for info in infos})
    if len(clocks) > 1:
        raise FarmError(
            f"The devices under this key measure by different clocks ({', '.join(clocks)}), so "
            "that their figures cannot be compared. Serve them under different keys."
        )
    for info in infos:
        for name, contexts in info["contexts"].items():
            if name in TARGETS and TARGETS[name].contexts != contexts:
                raise FarmError(
                    f"A serving host takes {name} for a target of {contexts} contexts, and this "
                    f"one for one of {TARGETS[name].contexts}. Install the same version on both."
                )
    return DeviceInfo(
        description=" / ".join(dict.fromkeys(str(info["description"]) for info in infos)),
        targets=_common(infos, "targets"),
        metrics=_common(infos, "metrics"),
        slots=slots,
        checks_alignment=all(info["checks_alignment"] for info in infos),
        limits_packets=all(info["limits_packets"] for info in infos),
        clock=clocks[0],
        versions=dict(first["versions"]),
    )


def _common(infos: list[dict[str, Any]], what: str) -> tuple[str, ...]:
    return tuple(name for name in infos[0][what] if all(name in info[what] for info in infos))


def _check_inputs(job: Job, input_sets: tuple[tuple[np.ndarray, ...], ...]) -> None:
    for arrays in input_sets:
        for spec, array in zip(job.inputs, arrays, strict=True):
            if array.shape != spec.shape or array.dtype != np.dtype(spec.dtype):
                raise ValueError(
                    f"An input has shape {array.shape} and type {array.dtype}, "
                    f"but the job says {spec.shape} and {spec.dtype}."
                )
