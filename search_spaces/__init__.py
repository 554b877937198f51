"""What may be chosen for each operator.

A new operator is a new module here with a ``SPACES`` tuple, listed in :data:`MODULES`, and a
specification in :mod:`vrmpy_tune.workload`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final

from search_spaces.memory import Memory

if TYPE_CHECKING:
    import tvm

    from search_spaces.space import Space
    from vrmpy_tune.target import HexagonTarget
    from vrmpy_tune.workload import Workload

MODULES: Final = (
    "dense",
    "conv2d",
    "depthwise_conv2d",
    "elementwise",
    "max_pool2d",
    "average_pooling",
    "pad",
    "layout",
    "concat",
    "conversion",
)


def all_spaces() -> tuple[Space, ...]:
    """Return every search space."""
    return tuple(
        space
        for name in MODULES
        for space in importlib.import_module(f"search_spaces.{name}").SPACES
    )


def spaces_for(
    workload: Workload, target: HexagonTarget, memories: tuple[Memory, ...] = (Memory.CACHED,)
) -> tuple[Space, ...]:
    """Return the spaces that can hold the best kernel of ``workload`` on ``target``.

    Parameters
    ----------
    memories:
        Where weights may be while they are multiplied.  By packets, VTCM never pays.
    """
    return tuple(
        space
        for space in all_spaces()
        if space.memory in memories and space.applies(workload, target)
    )


def find_space(name: str) -> Space | None:
    """Return the space called ``name``, for example ``"dense.scalar/3"``, or ``None``."""
    return next((space for space in all_spaces() if space.name == name), None)


def base_module(workload_text: str, space_name: str) -> tvm.IRModule:
    """Return the program that a record's trace replays on.

    Raises
    ------
    WorkloadError
        If the text is not a workload.
    StaleRecordError
        If the space, or that version of it, does not exist any more.
    """
    from vrmpy_tune.errors import StaleRecordError
    from vrmpy_tune.workload import parse_workload

    workload = parse_workload(workload_text)
    space = find_space(space_name)
    if space is None:
        known = ", ".join(one.name for one in all_spaces())
        raise StaleRecordError(
            f"The search space '{space_name}' of a record for {workload_text} does not exist in "
            f"this version; it has {known}. Tune the workload again."
        )
    return space.module(workload)
