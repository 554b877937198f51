"""``vrmpy-tune spaces``: what may be chosen, of which instructions, and whether it holds."""

from __future__ import annotations

from typing import Annotated, Any, Final

import typer

from vrmpy_tune.cli.options import DEFAULT_TARGET, LARGEST, Device, Json, Target, read_workloads
from vrmpy_tune.cli.streams import one_document, say
from vrmpy_tune.errors import UsageError, VerificationError
from vrmpy_tune.target import parse_target

LEAST_VERIFIED: Final = 0.99
"""Share of sampled candidates that a sound space lets build, run and verify."""


def list_spaces(
    workloads: Annotated[
        list[str] | None,
        typer.Argument(metavar="[WORKLOAD]...", help="With --check: instead of the usual ones."),
    ] = None,
    *,
    instructions: Annotated[
        bool, typer.Option("--instructions", help="List the instruction forms instead.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Draw candidates; build, run and verify them.")
    ] = False,
    samples: Annotated[
        int, typer.Option(min=1, max=LARGEST, help="With --check: candidates in all.")
    ] = 300,
    seed: Annotated[
        int, typer.Option(min=0, max=LARGEST, help="With --check: seed of the draw.")
    ] = 0,
    target: Target = DEFAULT_TARGET,
    device: Device = "qemu",
    as_json: Json = False,
) -> None:
    """List or check search spaces and instructions.

    A check exits 10 if fewer than 99% of the sampled candidates build, run and verify.
    """
    hexagon = parse_target(target)
    if check and instructions:
        raise UsageError("--check and --instructions ask for different things; give one.")
    if workloads and not check:
        raise UsageError("Workloads are for --check; without it, every space is listed.")
    chosen = read_workloads(workloads) if workloads else None
    with one_document(as_json) as emit:
        if check:
            from vrmpy_tune.tune.space_check import check_spaces

            document = check_spaces(
                samples=samples,
                seed=seed,
                target=hexagon,
                device=device,
                workloads=chosen,
                progress=say,
            ).as_json()
        else:
            document = _instructions() if instructions else _spaces()
        if as_json:
            emit(document)
    if not as_json:
        print(check_text(document) if check else _listing(document))
    if check and (document["verified_fraction"] or 0.0) < LEAST_VERIFIED:
        raise typer.Exit(VerificationError.exit_code)


def check_text(document: dict[str, Any]) -> str:
    """Return the document of ``spaces --check`` in words: the first failures, then the count."""
    share = document["verified_fraction"] or 0.0
    total = (
        f"{document['verified']} of {document['samples']} verified ({share:.1%}) "
        f"in {document['wall_s']:.0f} s"
    )
    failures = [f"{count} {failure}" for failure, count in document["failures"].items()]
    return "\n".join([*document["messages"], ", ".join([total, *failures])])


def _spaces() -> dict[str, Any]:
    from search_spaces import all_spaces

    return {
        "spaces": [
            {"name": space.name, "operator": space.operator, "description": space.description}
            for space in all_spaces()
        ]
    }


def _instructions() -> dict[str, Any]:
    from vrmpy_tune.intrin.table import ACCUMULATOR_SCOPES, SCOPES, TABLE

    return {
        "instructions": [
            {
                "name": row.name,
                "mnemonic": row.mnemonic,
                "scalar_type": row.scalar_type,
                "vector_type": row.vector_type,
                "reduce": row.reduce,
                "splat": row.splat,
                "saturates": row.saturates,
                "first_arch": f"v{row.first_arch}",
                "description": _describe(row.reduce, row.splat, row.saturates),
            }
            for row in TABLE
        ],
        "scopes": {"operands": list(SCOPES), "accumulators": list(ACCUMULATOR_SCOPES)},
    }


def _describe(reduce: int, splat: bool, saturates: bool) -> str:
    source = "copied into a vector" if splat else "from a scalar register"
    end = "clipped to int32" if saturates else "wrapping"
    return f"32 lanes of {reduce} products, one operand {source}, sums {end}"


def _listing(document: dict[str, Any]) -> str:
    rows = document.get("spaces") or document["instructions"]
    width = max(len(row["name"]) for row in rows)
    lines = []
    for row in rows:
        types = f"{row['scalar_type']} x {row['vector_type']}: " if "scalar_type" in row else ""
        since = f" (from {row['first_arch']})" if "first_arch" in row else ""
        lines.append(f"{row['name']:{width}}  {types}{row['description']}{since}")
    return "\n".join(lines)
