"""What the fixed rule's schedule of a workload takes: the figure that a record is to beat."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

from vrmpy_tune.compiler.choice import fixed_schedule
from vrmpy_tune.compiler.kernel import build_kernel, measurement_of, run_once
from vrmpy_tune.measurement import QEMU_CRITICAL, QEMU_PACKETS
from vrmpy_tune.records.record import FixedRule

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from vrmpy_tune.device.protocol import Device
    from vrmpy_tune.target import HexagonTarget
    from vrmpy_tune.toolchain.pool import CodegenPool
    from vrmpy_tune.verification import Verifier


def measure_fixed_rule(
    verifier: Verifier,
    target: HexagonTarget,
    pool: CodegenPool,
    device: Device,
    *,
    scheduling: AbstractContextManager[object] | None = None,
) -> FixedRule:
    """Build and run the fixed rule's schedule of the verifier's workload; it is always the same.

    Parameters
    ----------
    verifier, target, pool, device:
        What to measure, for what, and where.
    scheduling:
        Held while the schedule is made, where several threads make some; by default nothing.

    Raises
    ------
    BuildError, VerificationError
        If it cannot be built, or its output is wrong.
    DeviceError
        If the device cannot run it at all, or is gone.
    """
    workload = verifier.workload
    with scheduling or nullcontext():
        space, schedule = fixed_schedule(workload, target)
        module = schedule.mod
    kernel = build_kernel(module, space.inputs(workload), space.output(workload), target, pool)
    result = run_once(kernel, verifier.arguments(space), device, target)
    total, critical = (
        measurement_of(kernel, result, verifier, device, target=target, metric=metric).counts
        for metric in (QEMU_PACKETS, QEMU_CRITICAL)
    )
    return FixedRule(total.packets_total, critical.packets_critical)
