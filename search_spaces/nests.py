"""Programs in whole vectors: their loops, and the choices that all such spaces have.

The body of every block is written in instructions (:mod:`vrmpy_tune.intrin.hvx`), so that what is
left to choose is the loops round it: how many rows and vectors one unrolled body holds, in which
LLVM shares loads and shuffles; how many of them make a parallel task; and the code generator.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import tvm
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as T

from search_spaces.aim import TOTAL
from search_spaces.space import Space, Tiling
from vrmpy_tune.toolchain.codegen import ANNOTATION as CODEGEN_ANNOTATION
from vrmpy_tune.toolchain.codegen import CODE_GENERATORS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tvm.s_tir import Schedule, Trace

    from search_spaces.aim import Aim
    from vrmpy_tune.target import HexagonTarget
    from vrmpy_tune.toolchain.codegen import CodeGenerator
    from vrmpy_tune.workload import Workload

MAX_LOOPS: Final = 4
"""Most loops of a nest with choices."""

SLOWDOWN: Final = 2.0
"""What our packet scheduler makes of loops without vrmpy, next to LLVM: it gives many of their
instructions a packet each; measured on addition (1.6) and max pooling (3.3)."""

OWN_PRIOR: Final = 0.1
"""Share of random samples that it makes the packets of, all the same."""


@dataclass(frozen=True)
class Nest:
    """The loops round one block.

    Attributes
    ----------
    block:
        Name of the block.
    extents:
        Extents of its loops, outermost first.
    tiles:
        For each loop the most iterations that an unrolled body may hold; 1 if it is not split.
    parallel:
        How many of the outer loops are spread over the contexts.
    """

    block: str
    extents: tuple[int, ...]
    tiles: tuple[int, ...]
    parallel: int = 1

    @property
    def body(self) -> int:
        """Iterations in the largest unrolled body."""
        return product(self.tiles)

    @property
    def tilings(self) -> tuple[Tiling, ...]:
        """The tiles that :func:`tile_nest` draws."""
        loops = zip(self.extents, self.tiles, strict=True)
        return tuple(Tiling(extent, 2, limit) for extent, limit in loops if limit > 1)


@contextmanager
def function(workload: Workload) -> Iterator[IRBuilder]:
    """Build the function ``main`` of a program.

    It says how many operations it has: TVM's task scheduler cannot count those of vectors.
    """
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_name("main")
        attributes = {"tirx.noalias": True, "estimated_flops": workload.macs}
        T.func_attr({"global_symbol": "main", **attributes})
        yield builder


@contextmanager
def block(nest: Nest, reads: Sequence[Any], writes: Any) -> Iterator[list[Any]]:
    """Open the block of a nest; yields its iteration variables.

    Parameters
    ----------
    reads, writes:
        Buffers that it reads, and the one that it writes: the regions are stated as all of them,
        since blocks are not moved into each other.
    """
    with T.grid(*nest.extents) as loops, T.sblock(nest.block):
        several = [loops] if isinstance(loops, tvm.tirx.Var) else list(loops)
        axes = [T.axis.spatial(e, loop) for e, loop in zip(nest.extents, several, strict=True)]
        T.reads(*(whole(one) for one in reads))
        T.writes(whole(writes))
        yield axes


@dataclass(frozen=True)
class NestSpace(Space):
    """A space whose programs are nests of blocks in whole vectors."""

    @abstractmethod
    def nests(self, workload: Workload) -> tuple[Nest, ...]:
        """Return the nests of the program, the one that costs most first."""

    @abstractmethod
    def cost(self, workload: Workload, tile: tuple[int, ...]) -> float:
        """Return the packets, about, of the first nest with unrolled bodies of ``tile``."""

    def schedule(self, sch: Schedule, workload: Workload) -> None:
        """Draw the tiles of all nests and apply them."""
        for nest in self.nests(workload):
            tile_nest(sch, nest)

    def generator(  # noqa: D102
        self, workload: Workload, target: HexagonTarget
    ) -> Callable[[Schedule], list[Schedule]]:
        from tvm.s_tir import Schedule

        def generate(base: Schedule) -> list[Schedule]:
            # Not base.copy(): in TVM 0.27 copies share nodes that primitives change in place.
            schedule = Schedule(self.module(workload), seed=base.fork_seed())
            self._draw(schedule, workload)
            return [schedule]

        return generate

    def _draw(self, schedule: Schedule, workload: Workload) -> None:
        self.schedule(schedule, workload)
        priors = [_prior(generator) for generator in CODE_GENERATORS]
        choice = schedule.sample_categorical(list(range(len(priors))), priors)
        schedule.annotate(schedule.get_sblock("root"), CODEGEN_ANNOTATION, choice)

    def tilings(  # noqa: D102
        self, workload: Workload, target: HexagonTarget, sketch: str
    ) -> tuple[Tiling, ...] | None:
        return tuple(one for nest in self.nests(workload) for one in nest.tilings)

    def design(  # noqa: D102
        self, workload: Workload, target: HexagonTarget, sketch: str
    ) -> Schedule | None:
        from tvm.s_tir import Schedule

        schedule = Schedule(self.module(workload), seed=1)
        self._draw(schedule, workload)
        return schedule

    def estimate(self, workload: Workload, trace: Trace, aim: Aim = TOTAL) -> float:  # noqa: D102
        choices = _Choices.of(trace)
        first = self.nests(workload)[0]
        tile = choices.tile(first)
        tasks = product(_outer(first, tile)[: first.parallel])
        return choices.slowdown * self.cost(workload, tile) * aim.factor(tasks)

    def features(  # noqa: D102
        self, workload: Workload, trace: Trace, aim: Aim = TOTAL
    ) -> list[float]:
        choices = _Choices.of(trace)
        first = self.nests(workload)[0]
        tile = choices.tile(first)
        outer = _outer(first, tile)
        pads = [1] * (MAX_LOOPS - len(tile))
        return [
            *(float(choices.generator == index) for index in range(len(CODE_GENERATORS))),
            *(float(one) for one in (*tile, *pads)),
            *(float(one) for one in (*outer, *pads)),
            float(product(tile)),
            float(product(outer[: first.parallel])),
            self.estimate(workload, trace, aim) / max(1, workload.packet_bound),
        ]


def _outer(nest: Nest, tile: tuple[int, ...]) -> tuple[int, ...]:
    """Return the extents of the loops round a tile."""
    return tuple(extent // inner for extent, inner in zip(nest.extents, tile, strict=True))


def _prior(generator: CodeGenerator) -> float:
    """Return with which probability a random sample takes a code generator: seldom our packets."""
    own = sum(one.prior for one in CODE_GENERATORS if one.schedules_packets)
    rest = generator.prior / (1 - own)
    return OWN_PRIOR if generator.schedules_packets else (1 - OWN_PRIOR) * rest


def product(extents: tuple[int, ...]) -> int:
    """Multiply extents."""
    result = 1
    for extent in extents:
        result *= extent
    return result


def module(builder: IRBuilder) -> tvm.IRModule:
    """Return the program that :func:`function` built."""
    return tvm.IRModule({"main": builder.get()})


def tile_nest(sch: Schedule, nest: Nest) -> None:
    """Draw the tile of a nest; run its outer loops in parallel and unroll the tile."""
    outer, inner = [], []
    for loop, limit in zip(sch.get_loops(sch.get_sblock(nest.block)), nest.tiles, strict=True):
        if limit > 1:
            tile = sch.sample_perfect_tile(loop, n=2, max_innermost_factor=limit)
            first, second = sch.split(loop, tile)
            outer.append(first)
            inner.append(second)
        else:
            outer.append(loop)
    if inner:
        sch.reorder(*outer, *inner)
    sch.parallel(sch.fuse(*outer[: nest.parallel]) if nest.parallel > 1 else outer[0])
    for loop in inner:
        sch.unroll(loop)


def whole(buffer: Any) -> Any:
    """Return the region of all of a buffer."""
    return buffer[tuple(slice(0, extent) for extent in buffer.shape)]


@dataclass(frozen=True)
class _Choices:
    """The choices of a trace: the code generator, and the tiles in order of the nests."""

    generator: int
    tiles: tuple[int, ...]

    @staticmethod
    def of(trace: Trace) -> _Choices:
        generator, tiles = 0, []
        for instruction in trace.insts:
            kind = instruction.kind.name
            if kind == "SampleCategorical":
                generator = int(trace.decisions[instruction])
            elif kind == "SamplePerfectTile":
                tiles.append(int(trace.decisions[instruction][-1]))
        return _Choices(generator, tuple(tiles))

    @property
    def slowdown(self) -> float:
        return SLOWDOWN if CODE_GENERATORS[self.generator].schedules_packets else 1.0

    def tile(self, first: Nest) -> tuple[int, ...]:
        drawn = iter(self.tiles)
        return tuple(next(drawn) if limit > 1 else 1 for limit in first.tiles)
