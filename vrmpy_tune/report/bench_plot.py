"""The plot of a benchmark: each system's share of the packet bound, a panel for each variant."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from vrmpy_tune.bench.row import FIXED, METASCHEDULE, OWN_SYSTEMS, TUNED
from vrmpy_tune.report.figure import LABELS, RIGHT, panels, save

if TYPE_CHECKING:
    from pathlib import Path

BARS: Final = {
    METASCHEDULE: ("MetaSchedule's defaults", "tab:gray"),
    FIXED: ("fixed rule", "tab:cyan"),
    TUNED: ("tuned", "tab:blue"),
}
"""Label and colour of each system of ours, from the bottom of a group of bars to its top."""

PEER_COLOR: Final = "tab:red"
_INCHES_A_ROW: Final = 0.42
_GROUP: Final = 0.8
"""Height of a group of bars; the rest of a row is empty."""


def plot_bench(document: dict[str, Any], path: Path) -> None:
    """Draw the rows of ``bench --json``.

    Bars show the packet bound over a system's packets, so that 1 is the ceiling; numbers are our
    MACs a packet, and marks are the best peers.

    Raises
    ------
    UsageError
        If the file cannot be written.
    """
    variants = by_variant(document["rows"])
    tallest = max(len(layers) for layers in variants.values())
    figure, axes = panels(len(variants), 1.4 + _INCHES_A_ROW * tallest, columns=2)
    for axis, (variant, layers) in zip(axes, variants.items(), strict=True):
        _draw(axis, layers)
        axis.set_title(f"{document['suite']}: {variant}")
    _legend(figure, variants)
    save(figure, path)


def by_variant(rows: list[dict[str, Any]]) -> dict[str, dict[str, dict[str, Any]]]:
    """Return for each variant the rows of ours: by workload, then by system."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for row in rows:
        if row["system"] in OWN_SYSTEMS:
            layers = found.setdefault(row["variant"] or "", {})
            layers.setdefault(row["workload"], {})[row["system"]] = row
    return found


def _draw(axis: Any, layers: dict[str, dict[str, Any]]) -> None:
    systems = [
        name
        for name in BARS
        if any(name in rows and rows[name]["bound_fraction"] for rows in layers.values())
    ]
    height = _GROUP / max(len(systems), 1)
    names = []
    for position, rows in enumerate(layers.values()):
        one = next(iter(rows.values()))
        names.append(one["workload"] if one["variant"] == "random" else one["layer"])
        for index, name in enumerate(systems):
            row = rows[name]
            offset = position + _GROUP / 2 - height * (index + 0.5)
            axis.barh(offset, row["bound_fraction"] or 0, height, color=BARS[name][1])
            if name == TUNED and row["macs_per_packet"]:
                label = f"{row['macs_per_packet']:.1f}"
                axis.text(LABELS, position, label, va="center", fontsize=7)
        _peer(axis, position, rows)
    axis.axvline(1.0, color="black", lw=1)
    axis.set_yticks(range(len(names)), names, fontsize=7)
    axis.invert_yaxis()
    axis.margins(y=0.01)
    axis.set_xlim(0, RIGHT)
    axis.set_xlabel("packet bound / packets; numbers are our MACs a packet", fontsize=8)


def _peer(axis: Any, position: int, rows: dict[str, Any]) -> None:
    packets = next(iter(rows.values())).get("best_peer_packets")
    bound = next((row["bound"] for row in rows.values() if row["bound"]), None)
    if packets and bound:
        ends = (position - _GROUP / 2, position + _GROUP / 2)
        axis.plot([bound / packets] * 2, ends, color=PEER_COLOR, lw=2)


def _legend(figure: Any, variants: dict[str, dict[str, dict[str, Any]]]) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    rows = [row for layers in variants.values() for one in layers.values() for row in one.values()]
    shown = {row["system"] for row in rows if row["bound_fraction"]}
    handles: list[Any] = [
        Patch(color=color, label=label) for name, (label, color) in BARS.items() if name in shown
    ]
    if any(row.get("best_peer") for row in rows):
        handles.append(Line2D([], [], color=PEER_COLOR, lw=2, label="best peer"))
    figure.legend(handles=handles[::-1], loc="outside lower center", ncols=4, fontsize=8)
