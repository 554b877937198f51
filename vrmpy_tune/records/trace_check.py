"""Checks of a trace as data: what no search space can have written never reaches TVM.

TVM's reader of traces trusts its input: an index of a decision that is none of an instruction
corrupts memory.  Here are the kinds of instructions that the search spaces use, and what each takes
and returns.  Whether a trace also belongs to its workload is asked where it is applied
(:mod:`vrmpy_tune.replay`): that takes the search space, and so TVM.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from vrmpy_tune.errors import RecordFormatError, UsageError, WorkloadError
from vrmpy_tune.records.safe_json import parse_json
from vrmpy_tune.target import parse_target
from vrmpy_tune.workload import parse_workload

if TYPE_CHECKING:
    from vrmpy_tune.records.record import Identity
    from vrmpy_tune.records.safe_json import Json

MAX_INSTRUCTIONS: Final = 2000
"""Most instructions of a trace; the longest that a search space writes has about 100."""

MAX_PARTS: Final = 8
"""Most loops that one loop is split into by a drawn tile."""

MAX_EXTENT: Final = 1 << 40
"""Bound of the product of a tile's factors, and of any other integer in an instruction."""

MAX_TEXT: Final = 400
"""Longest text in an instruction, for example the name of a tensorization rule."""

TILE: Final = "SamplePerfectTile"
CATEGORY: Final = "SampleCategorical"

_Instruction: TypeAlias = "tuple[str, list[Json], list[Json], list[Json]]"


@dataclass(frozen=True)
class _Kind:
    """What an instruction looks like, one letter a value: see :func:`_signature`."""

    inputs: re.Pattern[str]
    attributes: re.Pattern[str]
    outputs: re.Pattern[str]


def _kind(inputs: str, attributes: str = "", outputs: str = "") -> _Kind:
    return _Kind(re.compile(inputs), re.compile(attributes), re.compile(outputs))


# b, l, v: a block, loop or number that an earlier instruction returned; i, f, t, s: an integer,
# float, truth value (0 or 1 in TVM's own databases) or text; q: a quoted text; n: "None"; e, I, F:
# an empty list, and lists of integers and of numbers.
_KINDS: Final = {
    "Annotate": _kind("[bl][vqI]", "s"),
    CATEGORY: _kind("", "I[IF]", "v"),
    "CacheRead": _kind("be", "is", "b"),
    "CacheWrite": _kind("be", "is", "b"),
    "ComputeAt": _kind("bl", "ii"),
    "DecomposeReduction": _kind("bl", "", "b"),
    "Fuse": _kind("l{2,}", "[it]", "l"),
    "GetLoops": _kind("b", "", "l+"),
    "GetSBlock": _kind("", "ss", "b"),
    "Parallel": _kind("l"),
    "Reorder": _kind("l{2,}"),
    "ReverseComputeAt": _kind("bl", "ii"),
    TILE: _kind("l", "ii", "v+"),
    "SetScope": _kind("b", "is"),
    "Split": _kind("l[vin]{2,}", "[it]{2}", "l{2,}"),
    "Tensorize": _kind("[bl]", "s[it]"),
    "Unroll": _kind("l"),
    "Vectorize": _kind("l"),
}
"""The instructions of all search spaces, of past versions too."""

CODE_GENERATOR: Final = "vrmpy_tune.codegen"

_ANNOTATIONS: Final = {
    CODE_GENERATOR: "v",
    "vrmpy_tune.sketch": "q",
    "software_pipeline_stage": "I",
    "software_pipeline_order": "I",
    "software_pipeline_async_stages": "I",
}
"""What is annotated, each with the letter of its value."""

_REFERENCE: Final = re.compile(r"[blv](0|[1-9]\d{0,5})", re.ASCII)


def check_identity(identity: Identity) -> None:
    """Refuse what cannot name a kernel: its workload, target, space or trace is impossible.

    Raises
    ------
    RecordFormatError
        With the field and what is wrong with it.
    """
    try:
        workload = parse_workload(identity.workload)
        parse_target(identity.target)
    except (WorkloadError, UsageError) as error:
        raise RecordFormatError(f"The record's workload or target is impossible: {error}") from None
    if str(workload) != identity.workload:
        raise RecordFormatError(
            f"The record's workload {identity.workload} is not written as {workload}, under which "
            "it would be looked up."
        )
    operator = re.split(r"[./]", identity.space, maxsplit=1)[0]
    if operator != workload.operator:
        raise RecordFormatError(
            f"The record's space {identity.space} is not one of {workload.operator}."
        )
    check_trace(identity.trace)


def check_trace(text: str) -> Json:
    """Refuse the text of a trace that no search space can have written; return its data.

    Raises
    ------
    RecordFormatError
        With the instruction or decision, and what is wrong with it.
    """
    data = parse_json(text)
    match data:
        case [list(instructions), list(decisions)]:
            pass
        case _:
            raise RecordFormatError("A trace is a list of instructions and a list of decisions.")
    if len(instructions) > MAX_INSTRUCTIONS:
        raise RecordFormatError(
            f"The trace has {len(instructions):,} instructions; the limit is {MAX_INSTRUCTIONS:,}."
        )
    defined: set[str] = set()
    sampling: dict[int, _Instruction] = {}
    categories: set[str] = set()
    for index, one in enumerate(instructions):
        instruction = _checked(index, one, defined)
        name, inputs, attributes, outputs = instruction
        if name in (TILE, CATEGORY):
            sampling[index] = instruction
        if name == CATEGORY:
            categories.update(map(str, outputs))
        if attributes == [CODE_GENERATOR] and inputs[1] not in categories:
            raise _wrong(index, name, "the code generator is not one of those drawn")
    _check_decisions(decisions, sampling)
    return data


def _checked(index: int, value: Json, defined: set[str]) -> _Instruction:
    """Return an instruction that has the form of its kind; its outputs become defined."""
    match value:
        case [str(name), list(inputs), list(attributes), list(outputs)]:
            pass
        case _:
            raise RecordFormatError(f"Instruction {index} of the trace is not one of TVM's.")
    kind = _KINDS.get(name)
    if kind is None:
        raise RecordFormatError(
            f"Instruction {index} of the trace is {name[:40]!a}, which no search space of this "
            "version uses."
        )
    if not kind.inputs.fullmatch(_signature(inputs, defined)):
        raise _wrong(index, name, "its inputs are not what it takes")
    if not kind.attributes.fullmatch(_signature(attributes, None)):
        raise _wrong(index, name, "its attributes are not what it takes")
    for output in outputs:
        # TVM counts the values of a trace.
        if not isinstance(output, str) or output[1:] != str(len(defined)):
            raise _wrong(index, name, "its outputs are not the next values of the trace")
        defined.add(output)
    if not kind.outputs.fullmatch("".join(str(output)[0] for output in outputs)):
        raise _wrong(index, name, "its outputs are not what it returns")
    instruction = (name, inputs, attributes, outputs)
    _check_numbers(index, instruction, defined)
    return instruction


def _signature(values: list[Json], defined: set[str] | None) -> str:
    """Return a letter for each value; ``?`` for one that no instruction may have.

    ``defined`` are the references that may be there, and ``None`` where texts are plain.
    """
    return "".join(_letter(value, defined) for value in values)


def _letter(value: Json, defined: set[str] | None) -> str:  # noqa: PLR0911 - a table
    match value:
        case bool():
            return "t"
        case int():
            return "i" if abs(value) <= MAX_EXTENT else "?"
        case float():
            return "f"
        case str() if len(value) > MAX_TEXT:
            return "?"
        case str() if defined is None:
            return "s"
        case "None":
            return "n"
        case str() if defined and value in defined and _REFERENCE.fullmatch(value):
            return value[0]
        case str() if _is_quoted(value):
            return "q"
        case []:
            return "e"
        case list() if all(_letter(one, None) == "i" for one in value):
            return "I"
        case list() if all(_letter(one, None) in "if" for one in value):
            return "F"
    return "?"


def _is_quoted(text: str) -> bool:
    """Whether a text is JSON of a text, as TVM writes the texts among inputs."""
    try:
        return text.startswith('"') and isinstance(json.loads(text), str)
    except ValueError:
        return False


def _check_numbers(index: int, instruction: _Instruction, defined: set[str]) -> None:
    """Check what the letters of an instruction do not say."""
    name, inputs, attributes, outputs = instruction
    match name, attributes:
        case "SamplePerfectTile", [int(parts), int(largest)]:
            if not (2 <= parts == len(outputs) <= MAX_PARTS and largest >= 1):
                raise _wrong(index, name, "it does not return as many factors as it says")
        case "SampleCategorical", [list(values), _] if values != list(range(len(values))):
            # Such a value is an index of a table: a code generator.
            raise _wrong(index, name, "its values are not counted from 0")
        case "SampleCategorical", [list(values), list(probabilities)]:
            if len(values) != len(probabilities) or not all(
                isinstance(one, int | float) and 0 <= one <= 1 for one in probabilities
            ):
                raise _wrong(index, name, "its probabilities are not those of its values")
        case "Annotate", [str(key)] if _letter(inputs[1], defined) != _ANNOTATIONS.get(key):
            raise _wrong(index, name, f"no search space annotates {key[:40]!a} with such a value")
        case "Split", _ if len(outputs) != len(inputs) - 1 or inputs.count("None") > 1:
            raise _wrong(index, name, "it does not return a loop for each factor")
        case "Split", _ if any(isinstance(one, int) and one < 1 for one in inputs):
            raise _wrong(index, name, "a factor is less than 1")


def _check_decisions(decisions: list[Json], sampling: dict[int, _Instruction]) -> None:
    """Check that each sampling instruction has one decision, and that it could have drawn it."""
    decided = []
    for pair in decisions:
        if not (isinstance(pair, list) and len(pair) == 2):
            raise RecordFormatError("A decision of the trace is not a pair of index and value.")
        index, value = pair
        # A truth value is an int of Python's, and no index of TVM's.
        if isinstance(index, bool) or not isinstance(index, int) or index not in sampling:
            raise RecordFormatError(
                f"A decision of the trace is that of instruction {str(index)[:40]}, which draws "
                "nothing."
            )
        decided.append(index)
        name, _, attributes, _ = sampling[index]
        if name == TILE:
            _check_tile(index, attributes, value)
        else:
            (values, _) = attributes
            assert isinstance(values, list)
            if isinstance(value, bool) or not isinstance(value, int):
                raise _wrong(index, name, "its decision is no integer")
            if not 0 <= value < len(values):
                raise _wrong(index, name, f"its decision {value} is not one of {len(values)}")
    if decided != sorted(sampling):
        raise RecordFormatError(
            "The decisions of the trace are not one for each instruction that draws, in order."
        )


def _check_tile(index: int, attributes: list[Json], value: Json) -> None:
    parts, largest = attributes
    assert isinstance(parts, int)
    assert isinstance(largest, int)
    if not isinstance(value, list) or len(value) != parts:
        raise _wrong(index, TILE, f"its decision is not a list of {parts} factors")
    factors = [one for one in value if isinstance(one, int) and not isinstance(one, bool)]
    if len(factors) != parts or min(factors) < 1 or math.prod(factors) > MAX_EXTENT:
        raise _wrong(index, TILE, "a factor of its decision is out of range")
    if factors[-1] > largest:
        raise _wrong(index, TILE, f"its last factor is over {largest}, the most it allows")


def _wrong(index: int, name: str, what: str) -> RecordFormatError:
    return RecordFormatError(f"Instruction {index} of the trace, {name}: {what}.")
