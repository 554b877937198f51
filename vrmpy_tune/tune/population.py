"""The first population: what the packet arithmetic thinks best, spread over the design spaces."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from vrmpy_tune.tune.draws import body_of, options_of

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Sequence

    from vrmpy_tune.tune.draws import Design, Draw, Key

DRAWS: Final = 512
"""Choices drawn from each design space to pick the first population from."""

CROWDING: Final = 0.03
"""By how much each choice already taken from a design space makes its next one look worse: about
what the arithmetic is off by, so that design spaces that it thinks equal are all tried."""


TOLERANCE: Final = 1.4
"""What no candidate had yet is tried if it looks at most this many times worse than the best: the
arithmetic does not know, for example, which loops LLVM pipelines."""


def draw_all(designs: Sequence[Design], count: int, random: np.random.Generator) -> list[Draw]:
    """Draw up to ``count`` choices from each design space."""
    return [draw for design in designs for draw in design.draw(count, random)]


def first_population(
    draws: Sequence[Draw],
    estimate: Callable[[Draw], float],
    count: int,
    seeds: Iterable[Draw],
    random: np.random.Generator,
    *,
    explored: int = 0,
) -> list[Draw]:
    """Pick what is measured first.

    Parameters
    ----------
    draws:
        What to pick from.
    estimate:
        Packets that a choice should take, about.
    count:
        How many to pick, at most.
    seeds:
        Choices that come first, for example what was good for a similar workload.
    random:
        Chooses among equal ones.
    explored:
        How many of them to pick by :func:`unexplored`.
    """
    picked: dict[Key, Draw] = {}
    for seed in seeds:
        if len(picked) < count:
            picked.setdefault(seed.key, seed)
    taken: dict[Design, int] = {}
    for draw in picked.values():
        taken[draw.design] = taken.get(draw.design, 0) + 1
    # Of choices that cost the same by the arithmetic, one is tried before any second one.
    queues: dict[Design, list[tuple[float, Draw]]] = {}
    for index in random.permutation(len(draws)):
        draw = draws[int(index)]
        queues.setdefault(draw.design, []).append((estimate(draw), draw))
    for design, queue in queues.items():
        queues[design] = _distinct_first(queue)
    while len(picked) < count - explored and queues:
        design = min(
            queues, key=lambda one: queues[one][0][0] * (1.0 + CROWDING) ** taken.get(one, 0)
        )
        _, draw = queues[design].pop(0)
        if not queues[design]:
            del queues[design]
        if draw.key not in picked:
            picked[draw.key] = draw
            taken[design] = taken.get(design, 0) + 1
    ranked = sorted(draws, key=estimate)
    left = min(explored, count - len(picked))
    others = unexplored(ranked, [estimate(draw) for draw in ranked], picked, left)
    return [*picked.values(), *others]


def unexplored(
    ranked: Sequence[Draw], costs: Sequence[float], sent: Iterable[Key], count: int
) -> list[Draw]:
    """Return the best choices that have something which no candidate had yet.

    First come, for up to half of them, tile sizes and categories that are new; then innermost loops
    that are new as a whole.

    Parameters
    ----------
    ranked, costs:
        Choices, best first, and how many packets each should take, up to a constant.
    sent:
        Keys of the candidates so far.
    count:
        How many to return, at most.
    """
    options: set[Hashable] = set()
    bodies: set[Hashable] = set()
    for key in sent:
        options |= options_of(key)
        bodies.add(body_of(key))
    good = [draw for draw, cost in zip(ranked, costs, strict=True) if cost <= TOLERANCE * costs[0]]
    found: list[Draw] = []
    for draw in good:
        if len(found) >= -(-count // 2):
            break
        if not options_of(draw.key) <= options:
            options |= options_of(draw.key)
            bodies.add(body_of(draw.key))
            found.append(draw)
    for draw in good:
        if len(found) >= count:
            break
        if body_of(draw.key) not in bodies:
            bodies.add(body_of(draw.key))
            found.append(draw)
    return found


def _distinct_first(queue: list[tuple[float, Draw]]) -> list[tuple[float, Draw]]:
    """Order by estimate, each value once before any a second time."""
    seen: dict[float, int] = {}
    ranked = []
    for cost, draw in queue:
        repeat = seen.get(cost, 0)
        seen[cost] = repeat + 1
        ranked.append((repeat, cost, draw))
    ranked.sort(key=lambda one: one[:2])
    return [(cost, draw) for _, cost, draw in ranked]
