"""The system ``metaschedule-default``: the best of a few candidates of TVM's own rules.

Most of them do not lower (TOOLCHAIN.md), which is part of the answer: how many were drawn, lowered
and right is reported with the figure, and kept in the store, so that it is found out once.
"""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from vrmpy_tune.bench.tvm_program import kernel_shape
from vrmpy_tune.bench.tvm_rules import samples
from vrmpy_tune.compiler.kernel import build_kernel, run_kernel
from vrmpy_tune.device.protocol import Limits, TensorSpec
from vrmpy_tune.errors import BuildError, VerificationError
from vrmpy_tune.layout import pack
from vrmpy_tune.measurement import QEMU_PACKETS, Outcome
from vrmpy_tune.records.outcomes import FinishedRun
from vrmpy_tune.toolchain.codegen import CODE_GENERATORS, provenance
from vrmpy_tune.workload import Contraction

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tvm.s_tir import Schedule

    from vrmpy_tune.device.protocol import Device
    from vrmpy_tune.measurement import Measurement
    from vrmpy_tune.records.safe_json import Json
    from vrmpy_tune.target import HexagonTarget
    from vrmpy_tune.toolchain.pool import CodegenPool
    from vrmpy_tune.verification import Verifier
    from vrmpy_tune.workload import Workload

RULES: Final = "metaschedule-default/2"
"""Name and version of the rules, in place of a search space."""

CANDIDATES: Final = 24
"""Candidates drawn for a workload by default, as many as TOOLCHAIN.md counts those that lower."""

PATIENCE: Final = 8
"""So many times as many are drawn before a workload is given up that none of them is right for."""

SEED: Final = 0
SLOWEST: Final = {True: 400, False: 40_000}
"""A candidate is cut at so many times the packet bound, of contractions and of other operators;
plain loops take about as many."""


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


def stored_key(
    workload: Workload, target: HexagonTarget, metric: str, candidates: int, device: Device
) -> str:
    """Return the key under which a store keeps the result, as measured on a device like this."""
    return FinishedRun.key_of(
        workload=str(workload),
        target=target.name,
        metric=metric,
        spaces=[RULES],
        seed=SEED,
        trials=candidates,
        options={"toolchain": dict(provenance(device.info().versions))},
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
    candidates: int = CANDIDATES,
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
    candidates:
        How many are drawn, and up to :data:`PATIENCE` times as many until one is right.
    """
    inputs, output, arguments = _interface(workload, verifier)
    by_tvm = next(one for one in CODE_GENERATORS if one.by_tvm)
    best: Measurement | None = None

    def attempt(schedule: Schedule | None) -> tuple[str, Measurement | None]:
        if schedule is None:
            return "refused", None
        slowest = SLOWEST[isinstance(workload, Contraction)] * workload.packet_bound
        is_total = metric == QEMU_PACKETS
        limit = best.counts.packets_total if best and is_total else slowest
        try:
            kernel = build_kernel(schedule.mod, inputs, output, target, pool, generator=by_tvm)
            return str(Outcome.OK), run_kernel(
                kernel, arguments, verifier, device, target,
                metric=metric, limits=Limits(packets=limit),
            )  # fmt: skip
        except BuildError:
            return str(Outcome.BUILD_ERROR), None
        except VerificationError as error:
            cut = "was cut after" in str(error)
            return str(Outcome.CUT if cut else Outcome.WRONG_RESULT), None

    outcomes: Counter[str] = Counter()
    for schedule in _drawn(workload, target, tvm_lock):
        outcome, measured = attempt(schedule)
        outcomes[outcome] += 1
        if measured is not None and (best is None or measured.value < best.value):
            best = measured
        if outcomes.total() >= candidates * (1 if best else PATIENCE):
            break
    packets = (best.counts.packets_total, best.counts.packets_critical) if best else ()
    return DefaultResult(outcomes.total(), dict(outcomes), *packets)


def _drawn(
    workload: Workload, target: HexagonTarget, tvm_lock: threading.Lock
) -> Iterator[Schedule | None]:
    """Draw candidates, seed after seed."""
    for seed in itertools.count(SEED + 1):
        with tvm_lock:
            found = samples(workload, target, seed)
        if not found:
            return
        yield from found


def _interface(
    workload: Workload, verifier: Verifier
) -> tuple[tuple[TensorSpec, ...], TensorSpec, tuple[tuple[np.ndarray, ...], ...]]:
    """Return the specifications of TVM's program, and its arguments for each input set."""
    arguments = tuple(operands_of(workload, one.operands) for one in verifier.input_sets)
    inputs = tuple(TensorSpec(one.shape, str(one.dtype)) for one in arguments[0])
    return inputs, TensorSpec(workload.output.shape, workload.output.numpy_type), arguments


def operands_of(workload: Workload, operands: Sequence[np.ndarray]) -> tuple[np.ndarray, ...]:
    """Return operands as TVM's program takes them: packed weights, zero points in the bias."""
    if not isinstance(workload, Contraction):
        return tuple(operands)
    named = dict(zip((one.name for one in workload.operands), operands, strict=True))
    weights = named["weights"]
    named["weights"] = pack(weights.reshape(kernel_shape(workload)), 1, offset=False)
    if workload.lzp:
        each = weights.astype(np.int32).sum(axis=tuple(range(1, weights.ndim)), dtype=np.int32)
        named["bias"] = named["bias"] - workload.lzp * each
    return tuple(named.values())
