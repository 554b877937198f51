"""Ratios between rows: to the best peer, to our own unsigned figure, to int32 output."""

from __future__ import annotations

import statistics
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from vrmpy_tune.bench.row import FIXED, OWN_SYSTEMS, TUNED, Row
from vrmpy_tune.errors import WorkloadError
from vrmpy_tune.measurement import QEMU_PACKETS, is_time
from vrmpy_tune.suites.peer_rows import Peer, peer_rows
from vrmpy_tune.suites.peers import variant_called
from vrmpy_tune.target import LANES
from vrmpy_tune.workload import parse_workload
from vrmpy_tune.workload.contraction import FUSED_FIELDS, Contraction

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vrmpy_tune.target import HexagonTarget


RATIOS: Final = (
    "ratio_to_best_peer",
    "ratio_to_u8u8",
    "bound_fraction",
    "balance",
    "ratio_to_one_context",
    "ratio_to_naive",
)
"""Fields of rows that the summary has means of; more is better in all."""


def comparable(row: Row, target: HexagonTarget) -> list[Peer]:
    """Return the peers' rows that a row of ours stands beside, best first."""
    variant = variant_called(row.variant or "")
    if variant is None or row.metric != QEMU_PACKETS:
        return []
    found = [
        peer
        for peer in peer_rows()
        if peer.workload == row.peer_workload
        and variant.may_compare(peer)
        and peer.version <= target.version
    ]
    return sorted(found, key=lambda peer: peer.packets)


def beside_fixed(rows: Sequence[Row]) -> list[Row]:
    """Return the rows with the fixed rule's packets, and ratios to them, beside the tuned ones.

    Ratios are the tuned kernel's packets over the fixed rule's: above 1.0, tuning made it worse.
    """
    fixed = {row.workload: row for row in rows if row.system == FIXED}

    def beside(row: Row) -> Row:
        untuned = fixed.get(row.workload)
        if row.system != TUNED or untuned is None:
            return row
        more: dict[str, Any] = {}
        if row.packets_total and untuned.packets_total:
            more["fixed_packets_total"] = untuned.packets_total
            more["packets_to_fixed"] = row.packets_total / untuned.packets_total
        if row.packets_critical and untuned.packets_critical:
            more["fixed_packets_critical"] = untuned.packets_critical
            more["critical_to_fixed"] = row.packets_critical / untuned.packets_critical
        return replace(row, more={**row.more, **more})

    return [beside(row) for row in rows]


def worst_to_fixed(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the largest ratios to the fixed rule's packets, and the workloads that have them."""
    found: dict[str, Any] = {}
    for name in ("packets_to_fixed", "critical_to_fixed"):
        known = [(row.more[name], row.workload) for row in rows if name in row.more]
        ratio, workload = max(known, default=(None, None))
        found |= {f"worst_{name}": ratio, f"worst_{name}_workload": workload}
    return found


def compared(rows: Sequence[Row], target: HexagonTarget) -> list[Row]:
    """Return the rows with what each of ours is compared with added to its fields."""
    packets = {(row.workload, row.system): row.packets_total for row in rows if row.packets_total}
    return [
        replace(row, more={**row.more, **_comparison(row, packets, target)})
        if row.system in OWN_SYSTEMS
        else row
        for row in beside_fixed(rows)
    ]


def summary(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return for each variant and system of ours how its rows compare with the best peers.

    Ratios are the peer's packets over ours: above 1.0, ours is the better.
    """
    groups: dict[tuple[str | None, str], list[Row]] = {}
    for row in rows:
        if row.system in OWN_SYSTEMS:
            groups.setdefault((row.variant, row.system), []).append(row)
    return [_group(variant, system, own) for (variant, system), own in groups.items()]


def _group(variant: str | None, system: str, rows: Sequence[Row]) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "variant": variant,
        "system": system,
        "rows": len(rows),
        "measured": sum(row.value is not None for row in rows),
        "network_packets": None,
        "network_us": None,
    }
    if all(row.value for row in rows):
        network = sum(row.count * (row.value or 0) for row in rows)
        if is_time(rows[0].metric):
            entry["network_us"] = network / 1e3
        else:
            entry["network_packets"] = network
    for name in RATIOS:
        values = [
            (float(value), row.layer)
            for row in rows
            if (value := row.as_json().get(name)) is not None
        ]
        least = min(values) if values else (None, None)
        entry[name] = {
            "geometric_mean": (
                statistics.geometric_mean(value for value, _ in values) if values else None
            ),
            "least": least[0],
            "least_layer": least[1],
            "rows": len(values),
        }
    return entry | worst_to_fixed(rows)


def _comparison(
    row: Row, packets: dict[tuple[str, str], int], target: HexagonTarget
) -> dict[str, Any]:
    peers = comparable(row, target)
    variant = variant_called(row.variant or "")
    unsigned, plain = _relatives(row.workload)
    own = row.packets_total
    same_types = packets.get((unsigned, row.system)) if unsigned else None
    without = packets.get((plain, row.system)) if plain else None
    return {
        "best_peer": peers[0].system if peers else None,
        "best_peer_packets": peers[0].packets if peers else None,
        "ratio_to_best_peer": peers[0].packets / own if peers and own else None,
        "like_for_like": variant.like if variant is not None and peers else None,
        "ratio_to_u8u8": same_types / own if same_types and own else None,
        "epilogue_packets_per_vector": (
            (own - without) / (row.outputs / LANES) if without and own and row.outputs else None
        ),
    }


def _relatives(text: str) -> tuple[str | None, str | None]:
    """Return the same workload on u8 x u8, and with int32 output; ``None`` where it is that."""
    try:
        workload = parse_workload(text)
    except WorkloadError:
        return None, None
    if not isinstance(workload, Contraction):
        return None, None
    zero_points = ("lzp", "rzp")
    plain = {name: value for name, value in FUSED_FIELDS.items() if name not in zero_points}
    return _like(workload, lhs="u8", rhs="u8"), _like(workload, **plain)


def _like(workload: Contraction, **fields: object) -> str | None:
    """Return the text of a workload with other fields; ``None`` if it is the same, or is none."""
    try:
        text = str(replace(workload, **fields))  # type: ignore[arg-type]
    except WorkloadError:
        return None
    return text if text != str(workload) else None
