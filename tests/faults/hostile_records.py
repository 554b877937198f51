"""Mutants of records through everything that reads records: run ``python -m`` this module.

Every mutant has one value of its line changed.  A child process takes them one after another
through the importer, the lookup of a compilation (its own records and a variant's), the neighbours
that ``explain`` lists, what ``tune`` takes from similar workloads, and ``records verify``.  If it
dies, the mutant is counted, and another child goes on behind it.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

from vrmpy_tune.errors import VrmpyTuneError
from vrmpy_tune.records import Identity, JsonLinesStore, Record, import_json_lines, open_store
from vrmpy_tune.records.jsonlines import encode_line
from vrmpy_tune.records.record import canonical_trace
from vrmpy_tune.records.safe_json import canonical_json
from vrmpy_tune.records.shipped import shipped_records

WORKLOADS: Final = {
    "dense:m=128,n=768,k=768,lhs=u8,rhs=u8": "dense:m=96,n=768,k=768,lhs=u8,rhs=u8",
    # Of an older version of the space: its instructions are not those of today.
    "conv2d:n=1,h=7,w=7,ci=160,co=960,kh=1,kw=1,stride=1,pad=0,lhs=u8,rhs=i8,out=u8,bias=1,"
    "requant=channel,act=relu": "conv2d:n=1,h=7,w=7,ci=96,co=960,kh=1,kw=1,stride=1,pad=0,lhs=u8,"
    "rhs=i8,out=u8,bias=1,requant=channel,act=relu",
    "global_avg_pool2d:n=1,h=7,w=7,c=1280,dtype=u8": "global_avg_pool2d:n=1,h=7,w=7,c=640,dtype=u8",
}
"""What is mutated, each with a similar workload that is tuned."""

INTEGERS: Final = (-1, 0, 1, 2, 3, 7, 64, 1 << 20, (1 << 31) - 1, 1 << 32, (1 << 62), True, None)
VALUES: Final = (
    *(
        None,
        True,
        -1,
        0,
        1,
        3,
        (1 << 63) - 1,
        1e308,
        "",
        "x",
        "dense",
        "\u001b[31m",
        [],
        {},
        [[[]]],
    ),
    *("hexagon-v66", "hexagon-v73", "hexagon-v99", "qemu-critical/1"),
)


@dataclass
class Table:
    """What became of the mutants."""

    mutants: int = 0
    ended: int = 0
    stopped: int = 0
    wrong: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    messages: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return {
            "mutants": self.mutants,
            "processes ended": self.ended,
            "runs stopped": self.stopped,
            "wrong results accepted": self.wrong,
            **dict(sorted(self.counts.items())),
            "messages": self.messages[:20],
        }


@cache
def bases() -> tuple[Record, ...]:
    """Return the shipped records that are mutated."""
    found = shipped_records()
    assert found is not None
    shipped = JsonLinesStore(found)
    return tuple(shipped.query(text, limit=1)[0] for text in WORKLOADS)


def integers(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every number in a trace, and of every name of a value."""
    if isinstance(value, list):
        for index, inner in enumerate(value):
            yield from integers(inner, (*path, index))
    elif isinstance(value, int | float | str):
        yield path


def mutate(base: Record, draw: random.Random) -> str:
    """Return the line of a record with one value changed; its id is made to fit by half."""
    line: Any = json.loads(encode_line(base))
    kind = draw.choices(("trace", "field", "workload"), (6, 3, 1))[0]
    if kind == "trace":
        path = draw.choice(list(integers(line["trace"])))
        inner = line["trace"]
        for key in path[:-1]:
            inner = inner[key]
        old = inner[path[-1]]
        if isinstance(old, str):
            names = [
                old[:1] + str(draw.randrange(60)),
                "None",
                "l0",
                "b0",
                "",
                '"4,1,0"',
                "x" * 500,
            ]
            inner[path[-1]] = draw.choice(names)
        else:
            near = (int(old) + 1, int(old) - 1, int(old) * 2, int(old) // 2)
            inner[path[-1]] = draw.choice((*INTEGERS, *near))
    elif kind == "field":
        name = draw.choice([one for one in line if one not in ("trace",)])
        line[name] = draw.choice(VALUES)
        if draw.random() < 0.1:
            del line[name]
    else:
        operator, _, rest = line["workload"].partition(":")
        fields = rest.split(",")
        index = draw.randrange(len(fields))
        name = fields[index].partition("=")[0]
        fields[index] = (
            f"{name}={draw.choice(('0', '1', '-1', '3', '4096', '999999999', 'u8', 'i8'))}"
        )
        line["workload"] = f"{operator}:{','.join(fields)}"
    if draw.random() < 0.8:
        line = _with_its_id(line)
    return json.dumps(line)


def _with_its_id(line: dict[str, Any]) -> dict[str, Any]:
    try:
        names = ("workload", "target", "metric", "space")
        identity = Identity(*(line[name] for name in names), canonical_trace(line["trace"]))
        return {**line, "id": identity.id}
    except (KeyError, VrmpyTuneError):
        return line


def mutants(count: int, seed: int) -> list[tuple[str, str]]:
    """Return the workload and the line of so many mutants."""
    draw = random.Random(seed)
    chosen = []
    while len(chosen) < count:
        base = draw.choice(bases())
        line = mutate(base, draw)
        if canonical_json(json.loads(line)) != canonical_json(json.loads(encode_line(base))):
            chosen.append((base.workload, line))
    return chosen


class Child:
    """Takes mutants through everything, in one process."""

    def __init__(self, directory: Path, *, device: bool) -> None:
        from vrmpy_tune.target import parse_target

        self.directory, self.device = directory, device
        self.target = parse_target("hexagon-v68")
        self.verdicts: dict[str, str] = {}
        self.known = {one.workload: one for one in bases()}

    def take(self, number: int, workload: str, line: str) -> dict[str, Any]:
        """Return what became of one mutant; raises what a user would see as a traceback."""
        base = self.known[workload]
        path = self.directory / f"{number}.jsonl"
        path.write_text(f"{line}\n{encode_line(self._other(base))}\n")
        said: dict[str, Any] = {"import": self._import(path)}
        reader = JsonLinesStore(path)
        mutant = next((one for one in reader.query() if one.id != self._other(base).id), None)
        said["read"] = mutant is not None
        if mutant is not None:
            said |= self._used(reader, mutant, base)
        path.unlink()
        return said

    def _other(self, base: Record) -> Record:
        return self.known[next(text for text in WORKLOADS if text != base.workload)]

    def _import(self, path: Path) -> str:
        store_path = path.with_suffix(".db")
        with open_store(store_path) as store:
            report = import_json_lines(store, path)
            assert report.added + report.bad_lines + report.failures == 2, report
            assert report.added >= 1, "the good line was not imported"
        for one in self.directory.glob(f"{store_path.name}*"):
            one.unlink()
        return "refused" if report.bad_lines else "taken"

    def _used(self, reader: JsonLinesStore, mutant: Record, base: Record) -> dict[str, Any]:
        from vrmpy_tune.records.explain import explain
        from vrmpy_tune.records.resolver import Resolver
        from vrmpy_tune.workload import parse_workload

        parsed = parse_workload(base.workload)
        resolver = Resolver(reader, self.target)
        found = resolver.resolve(parsed)
        applied = found.applied
        explain(reader, base.workload, self.target.name).text()
        variant = parse_workload(WORKLOADS[base.workload])
        assert resolver.resolve(variant).reason
        said: dict[str, Any] = {"lookup": str(found.status)}
        said["transferred"] = self._transfer(reader, variant, base)
        if applied is not None:
            assert found.record is not None
            assert found.record.id == mutant.id or mutant.workload != base.workload
        said["verify"] = self._verify(mutant)
        return said

    def _transfer(self, reader: JsonLinesStore, workload: Any, base: Record) -> int:
        from search_spaces import find_space
        from vrmpy_tune.tune.transfer import seeds_for, similar_workloads

        space = find_space(base.space)
        assert space is not None
        similar = similar_workloads(
            (reader,), workload, space,
            target=self.target.name, metric=base.metric, exclude=(str(workload),),
        )  # fmt: skip
        for one in similar:
            for trace in one.traces:
                space.features(one.workload, trace)
        return len(seeds_for(workload, space, similar, _draws(str(workload), base.space), 4))

    def _verify(self, mutant: Record) -> str:
        """Do what ``records verify`` does; each kernel is built and run once."""
        from tvm_ffi import structural_hash

        from vrmpy_tune.errors import StaleRecordError
        from vrmpy_tune.replay import replay_identity
        from vrmpy_tune.reverify import Reverifier
        from vrmpy_tune.tune.candidate import code_generator

        try:
            schedule = replay_identity(mutant.identity)
        except StaleRecordError as error:
            return f"stale: {error}"
        code_generator(schedule.mod)
        key = f"{mutant.workload} {structural_hash(schedule.mod)}"
        if key not in self.verdicts:
            self.verdicts[key] = "replays"
            if self.device:
                with Reverifier("qemu") as again:
                    (finding,) = again.findings([mutant])
                self.verdicts[key] = finding.message
        return self.verdicts[key]


@cache
def _draws(workload: str, space_name: str) -> tuple[Any, ...]:
    import numpy as np
    from tvm.s_tir import Schedule

    from search_spaces import find_space
    from vrmpy_tune.target import parse_target
    from vrmpy_tune.tune.draws import Design
    from vrmpy_tune.workload import parse_workload

    space, parsed = find_space(space_name), parse_workload(workload)
    assert space is not None
    base = Schedule(space.module(parsed), seed=1)
    schedules = space.generator(parsed, parse_target("hexagon-v68"))(base)
    random_state = np.random.default_rng(0)
    return tuple(
        draw for one in schedules[:2] for draw in Design.of(one.trace).draw(16, random_state)
    )


def serve(work: Path, first: int, *, device: bool) -> None:
    """Take the mutants of a file from ``first`` on, and write a line about each."""
    logging.disable(logging.WARNING)
    chosen = json.loads((work / "mutants.json").read_text())
    with (work / "said.jsonl").open("a") as stream:
        child = Child(work, device=device)
        for number in range(first, len(chosen)):
            try:
                said = child.take(number, *chosen[number])
            except Exception as error:
                said = {"stopped": f"{type(error).__name__}: {error}"[:400]}
            stream.write(json.dumps({"number": number, **said}) + "\n")
            stream.flush()


def run(count: int, seed: int, *, device: bool) -> Table:
    """Take ``count`` mutants through everything, in as many child processes as it takes."""
    table = Table()
    with tempfile.TemporaryDirectory(prefix="vrmpy-tune-hostile-") as directory:
        work = Path(directory)
        chosen = mutants(count, seed)
        (work / "mutants.json").write_text(json.dumps(chosen))
        said = work / "said.jsonl"
        said.touch()
        while (done := len(said.read_text().splitlines()) + table.ended) < count:
            command = [sys.executable, "-m", __spec__.name if __spec__ else __name__]
            options = ["--work", str(work), "--first", str(done), *(["--device"] if device else [])]
            ended = subprocess.run([*command, *options], check=False, capture_output=True)
            if len(said.read_text().splitlines()) + table.ended < count:
                at = len(said.read_text().splitlines()) + table.ended
                table.ended += 1
                table.messages.append(f"{ended.returncode}: {chosen[at][1][:300]}")
        for line in said.read_text().splitlines():
            _count(table, json.loads(line), chosen)
    table.mutants = count
    return table


def _count(table: Table, said: dict[str, Any], chosen: list[tuple[str, str]]) -> None:
    if "stopped" in said:
        table.stopped += 1
        table.messages.append(f"{said['stopped']} | {chosen[said['number']][1][:300]}")
        return
    table.counts[f"import: {said['import']}"] += 1
    table.counts[f"read as a store: {'taken' if said['read'] else 'skipped'}"] += 1
    if not said["read"]:
        return
    table.counts[f"compile: {said['lookup']}"] += 1
    table.counts[f"tune: {said['transferred']} seeds"] += 1
    verdict = said["verify"]
    right = "the output is right" in verdict
    known = "stale" if verdict.startswith("stale") else "right" if right else verdict[:80]
    table.counts[f"verify: {known}"] += 1
    if "differs" in verdict and not right:
        table.wrong += 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", action="store_true", help="Build and run what replays, too.")
    parser.add_argument("--work", type=Path)
    parser.add_argument("--first", type=int, default=0)
    options = parser.parse_args()
    if options.work is not None:
        serve(options.work, options.first, device=options.device)
        return
    table = run(options.count, options.seed, device=options.device)
    print(json.dumps(table.as_json(), indent=2))
    sys.exit(1 if table.ended or table.stopped or table.wrong else 0)


if __name__ == "__main__":
    main()
