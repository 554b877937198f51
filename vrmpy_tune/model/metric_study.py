"""A network tuned for estimated time, and for packets, with the same budget.

Nothing is known to a search but what it proposed itself.  Candidates that another run of the study
proposed, too, are not measured again, which changes no search: a run for time counts packets, and
all runs are deterministic.
"""

from __future__ import annotations

import json
import math
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from vrmpy_tune.measurement import HVX_TIME_8GEN1, QEMU_CRITICAL, is_time
from vrmpy_tune.model.compile import compile_network
from vrmpy_tune.model.files import run_files
from vrmpy_tune.model.opening import open_model
from vrmpy_tune.model.tasks import tasks_of
from vrmpy_tune.model.tuning import tune_model
from vrmpy_tune.records.atomic_file import replace_file
from vrmpy_tune.records.location import open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from vrmpy_tune.target import HexagonTarget
    from vrmpy_tune.tune.events import Event
    from vrmpy_tune.tune.run import TuneResult

JUDGE: Final = HVX_TIME_8GEN1
"""Metric that both networks are judged by; one of them is tuned for it."""

RIVAL: Final = QEMU_CRITICAL
"""Metric that the other one is tuned for: packets on the busiest context."""

SHOWN: Final = 0.002
"""Difference of a task, as a share of the network's time, from which on it is told why."""


@dataclass(frozen=True)
class StudiedNetwork:
    """One network of the study.

    Attributes
    ----------
    seed, metric:
        How its tasks were tuned.
    measured:
        Candidates that were spent.
    isolated_us:
        Its layers' times as the records state them, a call repeated alone, added up; ``None``
        where records state packets.
    run:
        The document of ``run --json`` under :data:`JUDGE`, its outputs compared bit for bit.
    """

    seed: int
    metric: str
    measured: int
    isolated_us: float | None
    run: Mapping[str, Any]

    @property
    def estimated_us(self) -> float:
        """Estimated time of the network."""
        return float(self.run["estimated_us"])

    def tasks(self) -> dict[str, dict[str, float]]:
        """Return for each distinct workload its time in all its layers, by parts, and ``all``."""
        found: dict[str, dict[str, float]] = {}
        for layer in self.run["layers"]:
            parts = found.setdefault(layer["workload"], dict.fromkeys(("all", "count"), 0.0))
            parts["all"] += layer["estimated_us"]
            parts["count"] += 1
            for part, us in layer["time_us"].items():
                parts[part] = parts.get(part, 0.0) + us
        return found


def study_metrics(
    path: Path,
    *,
    seeds: Sequence[int],
    trials: int,
    target: HexagonTarget,
    directory: Path,
    records: str,
    transfer: bool = False,
    events: Callable[[Event], None] = lambda _: None,
    progress: Callable[[str], None] = lambda _: None,
) -> Iterator[StudiedNetwork]:
    """Tune, compile, run and verify a network for each seed and metric; yield as soon as known.

    Parameters
    ----------
    path:
        The model's file.
    seeds, trials:
        What to run: every search gets all its candidates, so many a task on average.
    target:
        What to compile for.
    directory:
        Gets one document for each network.  What is there already is not done again.
    records:
        Store of what was measured.
    transfer:
        Whether searches start from records that ship.
    events, progress:
        Told what happens, and of each step.

    Raises
    ------
    VrmpyTuneError
        What tuning, compiling and running raise.
    """
    _, source = open_model(path)
    for seed in seeds:
        for metric in (JUDGE, RIVAL):
            kept = directory / f"seed{seed}-{metric.replace('/', '-')}.json"
            asked = {
                "model": source["sha256"], "target": target.name, "seed": seed, "metric": metric,
                "trials": trials, "transfer": transfer,
            }  # fmt: skip
            document = _known(kept, asked)
            if document is None:
                progress(f"Seed {seed}, {metric}: tuning")
                results = tune_model(
                    path, target=target, metric=metric, trials=trials, seed=seed,
                    records=records, transfer=transfer, early_stop=False, events=events,
                )  # fmt: skip
                if any(one.interrupted for one in results):
                    return
                if is_time(metric):
                    _share(records, target.name)
                progress(f"Seed {seed}, {metric}: compiling and running")
                document = {**asked, **_network(path, results, target, kept)}
                replace_file(kept, [json.dumps(document, indent=1)])
            yield StudiedNetwork(
                seed, metric, document["measured"], document["isolated_us"], document["run"]
            )


def _known(kept: Path, asked: Mapping[str, Any]) -> dict[str, Any] | None:
    if not kept.is_file():
        return None
    try:
        document: dict[str, Any] = json.loads(kept.read_text())
        known = all(document.get(key) == value for key, value in asked.items())
    except (ValueError, AttributeError):
        return None  # cut or altered: it is made anew
    return document if known else None


def _share(records: str, target: str) -> None:
    """Let the runs for packets recall what runs for time measured."""
    with open_store(records) as store:
        timed = store.query(target=target, metric=JUDGE)
        store.add_many([one.under(RIVAL) for one in timed], replace=False)


def _network(
    path: Path, results: Sequence[TuneResult], target: HexagonTarget, kept: Path
) -> dict[str, Any]:
    """Compile and run the network with the best candidates of one search, and no others."""
    best, metric = [one.best for one in results], results[0].metric
    net = kept.with_suffix("")
    network, source = open_model(path)
    with tempfile.TemporaryDirectory(prefix="vrmpy-tune-") as scratch:
        own = str(Path(scratch) / "best.db")
        with open_store(own) as store:
            store.add_many(best)
        compile_network(
            network, target=target, records=[own], output=net, metric=metric, device=None,
            source=source,
        )  # fmt: skip
    run = run_files(net, inputs=None, output=None, device="qemu", verify=True, metric=JUDGE)
    isolated = None
    if metric == JUDGE:
        known = {one.workload: one.value for one in best}
        isolated = sum(
            known.get(str(task.workload), 0) * task.count / 1e3 for task in tasks_of(network)
        )
    return {
        "measured": sum(one.measured for one in results),
        "isolated_us": isolated,
        "run": run.as_json(),
    }


def summary(networks: Sequence[StudiedNetwork]) -> dict[str, Any]:
    """Return both times and their ratio by seed, the ratios' geometric mean, and what differs.

    ``parts_us`` has the mean difference of all tasks by parts, in microseconds, below 0 where
    tuning for time is quicker; ``tasks`` the same of each task whose times differ on average by
    :data:`SHOWN` of the network's or more, in all its layers.
    """
    pairs = [
        (one, other)
        for one in networks
        for other in networks
        if one.seed == other.seed and one.metric == JUDGE and other.metric == RIVAL
    ]
    ratios = [one.estimated_us / other.estimated_us for one, other in pairs]
    logs = [math.log(ratio) for ratio in ratios]
    return {
        "judge": JUDGE,
        "rival": RIVAL,
        "seeds": [
            {
                "seed": one.seed,
                "measured": [one.measured, other.measured],
                "tuned_for_time_us": one.estimated_us,
                "tuned_for_packets_us": other.estimated_us,
                "ratio": ratio,
                "isolated_us": one.isolated_us,
            }
            for (one, other), ratio in zip(pairs, ratios, strict=True)
        ],
        "geomean_ratio": math.exp(sum(logs) / len(logs)) if logs else None,
        **_differences(pairs),
    }


def _differences(pairs: Sequence[tuple[StudiedNetwork, StudiedNetwork]]) -> dict[str, Any]:
    sums: dict[str, dict[str, float]] = {}
    for one, other in pairs:
        theirs = other.tasks()
        for workload, ours in one.tasks().items():
            total = sums.setdefault(workload, dict.fromkeys(ours, 0.0))
            for part, us in ours.items():
                total[part] += (us - theirs[workload][part]) / len(pairs)
            total["count"] = ours["count"]
    whole = sum(other.estimated_us for _, other in pairs) / max(1, len(pairs))
    of_all: dict[str, float] = {}
    for parts in sums.values():
        for part, us in _by_part(parts).items():
            of_all[part] = of_all.get(part, 0.0) + us
    rows = [
        {
            "workload": workload,
            "count": int(parts["count"]),
            "difference_us": parts["all"],
            "parts_us": _by_part(parts),
        }
        for workload, parts in sums.items()
        if abs(parts["all"]) >= SHOWN * whole
    ]
    return {"parts_us": of_all, "tasks": sorted(rows, key=lambda row: row["difference_us"])}


def _by_part(task: Mapping[str, float]) -> dict[str, float]:
    return {part: us for part, us in task.items() if part not in ("all", "count")}
