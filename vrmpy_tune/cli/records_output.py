"""How ``vrmpy-tune records`` shows records: tables for people, lines for programs."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from vrmpy_tune.visible import in_one_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vrmpy_tune.records import Record


def summary(record: Record) -> dict[str, Any]:
    """Return the record's JSON data with its figure, without the long trace."""
    fields: dict[str, Any] = {**record.to_json(), "value": record.value}
    del fields["trace"]
    return fields


def print_json(document: object) -> None:
    """Print the one document of ``--json``."""
    print(json.dumps(document, indent=2))


def note(line: str, *, as_json: bool) -> None:
    """Print progress: to stderr when stdout is for the JSON document."""
    print(line, file=sys.stderr if as_json else sys.stdout, flush=True)


def print_table(found: Sequence[Record], caption: str) -> None:
    """Print records as a table on a terminal, elsewhere as tab-separated lines."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console()
    if not console.is_terminal:
        for r in found:
            texts = (r.short_id, r.workload, r.target, r.metric, str(r.value), r.space)
            print(*map(in_one_line, texts), sep="\t")
        return
    table = Table(caption=caption)
    for heading in ("record", "workload", "target", "metric", "space"):
        table.add_column(heading, overflow="fold")
    table.add_column("packets", justify="right")
    for r in found:
        cells = (r.short_id, r.workload, r.target, r.metric, r.space, f"{r.value:,}")
        # Text, not markup: a stored text must not style or hide anything.
        table.add_row(*(Text(in_one_line(cell)) for cell in cells))
    console.print(table)


def disagreement_text(entry: dict[str, Any]) -> str:
    """Return one disagreement in words: both choices, and where the time of each goes."""
    lines = [
        f"{entry['workload']} ({entry['metric']}, {entry['candidates']} candidates): "
        f"packets cost {entry['loss']:.1%}"
    ]
    for name in ("by_time", "by_packets"):
        choice = entry[name]
        parts = sorted(choice["time_us"].items(), key=lambda part: -part[1])
        told = ", ".join(f"{part} {us:,.2f}" for part, us in parts if us > 0)
        lines.append(
            f"  {name.replace('_', ' ')}: {choice['estimated_us']:,.2f} us, "
            f"{choice['packets_critical']:,} packets on the critical path ({told})"
        )
    return "\n".join(lines)
