"""Tasks of a network: its distinct workloads, how often each runs, and what each weighs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vrmpy_tune.measurement import DEFAULT_METRIC

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vrmpy_tune.model.network import Network
    from vrmpy_tune.records.store import RecordReader
    from vrmpy_tune.workload import Workload


@dataclass(frozen=True)
class NetworkTask:
    """One distinct workload.

    Attributes
    ----------
    workload:
        What to compute.
    layers:
        Names of the layers that compute it.
    """

    workload: Workload
    layers: tuple[str, ...]

    @property
    def count(self) -> int:
        """How often the network computes it."""
        return len(self.layers)


def tasks_of(network: Network) -> tuple[NetworkTask, ...]:
    """Return the distinct workloads in the order in which they first appear."""
    layers: dict[Workload, list[str]] = {}
    for layer in network.layers:
        layers.setdefault(layer.workload, []).append(layer.name)
    return tuple(NetworkTask(workload, tuple(names)) for workload, names in layers.items())


def weights(
    tasks: Sequence[NetworkTask], target: str, records: RecordReader
) -> dict[Workload, float]:
    """Return the packets that each task takes in the whole network, as far as is known.

    That is the packets of all contexts of the best record, or the packet bound where there is none,
    times the count.

    Raises
    ------
    StoreError
        If a store cannot be read.
    """
    found = {}
    for task in tasks:
        best = records.best(str(task.workload), target, DEFAULT_METRIC)
        packets = best.counts.packets_total if best else task.workload.packet_bound
        found[task.workload] = float(packets * task.count)
    return found


def spread(weights: dict[Workload, float], trials: int, top: int | None) -> dict[Workload, int]:
    """Divide a budget among tasks by their weight; each task gets one trial at least.

    Parameters
    ----------
    weights:
        Weight of each task.
    trials:
        Trials a task on average: the budget is that times the number of tasks.
    top:
        Spend it on so many of the heaviest tasks only; on all by default.

    Returns
    -------
    shares:
        Trials of each chosen task, the heaviest first.
    """
    ranked = sorted(weights, key=lambda one: (-weights[one], str(one)))[:top]
    total = sum(weights[one] for one in ranked)
    budget = trials * len(ranked)
    return {one: max(1, round(budget * weights[one] / total)) for one in ranked}
