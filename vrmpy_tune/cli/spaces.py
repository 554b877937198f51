"""``vrmpy-tune spaces``: what may be chosen, of which instructions, and whether it holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from vrmpy_tune.cli.limits import LARGEST
from vrmpy_tune.cli.options import DEFAULT_TARGET, Device, Json, Target, read_workloads
from vrmpy_tune.cli.streams import one_document, say
from vrmpy_tune.errors import UsageError, VerificationError
from vrmpy_tune.measurement import Outcome
from vrmpy_tune.suites.residues import residue_workloads
from vrmpy_tune.target import parse_target

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vrmpy_tune.workload import Workload

LEAST_VERIFIED: Final = 0.99
"""Share of sampled candidates that a sound space lets build, run and verify."""

SAMPLES: Final = 300
RESIDUE_SAMPLES: Final = 2
"""Candidates of a check in all, and for each workload with ``--residues``."""


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
    residues: Annotated[
        bool,
        typer.Option(
            "--residues",
            help="With --check: contractions in which every pair of sizes, types and epilogues "
            "meets, each by the fixed rule first.",
        ),
    ] = False,
    samples: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=LARGEST,
            help="With --check: candidates in all; 300, or two of each with --residues.",
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, max=LARGEST, help="With --check: seed of the draw.")
    ] = 0,
    target: Target = DEFAULT_TARGET,
    device: Device = "qemu",
    as_json: Json = False,
) -> None:
    """List or check search spaces and instructions.

    A check exits 10 if an output is wrong, or fewer than 99% of the candidates build and run.
    """
    hexagon = parse_target(target)
    if check and instructions:
        raise UsageError("--check and --instructions ask for different things; give one.")
    if workloads and not check:
        raise UsageError("Workloads are for --check; without it, every space is listed.")
    if residues and (workloads or not check):
        raise UsageError("--residues is for --check, in place of workloads.")
    chosen: Sequence[Workload] | None = read_workloads(workloads) if workloads else None
    if residues:
        chosen = residue_workloads(seed)
    if samples is None:
        samples = RESIDUE_SAMPLES * len(chosen) if residues and chosen else SAMPLES
    with one_document(as_json) as emit:
        if check:
            from vrmpy_tune.tune.space_check import check_spaces

            document = check_spaces(
                samples=samples,
                seed=seed,
                target=hexagon,
                device=device,
                workloads=chosen,
                fixed=residues,
                progress=say,
            ).as_json()
        else:
            document = _instructions() if instructions else _spaces()
        if as_json:
            emit(document)
    if not as_json:
        print(check_text(document) if check else _listing(document))
    if check and not _is_sound(document):
        raise typer.Exit(VerificationError.exit_code)


def _is_sound(document: dict[str, Any]) -> bool:
    """Whether a check passed: a failure to build may be the machine's, a wrong output is not."""
    share = document["verified_fraction"] or 0.0
    return Outcome.WRONG_RESULT not in document["failures"] and share >= LEAST_VERIFIED


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
