"""Rebuild, rerun and recheck what a store holds."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from vrmpy_tune.device.open import open_device
from vrmpy_tune.errors import BuildError, StaleRecordError, VerificationError
from vrmpy_tune.measurement import figure_text
from vrmpy_tune.records.record import Identity, Record
from vrmpy_tune.records.same_toolchain import makes_same_code
from vrmpy_tune.replay import named_in, replay_record
from vrmpy_tune.toolchain.codegen import provenance
from vrmpy_tune.toolchain.pool import CodegenPool
from vrmpy_tune.toolchain.versions import require_toolchain
from vrmpy_tune.verification import Verifier

if TYPE_CHECKING:
    from vrmpy_tune.measurement import Measurement
    from vrmpy_tune.records.imported import ImportedTrace


def reverify(record: Record, device: str) -> tuple[bool, str]:
    """Rebuild a record's kernel, run it, and compare output and figure with what is stored.

    Parameters
    ----------
    record:
        The record.
    device:
        Where to run, as after ``--device``.

    Returns
    -------
    holds, sentence:
        Whether the output is right and the figure the same, and what was found.
    """
    try:
        measured, *_ = _measure(record.identity, device)
    except (StaleRecordError, BuildError, VerificationError) as error:
        return False, str(error)
    if measured.value == record.value:
        return (
            True,
            f"{figure_text(measured.value, measured.metric)}, as stored; the output is right.",
        )
    same = makes_same_code(record.toolchain, provenance())
    cause = "the device differs" if same else "the toolchain differs"
    return False, (
        f"{figure_text(measured.value, measured.metric)} instead of "
        f"{figure_text(record.value, record.metric)} ({cause}); the output is right."
    )


def measure_imported(trace: ImportedTrace, device: str) -> Record:
    """Measure an imported trace and return it as a record.

    Raises
    ------
    StaleRecordError, BuildError, VerificationError
        If it cannot be replayed, built, or verified.
    """
    measured, structural_hash, generator, toolchain = _measure(trace.identity, device)
    return Record.from_measurement(
        measured,
        space=trace.identity.space,
        trace=trace.identity.trace,
        seed=None,
        generator=generator,
        toolchain=toolchain,
        structural_hash=structural_hash,
    )


def _measure(identity: Identity, device: str) -> tuple[Measurement, str, str, dict[str, str]]:
    require_toolchain()
    from vrmpy_tune.compiler.kernel import build_kernel, run_kernel
    from vrmpy_tune.tune.candidate import hash_of

    space, workload, target = named_in(identity)
    module = space.module(workload)
    structural_hash = hash_of(module)
    schedule = replay_record(space, workload, target, identity.trace, module=module)
    verifier = Verifier(workload)
    with ExitStack() as stack:
        pool = stack.enter_context(CodegenPool(1))
        opened = stack.enter_context(open_device(device))
        kernel = build_kernel(
            schedule.mod, space.inputs(workload), space.output(workload), target, pool
        )
        measured = run_kernel(
            kernel, verifier.arguments(space), verifier, opened, target, metric=identity.metric
        )
        toolchain = provenance(opened.info().versions)
    return measured, structural_hash, kernel.generator, toolchain
