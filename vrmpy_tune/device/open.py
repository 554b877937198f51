"""Devices by name, as users write them after ``--device``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from vrmpy_tune.errors import DeviceError

if TYPE_CHECKING:
    from collections.abc import Callable

    from vrmpy_tune.device.protocol import Device

SPECIFICATIONS: Final = ("qemu", "fake", "fake:<fault>[,<fault>...]")
"""What :func:`open_device` understands."""


def open_device(specification: str, progress: Callable[[str], None] = lambda _: None) -> Device:
    """Open a device.

    Parameters
    ----------
    specification:
        ``"qemu"``, or ``"fake"`` with faults for its first runs (``"fake:ok,crash,lost"``).
    progress:
        Gets a sentence at the start of each step that takes time.

    Raises
    ------
    DeviceError
        If there is no such device, or it cannot be used here.
    """
    kind, _, rest = specification.partition(":")
    if kind == "qemu" and not rest:
        from vrmpy_tune.device.qemu import QemuDevice

        return QemuDevice(progress)
    if kind == "fake":
        from vrmpy_tune.device.fake import FakeDevice, parse_faults

        return FakeDevice(faults=parse_faults(rest))
    raise DeviceError(
        f"There is no device '{specification}'. Known devices: {', '.join(SPECIFICATIONS)}."
    )
