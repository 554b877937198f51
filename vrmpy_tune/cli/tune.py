"""``vrmpy-tune tune``: search, measure, verify, store."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vrmpy_tune.cli.limits import LARGEST
from vrmpy_tune.cli.options import (
    DEFAULT_TARGET,
    STORE_HELP,
    Device,
    Json,
    Memories,
    Shipped,
    SuiteName,
    Target,
    Variants,
    Workloads,
    check_metric,
    is_farm,
    is_server,
    read_duration,
    read_memories,
    read_model,
    read_selection,
    waiting,
)
from vrmpy_tune.cli.streams import one_document, say
from vrmpy_tune.errors import EXIT_INTERRUPTED, UsageError
from vrmpy_tune.measurement import DEFAULT_METRIC
from vrmpy_tune.target import parse_target
from vrmpy_tune.tune.effort import EFFORTS
from vrmpy_tune.tune.effort import effort as effort_called
from vrmpy_tune.tune.events import Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from search_spaces.memory import Memory
    from vrmpy_tune.target import HexagonTarget
    from vrmpy_tune.tune.events import Event
    from vrmpy_tune.tune.run import TuneResult
    from vrmpy_tune.workload import Workload

_EFFORT_HELP = "How much to spend: " + ", ".join(
    f"{name} {row.trials}" for name, row in EFFORTS.items()
)


def tune_workloads(
    workloads: Workloads = None,
    *,
    suite: SuiteName = None,
    variant: Variants = None,
    target: Target = DEFAULT_TARGET,
    device: Device = "qemu",
    metric: Annotated[str, typer.Option(help="What to minimize.")] = DEFAULT_METRIC,
    trials: Annotated[
        int | None,
        typer.Option(min=1, max=LARGEST, help="Candidates a workload; overrides --effort."),
    ] = None,
    time: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Stop after 90s, 10m, 1.5h.")
    ] = None,
    wait: Annotated[
        str | None,
        typer.Option(
            metavar="DURATION",
            help="Give up a farm without devices, or a database server that went away, after "
            "90s, 10m.",
        ),
    ] = None,
    effort: Annotated[str, typer.Option(help=f"{_EFFORT_HELP} trials.")] = "normal",
    seed: Annotated[int, typer.Option(min=0, max=LARGEST, help="Same seed, same result.")] = 0,
    records: Annotated[
        str | None, typer.Option("--records", metavar="URL", help=STORE_HELP)
    ] = None,
    top_tasks: Annotated[
        int | None,
        typer.Option(
            min=1, max=LARGEST, help="Of a model, only so many of its tasks, the heaviest first."
        ),
    ] = None,
    transfer: Annotated[
        bool, typer.Option(help="Start from what records of similar workloads say.")
    ] = True,
    shipped: Shipped = True,
    memory: Memories = None,
    early_stop: Annotated[
        bool, typer.Option(help="Leave trials over that would be of no use.")
    ] = True,
    events: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write events as JSON lines; - for stdout.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Search, measure and store kernels.

    Of a model, each distinct layer is a task, and the trials (so many a task on average) are spread
    by the packets that the task takes of the whole.

    The same command again resumes.  Ctrl-C keeps everything that was measured and prints that
    command.
    """
    model = read_model(workloads, suite, variant)
    if model is None and top_tasks is not None:
        raise UsageError("--top-tasks is for models.")
    if model is not None and memory:
        raise UsageError("--memory is for workloads; a model's layers are tuned without VTCM.")
    chosen = [] if model else read_selection(workloads, suite, variant, say)
    hexagon = parse_target(target)
    check_metric(metric)
    memories = read_memories(memory)
    effort_called(effort)
    seconds = None if time is None else read_duration(time)
    wait_s = None if wait is None else read_duration(wait)
    if wait_s is not None and (is_farm(device) or not is_server(records)):
        device = waiting(device, wait_s)

    from vrmpy_tune.cli.displays import displays
    from vrmpy_tune.tune.run import tune

    interrupted = False
    with (
        one_document(as_json) as emit,
        displays(events, stdout_is_free=not as_json) as show,
    ):

        def listen(event: Event) -> None:
            nonlocal interrupted
            interrupted |= isinstance(event, Interrupted)
            show(event)

        run: Callable[..., list[TuneResult]]
        if model:
            from vrmpy_tune.model.tuning import tune_model

            run = partial(tune_model, model, top_tasks=top_tasks, leave_out=say)
        elif suite:
            run = partial(tune, _with_spaces(chosen, hexagon, memories), memories=memories)
        else:
            run = partial(tune, chosen, memories=memories)
        results = run(
            target=hexagon,
            device=device,
            metric=metric,
            trials=trials,
            time_s=seconds,
            effort=effort,
            seed=seed,
            records=records,
            transfer=transfer,
            shipped=shipped,
            early_stop=early_stop,
            wait_s=wait_s,
            events=listen,
        )
        entries = [result.as_json() for result in results]
        if as_json:
            emit({"results": entries})
    if not as_json and events != "-":
        for entry in entries:
            print(result_text(entry))
        if entries:
            print(run_text(entries))
    if interrupted:
        raise typer.Exit(EXIT_INTERRUPTED)


def _with_spaces(
    workloads: Sequence[Workload], target: HexagonTarget, memories: tuple[Memory, ...]
) -> list[Workload]:
    """Leave out what no search space covers: a suite's other workloads can still be tuned."""
    from search_spaces import spaces_for

    covered = [workload for workload in workloads if spaces_for(workload, target, memories)]
    for workload in workloads:
        if workload not in covered:
            say(f"Left out: no search space of this version covers {workload}.")
    if not covered:
        raise UsageError(
            f"Nothing of it can be tuned for {target.name} with weights {', '.join(memories)}."
        )
    return covered


def result_text(entry: dict[str, Any]) -> str:
    """Return an entry of ``tune --json`` in a few lines of words."""
    from vrmpy_tune.toolchain.codegen import FALLBACK

    counted = [f"{entry['measured']} of {entry['trials']} trials, {entry['recalled']} recalled"]
    counted += [f"{count} {failure}" for failure, count in entry["failures"].items() if count]
    best = entry["best"]
    figures = (
        f"{best['packets_total']:,} packets ({best['packets_critical']:,} on the critical path), "
        f"{best['macs_per_packet']:.1f} MACs/packet, {best['ceiling_fraction']:.1%} of the ceiling"
    )
    if best["estimated_us"] is not None:
        figures = f"{best['estimated_us']:,.2f} us estimated, {figures}"
    if untuned := entry["fixed_rule"]:
        figures += (
            f"; untuned {untuned['packets_total']:,} packets "
            f"({untuned['packets_critical']:,} on the critical path)"
        )
    lines = [figures, f"record {best['record'][:16]}", ", ".join(counted)]
    if fallbacks := entry["fallbacks"]:
        lines.append(
            f"{fallbacks} with LLVM's packets: the packet scheduler did not understand their code"
        )
    if best["generator"] == FALLBACK.name:
        lines.append("the best is one of these")
    if entry["stopped_early"]:
        lines.append(f"stopped early {entry['stopped_early']}")
    if seeds := entry["transfer"]["seeds"]:
        similar = {one["workload"] for one in entry["transfer"]["records"]}
        lines.append(f"{seeds} seeds from records of {len(similar)} similar workloads")
    return "\n  ".join([entry["workload"], *lines])


def run_text(entries: Sequence[dict[str, Any]]) -> str:
    """Return in words what the whole run spent; every entry carries the run's time."""
    wall_s, busy = entries[0]["wall_s"], entries[0]["busy_fraction"]
    fresh = sum(entry["measured"] - entry["recalled"] for entry in entries)
    rate = 60.0 * fresh / wall_s if wall_s else 0.0
    return f"{wall_s:.0f} s, {rate:.0f} candidates/min, cores {busy:.0%} busy"
