"""Sets of workloads that belong together: the layers of a network, or what others measured.

Each suite is generated from a small table of its network's architecture, in a module of its own.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Final

from vrmpy_tune.errors import UsageError
from vrmpy_tune.suites.suite import Member, Suite

__all__ = ["SUITES", "Member", "Suite", "suite_called"]

_MODULE_OF: Final = {
    "peers": "peers",
    "resnet50-int8": "resnet50",
    "mobilenetv2-int8": "mobilenetv2",
    "bert-base-int8": "bert",
    "operators": "operators",
}

SUITES: Final = tuple(_MODULE_OF)
"""Names of all suites."""


@cache
def suite_called(name: str) -> Suite:
    """Return the suite with a name.

    Raises
    ------
    UsageError
        If there is none; the message names those that exist.
    """
    if name not in _MODULE_OF:
        raise UsageError(f"There is no suite '{name}'; use one of {', '.join(SUITES)}.")
    made = import_module(f"vrmpy_tune.suites.{_MODULE_OF[name]}").suite()
    assert isinstance(made, Suite)
    return made
