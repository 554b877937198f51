"""The rows of a benchmark as a table for people, and as CSV."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from vrmpy_tune.bench.random_run import NAMED
from vrmpy_tune.bench.row import FIXED, METASCHEDULE, OWN_SYSTEMS, TUNED
from vrmpy_tune.errors import UsageError
from vrmpy_tune.measurement import QEMU_CRITICAL
from vrmpy_tune.report.bench_plot import by_variant
from vrmpy_tune.suites.random_workloads import RANDOM
from vrmpy_tune.visible import in_one_line
from vrmpy_tune.workload import parse_workload
from vrmpy_tune.workload.contraction import Contraction

if TYPE_CHECKING:
    from pathlib import Path

    from rich.table import Table

_SYSTEMS: Final = {TUNED: "tuned", FIXED: "fixed", METASCHEDULE: "MetaSchedule"}

_WORDS: Final = frozenset(("layer", "best peer"))
"""Columns of text; the others hold numbers."""

_FILE_WIDTH: Final = 160
"""Columns of a table that goes to a file or a pipe."""

_RATIOS: Final = {
    "ratio_to_best_peer": "of the best peer",
    "ratio_to_u8u8": "of our u8 x u8",
    "bound_fraction": "of the bound",
    "balance": "balance: total / (contexts x critical path)",
    "ratio_to_one_context": "of our one-context packets",
    "ratio_to_naive": "times as fast as unscheduled",
}


def write_csv(document: dict[str, Any], path: Path) -> None:
    """Write the rows of ``bench --json``, lists joined by semicolons.

    Raises
    ------
    UsageError
        If the file cannot be written.
    """
    import pandas as pd

    rows = [
        {
            name: "; ".join(map(str, value)) if isinstance(value, list) else value
            for name, value in row.items()
        }
        for row in document["rows"]
    ]
    frame = pd.DataFrame(rows)
    frame.insert(0, "suite", document["suite"])
    frame.insert(1, "metric", document["metric"])
    try:
        frame.to_csv(path, index=False)
    except OSError as error:
        raise UsageError(f"--csv {path}: {error.strerror or error}.") from error


def print_bench(document: dict[str, Any], *, every_peer: bool = False) -> None:
    """Print the members of a suite, a table for each variant, then the means.

    Parameters
    ----------
    document:
        What ``bench --json`` prints.
    every_peer:
        Whether to print a table of all rows of other systems, too.
    """
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console = Console(width=_FILE_WIDTH)
    for variant, members in by_variant(document["rows"]).items():
        console.print(_table(f"{document['suite']}: {variant}", document["metric"], members))
    peers = [row for row in document["rows"] if row["system"] not in OWN_SYSTEMS]
    if every_peer and peers:
        console.print(_peer_table(peers))
    for reason in _reasons(document["rows"]):
        console.print(reason, markup=False, highlight=False, soft_wrap=True)
    for entry in document["summary"]:
        for line in summary_lines(entry, document["metric"]):
            console.print(line, markup=False, highlight=False, soft_wrap=True)
    if "random" in document:
        console.print(random_line(document["random"]), markup=False, highlight=False)
        for line in fixed_lines(document["random"]):
            console.print(line, markup=False, highlight=False, soft_wrap=True)


def summary_lines(entry: dict[str, Any], metric: str) -> list[str]:
    """Return an entry of the summary in words; none if nothing of it was measured."""
    if not entry["measured"]:
        return []
    name = f"{entry['variant']}, {_SYSTEMS[entry['system']]}"
    lines = [f"{name}: {entry['measured']} of {entry['rows']} measured"]
    if entry["network_us"] is not None:
        lines[0] += f", {entry['network_us']:,.1f} us in all"
    if entry["network_packets"] is not None:
        lines[0] += f", {entry['network_packets']:,} packets in all"
    for field, words in _RATIOS.items():
        ratio = entry[field]
        if ratio["rows"] and (field != "balance" or metric == QEMU_CRITICAL):
            lines.append(
                f"  {ratio['geometric_mean']:.3f} {words} (geometric mean of {ratio['rows']}); "
                f"least {ratio['least']:.3f}, {ratio['least_layer']}"
            )
    return [*lines, *(f"  {line}" for line in fixed_lines(entry))]


def fixed_lines(entry: dict[str, Any]) -> list[str]:
    """Return the worst ratios of tuned packets to the fixed rule's in words, if there are any."""
    words = {"critical_to_fixed": "on the critical path", "packets_to_fixed": "in all"}
    return [
        f"{entry[f'worst_{name}']:.3f} of the fixed rule's packets {where} at worst, "
        f"{entry[f'worst_{name}_workload']}"
        for name, where in words.items()
        if entry[f"worst_{name}"] is not None
    ]


def random_line(entry: dict[str, Any]) -> str:
    """Return the summary of random and named workloads in words."""
    median = _number(entry["median_bound_fraction"], ".1%") or "none"
    flat = _number(entry["median_flat_bound_fraction"], ".1%") or "none"
    return (
        f"seed {entry['seed']}, {entry['trials']} trials: median {median} of the bound "
        f"({flat} if kernels could be read flat), "
        f"{entry['wrong']} wrong, {entry['without_schedule']} without a schedule"
    )


def _table(title: str, metric: str, members: dict[str, dict[str, Any]]) -> Table:
    """Return a table with a line for each workload; columns that would be empty are left out."""
    from rich.table import Table
    from rich.text import Text

    critical = metric == QEMU_CRITICAL
    lines = [_cells(systems, critical=critical) for systems in members.values()]
    used = [name for name in lines[0] if any(line[name] for line in lines)]
    table = Table(title=title, title_justify="left", caption=_caption(metric))
    for name in used:
        table.add_column(name, justify="left" if name in _WORDS else "right", overflow="fold")
    for line in lines:
        table.add_row(*(Text(in_one_line(line[name])) for name in used))
    return table


def _caption(metric: str) -> str:
    return f"MACs a packet (of all contexts); records by {metric}"


def _peer_table(rows: list[dict[str, Any]]) -> Table:
    """Return a table of the other systems' rows, shape by shape, best first."""
    from rich.table import Table
    from rich.text import Text

    order = list(dict.fromkeys(row["layer"] for row in rows))
    table = Table(title="peers", title_justify="left")
    for name in ("layer", "system", "types", "packets", "MACs/packet", "right"):
        right = name in ("packets", "MACs/packet")
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    for row in sorted(rows, key=lambda one: (order.index(one["layer"]), one["packets_total"])):
        workload = parse_workload(row["workload"])
        assert isinstance(workload, Contraction)
        types = f"{' x '.join(workload.types)} -> {workload.out}"
        cells = (
            row["layer"],
            row["system"],
            types,
            f"{row['packets_total']:,}",
            f"{row['macs_per_packet']:.1f}",
            "yes" if row["verified"] else "no",
        )
        table.add_row(*(Text(in_one_line(cell)) for cell in cells))
    return table


def _cells(systems: dict[str, Any], *, critical: bool) -> dict[str, str]:
    tuned = systems.get(TUNED) or next(iter(systems.values()))
    peer = tuned.get("best_peer_packets")
    # Of interest where an operator is a stream over its outputs, not a reduction.
    per_vector = tuned["packets_per_128_outputs"] if tuned.get("ratio_to_naive") else None
    parts: dict[str, float] = tuned.get("time_us") or {}
    macs = tuned["macs"] or max((row["macs"] or 0 for row in systems.values()), default=0)
    return {
        "layer": tuned["workload"] if tuned["variant"] in (RANDOM, NAMED) else tuned["layer"],
        "count": f"x {tuned['count']}" if tuned["count"] > 1 else "",
        "packets": _number(tuned["packets_total"], ",.0f"),
        "critical": _number(tuned["packets_critical"] if critical else None, ",.0f"),
        "/ fixed": _number(tuned.get("packets_to_fixed"), ".3f"),
        "critical / fixed": _number(tuned.get("critical_to_fixed") if critical else None, ".3f"),
        "us": _number(tuned["estimated_us"], ",.2f"),
        "mostly": max(parts, key=parts.__getitem__) if parts else "",
        "tuned": _number(tuned["macs_per_packet"], ".1f"),
        "bound": _number(tuned["bound_fraction"], ".1%"),
        "fixed": _number(systems.get(FIXED, {}).get("macs_per_packet"), ".1f"),
        "MetaSchedule": _number(systems.get(METASCHEDULE, {}).get("macs_per_packet"), ".1f"),
        "peer": _number(macs / peer if peer and macs else None, ".1f"),
        "tuned / peer": _number(tuned.get("ratio_to_best_peer"), ".3f"),
        "/ u8u8": _number(tuned.get("ratio_to_u8u8"), ".3f"),
        "balance": _number(tuned.get("balance") if critical else None, ".3f"),
        "/ one context": _number(tuned.get("ratio_to_one_context"), ".3f"),
        "per 128": _number(per_vector, ".2f"),
        "/ naive": _number(tuned.get("ratio_to_naive"), ".1f"),
        "epilogue": _number(tuned.get("epilogue_packets_per_vector"), ".2f"),
        "best peer": tuned.get("best_peer") or "",
    }


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _reasons(rows: list[dict[str, Any]]) -> list[str]:
    """Return why rows of ours are empty, each reason once, with how often it applies."""
    found: dict[str, list[str]] = {}
    for row in rows:
        if row["system"] == TUNED and row["packets_total"] is None:
            reason = row["reason"].replace(row["workload"], "it")
            found.setdefault(reason, []).append(row["workload"])
    return [
        f"{workloads[0]}{f' and {len(workloads) - 1} more' if len(workloads) > 1 else ''}: {reason}"
        for reason, workloads in found.items()
    ]
