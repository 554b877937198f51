"""What a trace chose, as numbers, and what that should cost.

The estimate is the packet arithmetic of HARDWARE.md ("Multiply forms", "Register blocking"): a
prior for the search before anything was measured, and a feature for the cost model afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from search_spaces.aim import TOTAL
from search_spaces.memory import Memory
from search_spaces.program import Form
from search_spaces.slabs import moving_packets
from search_spaces.space import SKETCH_ANNOTATION
from search_spaces.tiling import Sketch
from vrmpy_tune.toolchain.codegen import CODE_GENERATORS
from vrmpy_tune.workload import ceildiv

if TYPE_CHECKING:
    from tvm.s_tir import Trace

    from search_spaces.aim import Aim
    from search_spaces.geometry import Geometry

LOOP_PACKETS: Final = {"zig-rotate": 1, "zig": 3, "tvm": 2, "packets": 0}
"""Packets that one iteration of the innermost loop adds; read off generated code."""

ROW_PACKETS: Final = 3
"""Packets that one row of the kernel adds to a tile; read off generated code."""

WORDS_PACKETS: Final = 1.5
BYTES_PACKETS: Final = 3.0
"""Starting one accumulator vector, and storing it as it is or requantized; read off generated code:
requantizing takes two packets for two multiplications, and the rest fits beside them."""

TILE_PACKETS: Final = 12
"""Address arithmetic of one register tile; read off generated code."""

SHARED: Final = 0.25
"""Share of what surrounds a reduction that is left when our packet scheduler overlaps it with the
neighbouring tile; read off generated code."""


@dataclass(frozen=True)
class Decisions:
    """The choices of one trace.

    Attributes
    ----------
    sketch:
        Its design space.
    generator:
        Index into :data:`~vrmpy_tune.toolchain.codegen.CODE_GENERATORS`.
    columns:
        Splits of the row of pixels: chunks, tiles in a chunk, pixels in a tile (or units of
        pixels that are requantized together, :attr:`search_spaces.geometry.Geometry.unit`).
    rows:
        Splits of the rows of tiles: chunks, rows in a chunk.
    depth:
        Splits of kernel width x words: iterations, words in the loop body.
    steps:
        Splits of the output vectors whose weights go through VTCM: tasks, slabs in a task; else
        empty.
    """

    sketch: Sketch
    generator: int
    columns: tuple[int, ...]
    rows: tuple[int, ...]
    depth: tuple[int, ...]
    steps: tuple[int, ...] = ()

    @staticmethod
    def of(trace: Trace) -> Decisions:
        """Read the decisions of a trace made by :func:`search_spaces.tiling.apply`."""
        sketch = Sketch(1, 1, vtcm=False)
        generator = 0
        tiles: list[tuple[int, ...]] = []
        for instruction in trace.insts:
            kind = instruction.kind.name
            if kind == "Annotate" and str(instruction.attrs[0]) == SKETCH_ANNOTATION:
                sketch = Sketch.parse(str(instruction.inputs[1]))
            elif kind == "SampleCategorical":
                generator = int(trace.decisions[instruction])
            elif kind == "SamplePerfectTile":
                tiles.append(tuple(int(part) for part in trace.decisions[instruction]))
        columns, rows, depth, *steps = tiles
        return Decisions(sketch, generator, columns, rows, depth, *steps)

    def estimate(
        self,
        geometry: Geometry,
        form: Form,
        memory: Memory = Memory.CACHED,
        *,
        aim: Aim = TOTAL,
    ) -> float:
        """Return the packets that this choice should take, about, and what idle contexts cost."""
        pixels = self.sketch.rows * self.columns[-1] * geometry.unit[0]
        multiplies = self.sketch.vectors * pixels
        words = self.depth[-1]
        rate = 1 if form is Form.SPLAT else 2
        scalar_loads = pixels * ceildiv(words, 2)
        loads = self.sketch.vectors * words + scalar_loads
        issue = max(
            multiplies * words / rate, loads / 2, float(self.sketch.vectors * words), scalar_loads
        )
        generator = CODE_GENERATORS[self.generator]
        loop = LOOP_PACKETS[generator.name] if self.depth[0] > 1 else 0
        share = SHARED if generator.schedules_packets else 1.0
        rows = geometry.kernel[0] * (self.depth[0] * (issue + loop) + share * ROW_PACKETS)
        behind = BYTES_PACKETS if geometry.narrow else WORDS_PACKETS * share
        tile = rows + behind * multiplies + share * TILE_PACKETS
        tiles = geometry.batch * (geometry.height // self.sketch.rows)
        tiles *= self.columns[0] * self.columns[1] * geometry.groups
        tiles *= geometry.vectors // self.sketch.vectors
        tasks = self.columns[0] * self.rows[0] * geometry.groups
        tasks *= self.steps[0] if self.steps else geometry.vectors // self.sketch.vectors
        if not self.steps:
            return tiles * tile * aim.factor(tasks)
        chunks = self.columns[0] * self.rows[0]
        moving = moving_packets(memory, geometry, chunks, self.steps[-1])
        # VTCM is for time, on all contexts.
        return (tiles * tile + moving) * (1 + aim.idleness(tasks))

    def numbers(
        self,
        geometry: Geometry,
        form: Form,
        memory: Memory = Memory.CACHED,
        *,
        aim: Aim = TOTAL,
    ) -> list[float]:
        """Return the choice as features: sizes, register use, reuse, and the estimate."""
        pixels = self.sketch.rows * self.columns[-1] * geometry.unit[0]
        vectors, words = self.sketch.vectors, self.depth[-1]
        bound = geometry.pixels * geometry.vectors * geometry.words * geometry.kernel[0]
        bound *= geometry.kernel[1] * geometry.groups
        return [
            vectors,
            self.sketch.rows,
            float(self.steps[-1] if self.steps else self.sketch.vtcm),
            *(float(self.generator == index) for index in range(len(CODE_GENERATORS))),
            self.columns[-1],
            words,
            float(words % 2 == 0),
            vectors * pixels,
            vectors * pixels + vectors,
            vectors * pixels * words,
            1.0 / vectors + 1.0 / pixels,
            self.columns[0] * self.rows[0],
            self.columns[1],
            self.rows[1],
            self.depth[0],
            self.estimate(geometry, form, memory, aim=aim) / max(1, bound),
        ]
