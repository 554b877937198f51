"""The first population: good by the arithmetic, and spread over the design spaces."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from vrmpy_tune.tune.population import TOLERANCE, draw_all, first_population, unexplored


@dataclass(frozen=True)
class Item:
    """Stands in for a draw."""

    design: Any
    cost: float
    number: int = 0

    @property
    def key(self) -> Any:
        return (self.design, (self.cost, self.number))


class Shelf:
    """Stands in for a design space."""

    def __init__(self, items: list[Item]) -> None:
        self.items = items

    def draw(self, count: int, _: Any) -> list[Item]:
        return self.items[:count]


def pick(items: list[Item], count: int, seeds: list[Item] | None = None, seed: int = 0) -> Any:
    random = np.random.default_rng(seed)
    return first_population(items, lambda one: one.cost, count, seeds or [], random)  # type: ignore[arg-type,attr-defined,return-value]


def test_the_best_of_each_design_space_that_is_about_as_good_comes_first() -> None:
    items = [
        Item(name, base + step) for name, base in (("a", 100), ("b", 101)) for step in range(9)
    ]
    items += [Item("hopeless", 1000)]
    picked = pick(items, 6)
    assert [one.key for one in picked[:2]] == [("a", (100, 0)), ("b", (101, 0))]
    assert Counter(one.design for one in picked) == {"a": 3, "b": 3}


def test_a_design_space_that_is_far_behind_gets_nothing_while_there_is_better() -> None:
    items = [Item("a", 100 + step) for step in range(9)] + [Item("b", 300)]
    assert {one.design for one in pick(items, 8)} == {"a"}
    assert len(pick(items, 99)) == len(items)


def test_of_choices_that_cost_the_same_only_one_is_tried_at_first() -> None:
    items = [Item("a", 100, number) for number in range(20)] + [Item("a", 105), Item("a", 110)]
    assert {one.cost for one in pick(items, 3)} == {100, 105, 110}
    assert len({one.key for one in pick(items, 9)}) == 9
    assert pick(items, 3, seed=1) != pick(items, 3, seed=2)
    assert pick(items, 3, seed=1) == pick(items, 3, seed=1)


def test_seeds_come_first_and_once() -> None:
    items = [Item("a", 100 + step) for step in range(9)]
    seeds = [items[7], items[7], items[0]]
    picked = pick(items, 4, seeds)
    assert picked[:2] == [items[7], items[0]]
    assert len({one.key for one in picked}) == 4
    assert pick(items, 1, seeds) == [items[7]]


def test_sizes_that_nobody_had_are_tried_first_then_new_combinations_of_known_ones() -> None:
    known = [Item("a", 100, 1), Item("a", 101, 2)]
    combinations = [Item("a", 100, 2), Item("a", 101, 1)]
    sizes = [Item("a", 102, 1), Item("a", 103, 2), Item("a", 110, 3)]
    ranked = [*known, *combinations, *sizes, Item("a", 100 * TOLERANCE + 1, 6)]
    costs = [one.cost for one in ranked]

    def tried(count: int, sent: list[Item]) -> Any:
        return unexplored(ranked, costs, [one.key for one in sent], count)  # type: ignore[arg-type]

    assert tried(4, known) == [*sizes[:2], *combinations]
    assert tried(9, known) == [*sizes, *combinations]
    assert tried(1, known) == sizes[:1]
    assert tried(9, ranked) == []
    assert unexplored([], [], [], 3) == []


def test_a_share_of_the_first_population_explores() -> None:
    items = [Item("a", 100 + step / 100, 0) for step in range(50)]
    items += [Item("a", 110, number) for number in (1, 2, 3)]
    random = np.random.default_rng(0)
    picked: Any = first_population(items, lambda one: one.cost, 8, [], random, explored=2)  # type: ignore[arg-type,attr-defined,return-value]
    assert len(picked) == 8
    assert {one.cost for one in picked[:6]} == {100 + step / 100 for step in range(6)}


def test_every_design_space_is_drawn_from() -> None:
    shelves = [Shelf([Item(name, 1, number) for number in range(9)]) for name in "abc"]
    drawn = draw_all(shelves, 4, np.random.default_rng(0))  # type: ignore[arg-type]
    assert Counter(one.design for one in drawn) == {"a": 4, "b": 4, "c": 4}


def test_no_more_are_picked_than_asked_though_seeds_fill_the_population() -> None:
    items = [Item("a", 100 + step) for step in range(9)]
    random = np.random.default_rng(0)
    picked = first_population(
        items,
        lambda one: one.cost,
        2,
        items[:2],
        random,
        explored=1,  # type: ignore[arg-type,attr-defined,return-value]
    )
    assert [one.key for one in picked] == [one.key for one in items[:2]]
