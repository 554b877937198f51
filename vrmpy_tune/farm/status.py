"""How a farm is: what its tracker and its agents say, put together."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

from vrmpy_tune.errors import FarmError
from vrmpy_tune.farm.agent_link import AgentLink
from vrmpy_tune.farm.tracker_link import TrackerLink

if TYPE_CHECKING:
    from vrmpy_tune.farm.secret import FarmKey

_AT_ONCE: Final = 16

_COLUMNS: Final = ("slot", "health", "holder", "measured", "per minute", "restarts", "last fault")


def farm_status(tracker: str, key: FarmKey) -> dict[str, Any]:
    """Return the document of ``farm status --json``.

    Raises
    ------
    FarmError
        If the tracker cannot be reached or trusted; an agent that cannot is in the document.
    """
    with TrackerLink(tracker, key) as link:
        summary = link.summary()
    agents = summary.agents()

    def ask(agent: str) -> dict[str, Any]:
        link = AgentLink(agent, key)
        try:
            return link.status()
        except FarmError as error:
            return {"agent": agent, "error": str(error), "slots": []}
        finally:
            link.close()

    with ThreadPoolExecutor(_AT_ONCE) as threads:
        hosts = list(threads.map(ask, agents))
    slots = [slot for host in hosts for slot in host["slots"]]
    return {
        "tracker": tracker,
        "time": time.time(),
        "keys": {
            key: {
                "slots": summary.slots(key),
                "free": summary.free.get(key, 0),
                "pending": summary.pending.get(key, 0),
            }
            for key in summary.keys
        },
        "hosts": hosts,
        "totals": {
            "slots": len(slots),
            "measured": sum(slot["measured"] for slot in slots),
            "per_minute": round(sum(slot["per_minute"] for slot in slots), 1),
        },
    }


def status_text(document: dict[str, Any]) -> str:
    """Return the document in lines."""
    lines = [f"tracker {document['tracker']}"]
    for key, queue in document["keys"].items():
        lines.append(
            f"  {key}: {queue['slots']} registered, {queue['free']} free, "
            f"{queue['pending']} waiting"
        )
    if not document["keys"]:
        lines.append("  nobody serves any device")
    for host in document["hosts"]:
        lines.append("")
        if "error" in host:
            lines.append(f"agent {host['agent']}: {host['error']}")
            continue
        told = host["capabilities"] or {}
        device = f"{told.get('description', host['device'])}, clock {told.get('clock', 'unknown')}"
        lines.append(
            f"agent {host['agent']} on {host['host']}, up {host['up_s']:.0f} s, "
            f"{host['key']}: {device}"
        )
        if not host["tracker_reachable"]:
            lines.append(f"  cannot reach its tracker {host['tracker']}")
        lines += _table([_row(slot) for slot in host["slots"]])
    totals = document["totals"]
    lines += ["", f"{totals['measured']} measured, {totals['per_minute']:.0f} in the last minute"]
    return "\n".join(lines)


def _row(slot: dict[str, Any]) -> tuple[str, ...]:
    fault = slot["last_fault"]
    if fault:
        fault = f"{max(0.0, time.time() - slot['last_fault_at']):.0f} s ago: {fault}"
    return (
        str(slot["slot"]),
        slot["health"],
        slot["holder"] or "-",
        str(slot["measured"]),
        f"{slot['per_minute']:.0f}",
        str(slot["restarts"]),
        fault or "-",
    )


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(_COLUMNS, *rows, strict=True)]
    return [
        "  "
        + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (_COLUMNS, *rows)
    ]
