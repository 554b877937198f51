"""Plots of stored records: how near the packet bound each is, and how a search got there."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from vrmpy_tune.errors import UsageError, WorkloadError
from vrmpy_tune.regular import check_regular
from vrmpy_tune.report.figure import LABELS, RIGHT, panels, save
from vrmpy_tune.tune.events import CandidateMeasured
from vrmpy_tune.workload import parse_workload

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from vrmpy_tune.records.record import Record

COLOR: Final = "tab:blue"
_INCHES: Final = 12.0
_INCHES_A_ROW: Final = 0.2
_INCHES_A_CURVE: Final = 0.15
_CURVES_INCHES: Final = 4.0


@dataclass(frozen=True)
class SearchCurve:
    """The best figure of a workload after each of a run's candidates.

    Attributes
    ----------
    workload, source:
        What was tuned, and the file that tells of it.
    best:
        Packets of the best candidate so far; ``None`` while there is none.
    """

    workload: str
    source: str
    best: tuple[int | None, ...]


def plot_records(records: Sequence[Record], curves: Sequence[SearchCurve], path: Path) -> None:
    """Draw a bar for each record, its packet bound over its packets, and the curves beside them.

    Raises
    ------
    UsageError
        If there is nothing to draw, or the file cannot be written.
    """
    bars = [(record, bound) for record in records if (bound := bound_of(record.workload))]
    if not bars and not curves:
        raise UsageError("There are no records to draw; name a store with --records.")
    parts = [bool(bars), bool(curves)]
    heights = [1.2 + _INCHES_A_ROW * len(bars), _CURVES_INCHES + _INCHES_A_CURVE * len(curves)]
    heights = [height for height, wanted in zip(heights, parts, strict=True) if wanted]
    figure, axes = panels(len(heights), heights, width=_INCHES)
    if bars:
        _draw_bars(axes[0], bars)
    if curves:
        _draw_curves(axes[-1], curves)
    save(figure, path)


def bound_of(workload: str) -> int | None:
    """Return a workload's packet bound, or ``None`` if this version does not know it."""
    try:
        return parse_workload(workload).packet_bound
    except WorkloadError:
        return None


def read_curves(paths: Iterable[Path]) -> list[SearchCurve]:
    """Read the files that ``tune --events FILE`` writes: in the order of measurement.

    Raises
    ------
    UsageError
        If a file cannot be read, or is none of those.
    """
    return [curve for path in paths for curve in _read(path)]


def _read(path: Path) -> list[SearchCurve]:
    best: dict[str, list[int | None]] = {}
    try:
        check_regular(path)
        lines = path.read_text(encoding="utf-8").splitlines()
        events = [json.loads(line) for line in lines if line]
        for event in events:
            if event["event"] == CandidateMeasured.kind:
                so_far = best.setdefault(str(event["workload"]), [])
                known = [one for one in (*so_far[-1:], event["value"]) if one is not None]
                so_far.append(min(known, default=None))
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}).") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UsageError(
            f"{path} holds no events; name a file that vrmpy-tune tune --events wrote."
        ) from error
    return [SearchCurve(text, path.name, tuple(values)) for text, values in best.items()]


def _draw_bars(axis: Any, bars: Sequence[tuple[Record, int]]) -> None:
    for position, (record, bound) in enumerate(bars):
        total = record.counts.packets_total
        axis.barh(position, bound / total, color=COLOR)
        axis.text(LABELS, position, f"{total:,}", va="center", fontsize=6)
    axis.axvline(1.0, color="black", lw=1)
    names = [f"{record.workload}  {record.metric}" for record, _ in bars]
    axis.set_yticks(range(len(names)), names, fontsize=6)
    axis.set_ylim(len(bars) - 0.4, -0.6)
    axis.spines[["top", "right"]].set_visible(False)
    axis.set_xlim(0, RIGHT)
    axis.set_xlabel("packet bound / packets; numbers are packets", fontsize=8)


def _draw_curves(axis: Any, curves: Sequence[SearchCurve]) -> None:
    for curve in curves:
        bound = bound_of(curve.workload)
        if bound is None:
            continue
        shares = [0.0 if best is None else bound / best for best in curve.best]
        label = f"{curve.workload} ({curve.source})"
        axis.step(range(1, len(shares) + 1), shares, where="post", label=label)
    axis.axhline(1.0, color="black", lw=1)
    axis.set_xlabel("candidates, in the order in which they were measured", fontsize=8)
    axis.set_ylabel("packet bound / best so far", fontsize=8)
    axis.grid(alpha=0.3)
    # Texts of workloads are too long to lie inside.
    axis.legend(loc="upper right", bbox_to_anchor=(1, -0.13), fontsize=6, frameon=False)
