"""``vrmpy-tune farm doctor``: every link between this host and a farm's devices, in order."""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from vrmpy_tune.errors import FarmError
from vrmpy_tune.farm.agent_link import AgentLink
from vrmpy_tune.farm.channel import CONNECT_S, Channel, parse_address
from vrmpy_tune.farm.frame import RefusedError
from vrmpy_tune.farm.lease import Lease
from vrmpy_tune.farm.secret import FILE_VARIABLE, KEY_VARIABLE, FarmKey, default_file
from vrmpy_tune.farm.tracker_link import TrackerLink
from vrmpy_tune.toolchain.doctor import Check, Status
from vrmpy_tune.toolchain.versions import toolchain_versions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vrmpy_tune.farm.tracker_link import Summary

OFFER_S: Final = 10.0
"""Seconds to wait for a free slot; that there is none is no fault."""

_SAME_KEY: Final = (
    f"Copy the farm key of the tracker's host: {KEY_VARIABLE}, {FILE_VARIABLE} or {default_file()}"
)


def examine(tracker: str, key: FarmKey) -> Iterator[Check]:
    """Examine one link after another, and stop at one without which there are no others."""
    for check in (
        _resolves(tracker),
        _connects("tracker", tracker),
        _trusts("tracker", tracker, key),
    ):
        yield check
        if check.status is Status.ERROR:
            return
    began = time.monotonic()
    try:
        with TrackerLink(tracker, key) as link:
            summary = link.summary()
    except FarmError as error:
        remedy = "It is started again within seconds; if not, see `farm tracker`'s own output."
        yield Check("TVM's tracker", Status.ERROR, str(error), remedy)
        return
    yield Check("TVM's tracker", Status.OK, f"answers in {_since(began)}")
    if not summary.keys:
        remedy = f"vrmpy-tune farm serve --tracker {tracker} --key hexagon-v68 --device qemu"
        yield Check("devices", Status.ERROR, "nobody serves any", remedy)
        return
    queues = (
        f"{key_}: {summary.slots(key_)} registered, {summary.free.get(key_, 0)} free, "
        f"{summary.pending.get(key_, 0)} waiting"
        for key_ in summary.keys
    )
    yield Check("devices", Status.OK, "; ".join(queues))
    for agent in summary.agents():
        yield from _agent(agent, key)
    for name in summary.keys:
        yield _session(tracker, name, summary, key)


def _resolves(address: str) -> Check:
    host, port = parse_address(address)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        detail = f"the name {host} does not resolve: {error.strerror or error}"
        return Check("name", Status.ERROR, detail, "Check the spelling, or write the IP address.")
    return Check("name", Status.OK, f"{host} is {found[0][4][0]}")


def _connects(what: str, address: str) -> Check:
    host, port = parse_address(address)
    began = time.monotonic()
    try:
        with socket.create_connection((host, port), CONNECT_S):
            return Check(what, Status.OK, f"{address} accepts connections in {_since(began)}")
    except TimeoutError:
        detail = f"{address} does not answer in {CONNECT_S:g} s: a firewall, or no such host"
        remedy = f"ssh -L {port}:127.0.0.1:{port} {host}, and then use 127.0.0.1:{port}"
    except ConnectionRefusedError:
        detail = f"{address} is reachable, but nothing listens there"
        remedy = "Start it; beyond its own host it listens only with --bind, or through a tunnel."
    except OSError as error:
        detail, remedy = f"{address}: {error.strerror or error}", "Check the network."
    return Check(what, Status.ERROR, detail, remedy)


def _trusts(what: str, address: str, key: FarmKey) -> Check:
    name = f"trust of {what}"
    try:
        Channel(address, key).close()
    except RefusedError as error:
        return Check(name, Status.ERROR, str(error), _SAME_KEY)
    except FarmError as error:
        detail = f"{error} Either it has another farm key, or it is no part of a farm."
        return Check(name, Status.ERROR, detail, _SAME_KEY)
    return Check(name, Status.OK, "both sides have the same farm key")


def _agent(agent: str, key: FarmKey) -> Iterator[Check]:
    name = f"agent {agent}"
    for check in (_connects(name, agent), _trusts(name, agent, key)):
        yield check
        if check.status is Status.ERROR:
            return
    link = AgentLink(agent, key)
    try:
        status = link.status()
    except FarmError as error:
        yield Check(name, Status.ERROR, str(error), "See `farm serve`'s own output.")
        return
    finally:
        link.close()
    if not status["tracker_reachable"]:
        detail = f"it cannot reach its tracker {status['tracker']}"
        yield Check(name, Status.ERROR, detail, "Run `vrmpy-tune farm doctor` on its host.")
    yield _slots(name, status)
    yield _toolchain(name, status)


def _slots(name: str, status: dict[str, Any]) -> Check:
    ill = [slot for slot in status["slots"] if slot["health"] in ("down", "quarantined")]
    if ill:
        detail = "; ".join(f"slot {s['slot']} is {s['health']}: {s['last_fault']}" for s in ill)
        return Check(f"{name} slots", Status.WARNING, detail, "See `farm serve`'s own output.")
    return Check(f"{name} slots", Status.OK, f"{len(status['slots'])} in service")


def _toolchain(name: str, status: dict[str, Any]) -> Check:
    """Compare versions: records carry those of the tuner, and the device links with its own."""
    theirs = (status["capabilities"] or {}).get("versions", {})
    ours = toolchain_versions()
    differ = [
        f"{part} {theirs[part]}, here {version}"
        for part, version in ours.items()
        if theirs.get(part, version) != version
    ]
    if differ:
        detail = "other versions than here: " + "; ".join(differ)
        return Check(f"{name} toolchain", Status.WARNING, detail, "Install the same on both hosts.")
    return Check(f"{name} toolchain", Status.OK, "the same versions as here")


def _session(tracker: str, name: str, summary: Summary, key: FarmKey) -> Check:
    """Lease a slot as a tuner does, and open a session with its RPC server."""
    title = f"session '{name}'"
    if not summary.free.get(name):
        return Check(title, Status.WARNING, "not tried: every slot is in use")
    began = time.monotonic()
    link = TrackerLink(tracker, key)
    timer = threading.Timer(OFFER_S, link.close)
    timer.start()
    try:
        lease = Lease(link.request(name, 1), key, "farm doctor")
    except FarmError as error:
        return Check(title, Status.ERROR, str(error), "See `farm serve`'s own output.")
    finally:
        timer.cancel()
        link.close()
    lease.give_back()
    return Check(title, Status.OK, f"{lease.slot} leased and given back in {_since(began)}")


def _since(began: float) -> str:
    return f"{1000 * (time.monotonic() - began):.0f} ms"
