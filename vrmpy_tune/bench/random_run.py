"""Random and named workloads: tuned with a small budget each, then measured.

They stand beside the packet bound, and beside what they are compiled with untuned.
"""

from __future__ import annotations

import statistics
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from vrmpy_tune.bench.compare import beside_fixed, worst_to_fixed
from vrmpy_tune.bench.row import FIXED, TUNED, Row
from vrmpy_tune.bench.run import BenchReport, measure_members, writable_store
from vrmpy_tune.errors import NoValidCandidateError, StoreError, VrmpyTuneError
from vrmpy_tune.records.location import open_store
from vrmpy_tune.suites import Member
from vrmpy_tune.suites.random_workloads import random_suite
from vrmpy_tune.tune.events import Interrupted, RunFinished
from vrmpy_tune.workload import Conv2d, Dense, Workload, ceildiv, parse_workload

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vrmpy_tune.target import HexagonTarget
    from vrmpy_tune.tune.events import Event

NAMED: Final = "named"
"""Variant of the workloads that are not random."""

TRIALS: Final = 16
"""Candidates a workload, by default."""


def bench_random(
    number: int,
    workloads: Sequence[Workload] = (),
    *,
    seed: int,
    target: HexagonTarget,
    metric: str,
    records: Sequence[str],
    device: str = "qemu",
    trials: int = TRIALS,
    effort: str = "quick",
    shipped: bool = True,
    progress: Callable[[str], None] = lambda _: None,
) -> BenchReport:
    """Measure random workloads, and named ones, tuning those that have no record that applies.

    Parameters
    ----------
    number, seed:
        How many, and which.
    workloads:
        Further workloads.
    target, metric, device:
        What for, by what, and where.
    records:
        Stores to look in; new records go to the first that can be written, else the user's own.
    trials, effort:
        Budget of each workload, and settings of its search.
    shipped:
        Whether searches may start from records that ship.
    progress:
        Told a line for each step.

    Raises
    ------
    DeviceError, StoreError, ToolchainError
        If nothing can be measured at all.
    """
    named = tuple(Member(str(one), NAMED, str(one)) for one in workloads)
    members = (*random_suite(number, seed).members, *named)
    where = writable_store(records)
    with open_store(where):
        pass  # it exists from here on
    sources = list(dict.fromkeys((*records, where)))

    def measure(
        systems: Sequence[str], tell: Callable[[str], None] = lambda _: None
    ) -> tuple[list[Row], bool]:
        return measure_members(
            members, systems, target=target, metric=metric, records=sources, device=device,
            progress=tell,
        )  # fmt: skip

    rows, interrupted = measure((TUNED,))
    wanted = [parse_workload(row.workload) for row in rows if row.record is None]
    known = len(members) - len(wanted)
    progress(f"{known} of {len(members)} have records; the others are tuned first.")
    failures: dict[str, int] = {}
    if wanted and not interrupted:
        options: dict[str, Any] = {
            "target": target, "metric": metric, "device": device, "trials": trials,
            "effort": effort, "seed": seed, "records": where, "shipped": shipped,
        }  # fmt: skip
        interrupted = _tune(wanted, failures, progress, options)
    if not interrupted:
        rows, interrupted = measure((TUNED, FIXED), progress)
    rows = [replace(row, more={**row.more, **_flat(row)}) for row in beside_fixed(rows)]
    tuned = [row for row in rows if row.system == TUNED]
    summary = {"number": number, "seed": seed, "trials": trials, **_summary(tuned)}
    return BenchReport(
        "random", metric, target.name, tuple(rows), interrupted,
        {"random": {**summary, "failed_candidates": dict(sorted(failures.items()))}},
    )  # fmt: skip


def flat_bound(workload: Workload) -> int | None:
    """Return ``ceil(O/32) x pixels x ceil(K/4) / 2``, without the half for a single pixel.

    K is the whole reduction: kernel and channels of a group as if read flat.  Where channels are
    no multiple of 4 that is less than :attr:`~vrmpy_tune.workload.Workload.packet_bound`, which
    lets each pixel of the kernel begin a word of its own.
    """
    if isinstance(workload, Dense):
        return workload.packet_bound
    if not isinstance(workload, Conv2d):
        return None
    height, width = workload.output_size
    pixels = workload.n * height * width
    depth = workload.kh * workload.kw * workload.ci // workload.groups
    vectors = workload.groups * ceildiv(workload.co // workload.groups, 32)
    multiplies = vectors * pixels * ceildiv(depth, 4)
    return multiplies if pixels == 1 else ceildiv(multiplies, 2)


def _tune(
    workloads: list[Workload],
    failures: dict[str, int],
    progress: Callable[[str], None],
    options: dict[str, Any],
) -> bool:
    """Tune all in one run, then those that came to nothing alone; return if interrupted."""
    from vrmpy_tune.tune.run import tune

    interrupted = False
    done: set[str] = set()

    def listen(event: Event) -> None:
        nonlocal interrupted
        interrupted |= isinstance(event, Interrupted)
        if isinstance(event, RunFinished):
            done.add(event.workload)
            progress(f"{event.workload}: tuned")

    def attempt(some: list[Workload]) -> None:
        try:
            results = tune(some, events=listen, **options)
        except StoreError:
            raise
        except NoValidCandidateError as error:
            progress(str(error))
        except Exception as error:  # one workload's defect must not lose the others' figures
            if len(some) == 1 or not isinstance(error, VrmpyTuneError):
                progress(f"{some[0]}: {type(error).__name__}: {error}")
        else:
            for result in results:
                for name, count in result.failures.items():
                    failures[name] = failures.get(name, 0) + count

    attempt(workloads)
    for workload in workloads:
        if str(workload) not in done and not interrupted:
            attempt([workload])
    return interrupted


def _flat(row: Row) -> dict[str, Any]:
    bound = flat_bound(parse_workload(row.workload))
    fraction = bound / row.packets_total if bound and row.packets_total else None
    return {"flat_bound": bound, "flat_bound_fraction": fraction}


def _summary(rows: Sequence[Row]) -> dict[str, Any]:
    fractions = [row.bound_fraction for row in rows if row.bound_fraction is not None]
    flat = [fraction for row in rows if (fraction := row.more["flat_bound_fraction"]) is not None]
    return {
        "median_bound_fraction": statistics.median(fractions) if fractions else None,
        "least_bound_fraction": min(fractions, default=None),
        "median_flat_bound_fraction": statistics.median(flat) if flat else None,
        "least_flat_bound_fraction": min(flat, default=None),
        "wrong": sum(row.verified is False for row in rows),
        "without_schedule": sum(row.record is None and row.verified is not False for row in rows),
        **worst_to_fixed(rows),
    }
