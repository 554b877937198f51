"""Devices by name, as users write them after ``--device``."""

from __future__ import annotations

import importlib
import shlex
from typing import TYPE_CHECKING, Final

from vrmpy_tune.errors import DeviceError

if TYPE_CHECKING:
    from collections.abc import Callable

    from vrmpy_tune.device.protocol import Device

SPECIFICATIONS: Final = (
    "qemu",
    "rpc://<host>:<port>/<key>[?slots=<n>]",
    "command:<program> [<argument>...]",
    "python:<module>:<factory>",
    "fake",
    "fake:<fault>[,<fault>...]",
)
"""What :func:`open_device` understands."""


def open_device(specification: str, progress: Callable[[str], None] = lambda _: None) -> Device:
    """Open a device.

    Parameters
    ----------
    specification:
        ``"qemu"``; a farm, ``"rpc://host:port/key"``; an external program,
        ``"command: program argument"``; anyone's own class, ``"python:package.module:Factory"``,
        which is called without arguments; or ``"fake"`` with faults for its first runs
        (``"fake:ok,crash,lost"``).
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
    if kind == "rpc" and rest.startswith("//"):
        from vrmpy_tune.device.rpc import RpcDevice

        return RpcDevice(specification)
    if kind == "command":
        from vrmpy_tune.device.command import CommandDevice

        return CommandDevice(shlex.split(rest))
    if kind == "python":
        return _own_device(rest)
    raise DeviceError(
        f"There is no device '{specification}'. Known devices: {', '.join(SPECIFICATIONS)}."
    )


def _own_device(name: str) -> Device:
    module, _, factory = name.rpartition(":")
    try:
        make: Callable[[], Device] = getattr(importlib.import_module(module), factory)
        return make()
    except (ImportError, AttributeError, ValueError) as error:
        raise DeviceError(
            f"'{name}' names no device: {error}. Write python:package.module:Factory."
        ) from error
