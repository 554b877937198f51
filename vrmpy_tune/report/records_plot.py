"""Plots of stored records: how near the packet bound each is, and how a search got there."""

from __future__ import annotations

import json
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from vrmpy_tune.errors import UsageError, WorkloadError
from vrmpy_tune.measurement import METRICS
from vrmpy_tune.regular import check_regular
from vrmpy_tune.report.figure import LABELS, RIGHT, panels, save
from vrmpy_tune.suites import SUITES, suite_called
from vrmpy_tune.tune.events import CandidateMeasured
from vrmpy_tune.workload import parse_workload

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from vrmpy_tune.records.record import Record

COLOR: Final = "tab:blue"
_INCHES: Final = 12.0
_INCHES_A_ROW: Final = 0.28
_TITLE_INCHES: Final = 0.7
_FONT: Final = 8
_NAME_WIDTH: Final = 80
_OTHER: Final = "other workloads"
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


@dataclass(frozen=True)
class Bar:
    """One record to draw.

    Attributes
    ----------
    record:
        The record.
    share:
        The packet bound over its packets.
    """

    record: Record
    share: float


@dataclass(frozen=True)
class Group:
    """The worst and the best records of one suite.

    Attributes
    ----------
    title:
        The suite, how many workloads it has records of, and under which metrics.
    bars:
        The worst first.
    left_out:
        Records between the worst and the best that are not drawn.
    worst:
        How many of the bars are the worst ones.
    """

    title: str
    bars: tuple[Bar, ...]
    left_out: int
    worst: int


def plot_records(
    records: Sequence[Record], curves: Sequence[SearchCurve], path: Path, top: int
) -> int:
    """Draw a bar for each record, its packet bound over its packets, and the curves below them.

    Parameters
    ----------
    top:
        How many of the worst, and of the best, are drawn of each suite.

    Returns
    -------
    int
        How many records were drawn.

    Raises
    ------
    UsageError
        If there is nothing to draw, or the file cannot be written.
    """
    groups = grouped(records, top)
    if not groups and not curves:
        raise UsageError("There are no records to draw; name a store with --records.")
    heights = [_TITLE_INCHES + _INCHES_A_ROW * (len(one.bars) + 1) for one in groups]
    heights += [_CURVES_INCHES + _INCHES_A_CURVE * len(curves)] if curves else []
    figure, axes = panels(len(heights), heights, width=_INCHES)
    for axis, group in zip(axes, groups, strict=False):
        _draw_bars(axis, group)
    if curves:
        _draw_curves(axes[-1], curves)
    save(figure, path)
    return sum(len(group.bars) for group in groups)


def grouped(records: Sequence[Record], top: int) -> list[Group]:
    """Return the records by suite: of each workload, that of the first metric it has one of.

    A workload belongs to the first suite that has it.
    """
    suites = suites_by_workload()
    preferred: dict[tuple[str, str], Record] = {}
    for record in sorted(records, key=lambda one: METRICS.index(one.metric)):
        preferred.setdefault((record.workload, record.target), record)
    bars: dict[str, list[Bar]] = {}
    for record in preferred.values():
        if bound := bound_of(record.workload):
            bar = Bar(record, bound / record.counts.packets_total)
            bars.setdefault(suites.get(record.workload, _OTHER), []).append(bar)
    order = [*SUITES, _OTHER]
    groups = []
    for suite, found in sorted(bars.items(), key=lambda one: order.index(one[0])):
        found.sort(key=lambda bar: (bar.share, bar.record.sort_key))
        all_fit = len(found) <= 2 * top
        drawn = found if all_fit else [*found[:top], *found[-top:]]
        metrics = ", ".join(dict.fromkeys(bar.record.metric for bar in found))
        title = f"{suite}: {len(found)} workloads ({metrics})"
        worst = len(found) if all_fit else top
        groups.append(Group(title, tuple(drawn), len(found) - len(drawn), worst))
    return groups


def suites_by_workload() -> dict[str, str]:
    """Return the name of the first suite of each workload that is in one."""
    names: dict[str, str] = {}
    for name in SUITES:
        for member in suite_called(name).select(()):
            try:
                names.setdefault(str(member.workload()), name)
            except WorkloadError:
                continue  # of an operator that this version does not have
    return names


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


def _draw_bars(axis: Any, group: Group) -> None:
    names, places = [], []
    for number, bar in enumerate(group.bars):
        # A gap stands for what is left out between the worst and the best.
        place = number + (number >= group.worst)
        total = bar.record.counts.packets_total
        axis.barh(place, bar.share, color=COLOR)
        axis.text(LABELS, place, f"{total:,}", va="center", fontsize=_FONT)
        names.append(bar.record.workload)
        places.append(place)
    if group.left_out:
        between = f"{group.left_out} workloads between the worst and the best are not drawn"
        axis.text(0.01, group.worst, between, va="center", fontsize=_FONT, style="italic")
    axis.axvline(1.0, color="black", lw=1)
    axis.set_title(group.title, fontsize=_FONT + 2, loc="left")
    axis.set_yticks(places, [_in_lines(name) for name in names], fontsize=_FONT)
    axis.set_ylim(max(places) + 0.6, -0.6)
    axis.spines[["top", "right"]].set_visible(False)
    axis.set_xlim(0, RIGHT)
    axis.set_xlabel("packet bound / packets; numbers are packets", fontsize=_FONT)


def _in_lines(workload: str) -> str:
    """Break a workload's text behind commas."""
    lines = textwrap.wrap(workload.replace(",", ", "), _NAME_WIDTH)
    return "\n".join(line.replace(", ", ",") for line in lines)


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
