"""The system ``metaschedule-default``: the best of a few candidates of TVM's own rules.

Most of them do not lower (TOOLCHAIN.md), which is part of the answer: how many were drawn, lowered
and right is reported with the figure, and kept in the store, so that it is found out once.
"""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from vrmpy_tune.bench.tvm_rules import samples
from vrmpy_tune.compiler.kernel import build_kernel, run_kernel
from vrmpy_tune.device.protocol import Limits, TensorSpec
from vrmpy_tune.errors import BuildError, VerificationError
from vrmpy_tune.layout import pack, packed_shape
from vrmpy_tune.measurement import Outcome
from vrmpy_tune.records.outcomes import FinishedRun
from vrmpy_tune.toolchain.codegen import CODE_GENERATORS, provenance
from vrmpy_tune.workload import NUMPY_TYPES, Contraction

if TYPE_CHECKING:
    from tvm.s_tir import Schedule

    from vrmpy_tune.device.protocol import Device
    from vrmpy_tune.records.safe_json import Json
    from vrmpy_tune.target import HexagonTarget
    from vrmpy_tune.toolchain.pool import CodegenPool
    from vrmpy_tune.verification import Verifier
    from vrmpy_tune.workload import Workload

RULES: Final = "metaschedule-default/1"
"""Name and version of the rules, in place of a search space."""

CANDIDATES: Final = 24
"""Candidates drawn for a workload, as many as TOOLCHAIN.md's count of those that lower."""

SEED: Final = 0
SLOWEST: Final = 400
"""A candidate is cut at so many times the packet bound; plain loops take about as many."""


@dataclass(frozen=True)
class DefaultResult:
    """What became of the candidates.

    Attributes
    ----------
    sampled:
        Candidates drawn.
    outcomes:
        How many ended in which way; ``"ok"`` are the verified ones.
    packets_total, packets_critical:
        Of the best verified candidate by the metric; ``None`` if there is none.
    """

    sampled: int
    outcomes: dict[str, int] = field(hash=False)
    packets_total: int | None = None
    packets_critical: int | None = None

    def as_json(self) -> dict[str, Json]:
        """Return the result as JSON data."""
        return {
            "sampled": self.sampled,
            "outcomes": dict(sorted(self.outcomes.items())),
            "packets_total": self.packets_total,
            "packets_critical": self.packets_critical,
        }

    @staticmethod
    def from_json(value: Any) -> DefaultResult:
        """Read what :meth:`as_json` wrote."""
        return DefaultResult(
            int(value["sampled"]),
            {str(name): int(number) for name, number in value["outcomes"].items()},
            value["packets_total"],
            value["packets_critical"],
        )


def stored_key(workload: Workload, target: HexagonTarget, metric: str) -> str:
    """Return the key under which a store keeps the result."""
    return FinishedRun.key_of(
        workload=str(workload),
        target=target.name,
        metric=metric,
        spaces=[RULES],
        seed=SEED,
        trials=CANDIDATES,
        options={"toolchain": dict(provenance())},
    )


def metaschedule_default(
    workload: Workload,
    target: HexagonTarget,
    *,
    pool: CodegenPool,
    device: Device,
    verifier: Verifier,
    metric: str,
    tvm_lock: threading.Lock,
) -> DefaultResult:
    """Draw, build, run and verify candidates of TVM's rules.

    Parameters
    ----------
    workload:
        One of which :func:`~vrmpy_tune.bench.tvm_rules.why_not` says nothing.
    target, pool, device, verifier, metric:
        What to build for, with what, and what ranks.
    tvm_lock:
        Held while schedules are made.
    """
    assert isinstance(workload, Contraction)
    with tvm_lock:
        schedules = _draw(workload, target)
    outcomes: Counter[str] = Counter()
    inputs, output, arguments = _interface(workload, verifier)
    by_tvm = next(one for one in CODE_GENERATORS if one.by_tvm)
    best = None
    for schedule in schedules:
        if schedule is None:
            outcomes["refused"] += 1
            continue
        limit = best.counts.packets_total if best else SLOWEST * workload.packet_bound
        try:
            kernel = build_kernel(schedule.mod, inputs, output, target, pool, generator=by_tvm)
            measured = run_kernel(
                kernel, arguments, verifier, device, target,
                metric=metric, limits=Limits(packets=limit),
            )  # fmt: skip
        except BuildError:
            outcomes[str(Outcome.BUILD_ERROR)] += 1
        except VerificationError as error:
            cut = "was cut after" in str(error)
            outcomes[str(Outcome.CUT if cut else Outcome.WRONG_RESULT)] += 1
        else:
            outcomes[str(Outcome.OK)] += 1
            if best is None or measured.value < best.value:
                best = measured
    if best is None:
        return DefaultResult(len(schedules), dict(outcomes))
    counts = best.counts
    return DefaultResult(
        len(schedules), dict(outcomes), counts.packets_total, counts.packets_critical
    )


def _draw(workload: Contraction, target: HexagonTarget) -> list[Schedule | None]:
    drawn: list[Schedule | None] = []
    seed = SEED
    while len(drawn) < CANDIDATES:
        seed += 1
        drawn += samples(workload, target, seed)
    return drawn[:CANDIDATES]


def _interface(
    workload: Contraction, verifier: Verifier
) -> tuple[tuple[TensorSpec, ...], TensorSpec, tuple[tuple[np.ndarray, ...], ...]]:
    """Return the specifications of TVM's program, and its arguments for each input set."""
    shape = workload.weight_shape
    plain = shape if len(shape) == 4 else (shape[0], 1, 1, shape[1])
    lhs, rhs = (NUMPY_TYPES[one] for one in workload.types)
    inputs = (TensorSpec(workload.input_shape, lhs), TensorSpec(packed_shape(plain, 1), rhs))
    arguments = tuple(
        (one.operands[0], pack(one.operands[1].reshape(plain), 1, offset=False))
        for one in verifier.input_sets
    )
    return inputs, TensorSpec(workload.output_shape, "int32"), arguments
