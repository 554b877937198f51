"""Drawing from a design space without applying what was drawn.

Replaying a trace takes milliseconds, reading its decisions takes microseconds: thousands of choices
can be ranked before the few that are measured are scheduled.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from functools import cache, cached_property
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from tvm.s_tir import Schedule
from tvm.s_tir.schedule import Trace

from vrmpy_tune.replay import trace_json

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence

    import numpy as np
    import tvm

VARIED: Final = ("SamplePerfectTile", "SampleCategorical")
"""Kinds of the instructions whose decisions are drawn here."""

Key: TypeAlias = "tuple[Hashable, tuple[Hashable, ...]]"
"""What equal choices have in common: the design space, and what was chosen in it."""


class PlainTrace:
    """A trace as plain data, with the attributes that :meth:`Space.features` reads of a real one.

    Parameters
    ----------
    steps:
        Instructions in order, from :func:`steps_of`.
    chosen:
        Decisions by the index of their instruction.
    """

    def __init__(self, steps: Sequence[Any], chosen: dict[int, Any]) -> None:
        self.insts = steps
        self.decisions = {steps[index]: decision for index, decision in chosen.items()}

    @property
    def likeness(self) -> Hashable:
        """What tells its design space from others: see :func:`likeness`."""
        return likeness(self.insts)


class _Step:
    """One instruction, with the attributes of TVM's; equal only to itself."""

    def __init__(self, kind: str, inputs: list[Any], attributes: list[Any]) -> None:
        self.kind, self.inputs, self.attrs = SimpleNamespace(name=kind), inputs, attributes


def steps_of(trace: Any) -> list[Any]:
    """Return the instructions of a trace's JSON data as plain objects."""
    return [
        # In JSON, texts are in quotes, other than the names of random variables.
        _Step(
            kind,
            [json.loads(one) if str(one).startswith('"') else one for one in inputs],
            attributes,
        )
        for kind, inputs, attributes, _outputs in trace[0]
    ]


def plain_trace(text: str) -> PlainTrace:
    """Return the plain form of a trace's JSON text, as records carry it."""
    data = json.loads(text)
    return PlainTrace(steps_of(data), dict(data[1]))


def chosen_in(trace: PlainTrace) -> tuple[Hashable, ...]:
    """Return the tiles and categories of a trace: :attr:`Draw.chosen` of the same choice."""
    return tuple(
        tuple(int(part) for part in one) if isinstance(one, list) else int(one)
        for step, one in trace.decisions.items()
        if step.kind.name in VARIED
    )


def _plain_json(trace: Trace) -> Any:
    """Return a trace as JSON data in which TVM's constants are numbers."""
    return json.loads(json.dumps(trace_json(trace), default=lambda constant: constant.value))


@dataclass(frozen=True)
class Draw:
    """One choice from a design space.

    Attributes
    ----------
    design:
        The design space.
    chosen:
        What was chosen, in the order of :attr:`Design.choices`.
    """

    design: Design
    chosen: tuple[Hashable, ...]

    @cached_property
    def plain(self) -> PlainTrace:
        """The choice as a trace to read."""
        return PlainTrace(self.design.steps, self._decisions)

    @property
    def trace(self) -> Trace:
        """The choice as a trace to apply."""
        instructions = list(self.design.trace.insts)
        decisions = {instructions[index]: one for index, one in self._decisions.items()}
        return Trace(instructions, decisions)

    @property
    def key(self) -> Key:
        """What two equal choices have in common; see :meth:`Design.key_of`."""
        return (self.design.name, self.chosen)

    def schedule(self, module: tvm.IRModule) -> Schedule:
        """Apply the choice to the unscheduled program."""
        schedule = Schedule(module, debug_mask="none", error_render_level="none")
        self.trace.apply_to_schedule(schedule, remove_postproc=False)
        return schedule

    @cached_property
    def _decisions(self) -> dict[int, Any]:
        pairs = zip(self.design.choices, self.chosen, strict=True)
        varied = {
            choice.index: list(one) if isinstance(one, tuple) else one for choice, one in pairs
        }
        return {**self.design.fixed, **varied}


@dataclass(frozen=True)
class Choice:
    """One sampling instruction.

    Attributes
    ----------
    index:
        Its place in the trace.
    options:
        Everything that it may return.
    weights:
        Probability of each.
    """

    index: int
    options: tuple[Hashable, ...]
    weights: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Design:
    """One design space: the traces that differ in nothing but decisions.

    Attributes
    ----------
    trace:
        A trace of the space.
    steps:
        Its instructions as plain data.
    choices:
        The decisions that can be drawn here: tiles and categories.
    fixed:
        Other decisions, as they are in ``trace``.
    """

    trace: Trace
    steps: list[Any] = field(repr=False)
    choices: tuple[Choice, ...]
    fixed: dict[int, Any]

    @staticmethod
    def of(trace: Trace) -> Design:
        """Take the design space of a trace."""
        data = _plain_json(trace)
        steps = steps_of(data)
        choices, fixed = [], {}
        for index, decision in data[1]:
            kind, attributes = steps[index].kind.name, steps[index].attrs
            if kind == "SamplePerfectTile":
                parts, largest = (int(one) for one in attributes)
                tiles = _perfect_tiles(math.prod(int(one) for one in decision), parts, largest)
                weights = (1.0 / len(tiles),) * len(tiles)
                choices.append(Choice(index, tiles, weights))
            elif kind == "SampleCategorical":
                probabilities = tuple(float(one) for one in attributes[1])
                choices.append(Choice(index, tuple(range(len(probabilities))), probabilities))
            else:
                fixed[index] = decision
        return Design(trace, steps, tuple(choices), fixed)

    @property
    def size(self) -> int:
        """How many choices there are."""
        return math.prod(len(choice.options) for choice in self.choices)

    @cached_property
    def name(self) -> Hashable:
        """What tells this design space from others of the same program."""
        return _skeleton(self.steps)

    @cached_property
    def likeness(self) -> Hashable:
        """The name without what only the search goes by: see :func:`likeness`."""
        return likeness(self.steps)

    def draw(self, count: int, random: np.random.Generator) -> Iterator[Draw]:
        """Yield up to ``count`` different choices, all of them if there are no more."""
        if self.size <= count:
            yield from (Draw(self, one) for one in self._all())
            return
        seen = set()
        for _ in range(2 * count):
            chosen = tuple(
                choice.options[int(random.choice(len(choice.options), p=choice.weights))]
                for choice in self.choices
            )
            if chosen not in seen:
                seen.add(chosen)
                yield Draw(self, chosen)
            if len(seen) == count:
                return

    def _all(self) -> Iterator[tuple[Hashable, ...]]:
        from itertools import product

        return product(*(choice.options for choice in self.choices))


def key_of(trace: Trace) -> Key:
    """Return what equal choices have in common: :attr:`Draw.key` of the same choice is equal."""
    data = _plain_json(trace)
    chosen = tuple(
        tuple(int(part) for part in one) if isinstance(one, list) else int(one)
        for index, one in data[1]
        if data[0][index][0] in VARIED
    )
    return (_skeleton(steps_of(data)), chosen)


def options_of(key: Key) -> set[Hashable]:
    """Return which innermost tile sizes and categories the choice with this key has."""
    return set(enumerate(body_of(key)[1]))


def body_of(key: Key) -> Key:
    """Return the part of a key that decides on the kernel's innermost loop: how it is split."""
    return (key[0], tuple(one[-1] if isinstance(one, tuple) else one for one in key[1]))


def _skeleton(steps: Sequence[Any]) -> Hashable:
    return tuple(f"{step.kind.name}{step.inputs}{step.attrs}" for step in steps)


def likeness(steps: Sequence[Any]) -> Hashable:
    """Return instructions without the limits and probabilities of what they draw.

    These guide the search, and change no kernel.
    """
    return tuple(
        (
            step.kind.name,
            str(step.inputs),
            str(step.attrs[: 1 if step.kind.name in VARIED else None]),
        )
        for step in steps
    )


@cache
def _perfect_tiles(extent: int, parts: int, largest: int) -> tuple[tuple[int, ...], ...]:
    """Return every way to split ``extent`` into ``parts`` factors, the last at most ``largest``."""
    if parts == 1:
        return ((extent,),) if extent <= largest else ()
    tiles = []
    for last in range(1, min(extent, largest) + 1):
        if extent % last == 0:
            tiles += [(*rest, last) for rest in _perfect_tiles(extent // last, parts - 1, extent)]
    return tuple(tiles)
