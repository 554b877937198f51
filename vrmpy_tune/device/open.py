"""Devices by name, as users write them after ``--device``."""

from __future__ import annotations

import importlib
import shlex
from typing import TYPE_CHECKING, Final

from vrmpy_tune.errors import DeviceError, UsageError, VrmpyTuneError

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

METHODS: Final = ("info", "run", "close", "__enter__", "__exit__")
"""What a device of anyone's own must have at the least."""


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
    UsageError
        If the text is no command, or its factory makes no device.
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

        try:
            return CommandDevice(shlex.split(rest))
        except ValueError as error:
            raise UsageError(
                f"'{specification}' is no command: {error}. Quote it as a shell would read it."
            ) from error
    if kind == "python":
        return _own_device(rest)
    raise DeviceError(
        f"There is no device '{specification}'. Known devices: {', '.join(SPECIFICATIONS)}."
    )


def _own_device(name: str) -> Device:
    module, _, factory = name.rpartition(":")
    try:
        make: Callable[[], Device] = getattr(importlib.import_module(module), factory)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise DeviceError(
            f"'{name}' names no device: {error}. Write python:package.module:Factory."
        ) from error
    try:
        made = make()
    except VrmpyTuneError:
        raise
    except (Exception, SystemExit) as error:
        # Whatever it is, a call without arguments does not make a device of it.
        raise UsageError(
            f"'{name}' makes no device: {type(error).__name__}: {error}. "
            "Name a class or a function that is called without arguments."
        ) from error
    if not all(callable(getattr(made, method, None)) for method in METHODS):
        raise UsageError(
            f"'{name}' makes no device but an object of type {type(made).__name__}; a device has "
            f"the methods {', '.join(METHODS)}."
        )
    return made
