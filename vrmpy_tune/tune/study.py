"""What one way to search buys over another, measured: curves of the best candidate so far."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

from vrmpy_tune.tune.events import CandidateMeasured
from vrmpy_tune.tune.run import tune

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from vrmpy_tune.target import HexagonTarget
    from vrmpy_tune.tune.events import Event
    from vrmpy_tune.workload import Workload

SEARCHES: Final = ("evolutionary", "random")
"""What is compared, what is to be shown first."""

ENOUGH: Final = 0.95
"""A search has arrived once its best is this share of the final best."""


@dataclass(frozen=True)
class Curve:
    """One run of one search.

    Attributes
    ----------
    workload:
        Canonical text.
    search, seed:
        How it searched.
    figures:
        Packets of each candidate in the order in which they were proposed; ``None`` for failures.
    packet_bound:
        Packets that no kernel of the workload can go below.
    """

    workload: str
    search: str
    seed: int
    figures: tuple[int | None, ...]
    packet_bound: int

    @property
    def best_so_far(self) -> tuple[int | None, ...]:
        """The best figure after each candidate; ``None`` before the first that was verified."""
        return tuple(accumulate(self.figures, _better))

    @property
    def best(self) -> int:
        """The final best figure, in packets."""
        return min(figure for figure in self.figures if figure is not None)

    def trials_to(self, packets: float) -> int | None:
        """Return how many candidates it took to get down to so many packets, if it did."""
        for number, figure in enumerate(self.figures, start=1):
            if figure is not None and figure <= packets:
                return number
        return None

    def as_json(self) -> dict[str, Any]:
        """Return the curve as JSON data."""
        return {
            "workload": self.workload,
            "search": self.search,
            "seed": self.seed,
            "packet_bound": self.packet_bound,
            "best": self.best,
            "trials_to_95": self.trials_to(self.best / ENOUGH),
            "figures": list(self.figures),
        }


def run_study(
    workloads: Sequence[Workload],
    *,
    seeds: Sequence[int],
    trials: int,
    target: HexagonTarget,
    records: str,
    transfer: bool = False,
    device: str = "qemu",
    effort: str = "normal",
    events: Callable[[Event], None] = lambda _: None,
) -> Iterator[Curve]:
    """Run every search on every workload with every seed; yield a curve as soon as it is known.

    Parameters
    ----------
    workloads, seeds, trials:
        What to run; every search gets all its trials.
    target, device, effort, events:
        As in :func:`vrmpy_tune.tune.run.tune`.
    records:
        Store of the study.  What one run measured, the others recall, so that a repeated study
        measures nothing.
    transfer:
        Whether the evolutionary search starts from records of similar workloads.

    Raises
    ------
    VrmpyTuneError
        What :func:`vrmpy_tune.tune.run.tune` raises.
    """
    for workload in workloads:
        for seed in seeds:
            for search in SEARCHES:
                figures: dict[int, int | None] = {}

                def listen(event: Event, figures: dict[int, int | None] = figures) -> None:
                    if isinstance(event, CandidateMeasured):
                        figures[event.number] = event.value
                    events(event)

                results = tune(
                    [workload], target=target, device=device, trials=trials, effort=effort,
                    seed=seed, records=records, transfer=transfer, early_stop=False,
                    search=search, events=listen,
                )  # fmt: skip
                if not results or results[0].interrupted:
                    return
                ordered = tuple(figures[number] for number in sorted(figures))
                yield Curve(str(workload), search, seed, ordered, workload.packet_bound)


def summary(curves: Sequence[Curve]) -> list[dict[str, Any]]:
    """Return for each curve its final best, and after how many candidates it had 95% of that.

    ``trials_to_95_of_all`` is the same of the best of all curves of the workload.
    """
    rows = []
    for curve in curves:
        of_all = min(one.best for one in curves if one.workload == curve.workload)
        rows.append(
            {
                "workload": curve.workload,
                "search": curve.search,
                "seed": curve.seed,
                "trials": len(curve.figures),
                "best": curve.best,
                "ceiling_fraction": curve.packet_bound / curve.best,
                "trials_to_95": curve.trials_to(curve.best / ENOUGH),
                "trials_to_95_of_all": curve.trials_to(of_all / ENOUGH),
            }
        )
    return rows


def write_curves(curves: Sequence[Curve], directory: Path) -> None:
    """Write ``curves.json``, and ``curves.csv`` with one candidate a line."""
    directory.mkdir(parents=True, exist_ok=True)
    document = {"curves": [curve.as_json() for curve in curves], "summary": summary(curves)}
    (directory / "curves.json").write_text(json.dumps(document, indent=1) + "\n")
    with (directory / "curves.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["workload", "search", "seed", "candidate", "packets", "best_so_far"])
        for curve in curves:
            pairs = zip(curve.figures, curve.best_so_far, strict=True)
            for number, (packets, best) in enumerate(pairs, start=1):
                writer.writerow([curve.workload, curve.search, curve.seed, number, packets, best])


def _better(one: int | None, other: int | None) -> int | None:
    known = [figure for figure in (one, other) if figure is not None]
    return min(known, default=None)
