"""Draw candidates at random and count how many build, run and verify."""

from __future__ import annotations

import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from search_spaces import spaces_for
from vrmpy_tune.device.open import open_device
from vrmpy_tune.measurement import DEFAULT_METRIC, Outcome
from vrmpy_tune.records.location import open_store
from vrmpy_tune.toolchain.pool import CodegenPool
from vrmpy_tune.toolchain.versions import require_toolchain
from vrmpy_tune.tune.task import Task
from vrmpy_tune.verification import Verifier
from vrmpy_tune.workload import parse_workload

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vrmpy_tune.target import HexagonTarget
    from vrmpy_tune.tune.candidate import Candidate
    from vrmpy_tune.workload import Workload

WORKLOADS: Final = (
    "dense:m=128,n=96,k=64,lhs=u8,rhs=u8",
    "dense:m=129,n=33,k=7,lhs=u8,rhs=i8",
    "dense:m=1,n=129,k=31,lhs=i8,rhs=u8",
    "dense:m=31,n=32,k=33,lhs=i8,rhs=i8",
    "dense:m=7,n=1,k=3,lhs=u8,rhs=u8",
    "conv2d:n=1,h=14,w=14,ci=32,co=64,kh=3,kw=3,stride=1,pad=1,lhs=u8,rhs=u8",
    "conv2d:n=1,h=14,w=14,ci=64,co=32,kh=1,kw=1,stride=1,pad=0,lhs=u8,rhs=i8",
    "conv2d:n=1,h=23,w=23,ci=3,co=32,kh=7,kw=7,stride=2,pad=3,lhs=u8,rhs=i8",
    "conv2d:n=2,h=9,w=7,ci=6,co=10,kh=3,kw=3,stride=2x1,pad=1,groups=2,lhs=i8,rhs=i8",
    "conv2d:n=1,h=7,w=31,ci=33,co=33,kh=1,kw=3,stride=1,pad=0x1,lhs=i8,rhs=u8",
    "conv2d:n=1,h=17,w=17,ci=7,co=31,kh=3,kw=3,stride=1,pad=2,dilation=2,lhs=u8,rhs=u8",
    "conv2d:n=1,h=8,w=8,ci=16,co=48,kh=1,kw=1,stride=2,pad=0,lhs=u8,rhs=i8",
    "conv2d:n=1,h=9,w=9,ci=12,co=40,kh=3,kw=3,stride=1,pad=0x0x1x1,lhs=u8,rhs=i8,layout=nchw",
    "conv2d:n=1,h=1,w=1,ci=129,co=65,kh=1,kw=1,stride=1,pad=0,lhs=i8,rhs=i8",
    "dense:m=31,n=33,k=33,lhs=i8,rhs=i8,bias=1,lzp=-3,rzp=5",
    "dense:m=33,n=64,k=32,lhs=u8,rhs=i8,out=i8,bias=1,requant=tensor,act=clip,residual=1",
    "conv2d:n=1,h=14,w=14,ci=32,co=64,kh=3,kw=3,stride=1,pad=1,lhs=u8,rhs=i8,out=u8,bias=1,"
    "requant=channel,act=relu,lzp=7",
    "conv2d:n=1,h=7,w=7,ci=64,co=128,kh=1,kw=1,stride=1,pad=0,lhs=u8,rhs=i8,out=u8,bias=1,"
    "requant=channel,act=relu,residual=1,lzp=128",
    "conv2d:n=1,h=9,w=9,ci=12,co=40,kh=3,kw=3,stride=2,pad=1,lhs=i8,rhs=u8,layout=nchw,out=i8,"
    "requant=tensor,residual=1,rzp=128",
    "depthwise_conv2d:n=1,h=9,w=9,c=129,kh=3,kw=3,stride=2,pad=1,lhs=u8,rhs=i8,out=u8,bias=1,"
    "requant=channel,act=relu",
    "add:shape=3x7x129,lhs=u8,rhs=i8,out=u8,act=relu",
    "multiply:shape=33x128,lhs=i8,rhs=u8,out=i8",
    "clip:shape=2081,dtype=i8",
    "max_pool2d:n=1,h=9,w=16,c=64,kh=3,kw=3,stride=2,pad=1,dtype=u8",
    "avg_pool2d:n=1,h=9,w=7,c=33,kh=3,kw=3,stride=1,pad=1,dtype=i8,include_pad=0",
    "global_avg_pool2d:n=1,h=7,w=7,c=131,dtype=u8",
    "pad:n=1,h=7,w=6,c=64,pad=1,dtype=u8,value=3",
    "layout:n=1,h=7,w=7,c=31,to=nhwc,dtype=u8",
    "concat:rows=7,parts=33x64,dtype=u8",
    "quantize:shape=3x33,dtype=i8",
    "dequantize:shape=3x129,dtype=u8",
)
"""Small workloads of every operator, form and data type, most of them of odd sizes."""

MESSAGES_KEPT: Final = 20


@dataclass
class SpaceReport:
    """What became of the samples.

    Attributes
    ----------
    samples, verified:
        Candidates drawn, and those whose output was right.
    failures:
        Number of the others by class.
    rows:
        For each workload its spaces, samples and verified samples.
    messages:
        The first failures in words.
    wall_s:
        Seconds it took.
    """

    samples: int = 0
    verified: int = 0
    failures: dict[str, int] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    wall_s: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """Return the document of ``spaces --check --json``."""
        return {
            "samples": self.samples,
            "verified": self.verified,
            "verified_fraction": self.verified / self.samples if self.samples else None,
            "failures": dict(sorted(self.failures.items())),
            "workloads": self.rows,
            "messages": self.messages,
            "wall_s": round(self.wall_s, 1),
        }


def check_spaces(
    *,
    samples: int,
    seed: int,
    target: HexagonTarget,
    device: str = "qemu",
    workloads: Sequence[Workload] | None = None,
    fixed: bool = False,
    progress: Callable[[str], None] = lambda _: None,
) -> SpaceReport:
    """Draw ``samples`` candidates over all workloads; build, run and verify each.

    Parameters
    ----------
    samples, seed:
        How many, and the seed of the draw.
    target, device:
        What to build for and where to run.
    workloads:
        :data:`WORKLOADS` by default.
    fixed:
        Whether the first candidate of each workload is what the fixed rule chooses for it.
    progress:
        Told after each workload.
    """
    require_toolchain()
    from vrmpy_tune.tune.evaluator import Evaluator

    chosen = list(workloads) if workloads else [parse_workload(text) for text in WORKLOADS]
    report, started = SpaceReport(), time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="vrmpy-tune-") as directory,
        open_store(Path(directory) / "check.db") as store,
        open_device(device) as opened,
        CodegenPool(opened.info().slots) as pool,
        ThreadPoolExecutor(opened.info().slots) as threads,
    ):
        evaluator = Evaluator(opened, pool, store, target, DEFAULT_METRIC, seed=seed)
        for index, workload in enumerate(chosen):
            share = samples * (index + 1) // len(chosen) - samples * index // len(chosen)
            verifier = Verifier(workload)
            candidates = draw(workload, target, verifier, share, seed + index, fixed=fixed)
            ended = list(
                threads.map(lambda one, v=verifier: evaluator.evaluate(one, v), candidates)
            )
            good = sum(one.outcome is Outcome.OK for one in ended)
            report.samples += len(ended)
            report.verified += good
            for one in ended:
                if one.outcome is not Outcome.OK:
                    report.failures[one.outcome] = report.failures.get(one.outcome, 0) + 1
                    report.messages.append(f"{workload}: {one.outcome}: {one.message}")
            spaces = sorted({one.space.name for one in candidates})
            report.rows.append(
                {
                    "workload": str(workload),
                    "spaces": spaces,
                    "samples": len(ended),
                    "verified": good,
                }
            )
            progress(f"{workload}: {good} of {len(ended)} verified")
    del report.messages[MESSAGES_KEPT:]
    report.wall_s = time.monotonic() - started
    return report


def draw(
    workload: Workload,
    target: HexagonTarget,
    verifier: Verifier,
    number: int,
    seed: int,
    *,
    fixed: bool = False,
) -> list[Candidate]:
    """Draw ``number`` candidates, evenly over the design spaces of all spaces.

    With ``fixed``, the first is the one that the fixed rule chooses.
    """
    from tvm.s_tir import Schedule

    from vrmpy_tune.compiler.choice import fixed_schedule
    from vrmpy_tune.tune.candidate import Candidate

    random = np.random.default_rng(seed)
    tasks = [Task(workload, space, number, verifier) for space in spaces_for(workload, target)]
    candidates: list[Candidate] = []
    if fixed:
        space, chosen = fixed_schedule(workload, target)
        (task,) = (task for task in tasks if task.space.name == space.name)
        candidates.append(Candidate.of(task, chosen))
    while len(candidates) < number:
        for task in tasks:
            generate = task.space.generator(workload, target)
            base = Schedule(task.module, seed=int(random.integers(1, 2**31 - 1)))
            candidates += [Candidate.of(task, schedule) for schedule in generate(base)]
    return candidates[:number]
