"""``vrmpy-tune farm``: a tracker, hosts that serve devices, and how both are."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

import typer

from vrmpy_tune.cli.options import Json, read_duration
from vrmpy_tune.cli.streams import command_terminal, one_document, say

if TYPE_CHECKING:
    from vrmpy_tune.farm.secret import FarmKey

app = typer.Typer(help="Share devices between tuners and hosts.", no_args_is_help=True)

DEFAULT_PORT: Final = 9190
"""TVM's default for its tracker."""

DEFAULT_TRACKER: Final = f"127.0.0.1:{DEFAULT_PORT}"

CLEAR: Final = "\x1b[H\x1b[2J"
"""What makes a terminal empty."""

MOST_SLOTS: Final = 256
"""Slots of one host: each takes two processes."""

WATCH_S: Final = 2.0
"""Seconds between two looks of ``--watch``."""

Bind: TypeAlias = Annotated[
    str, typer.Option(metavar="ADDRESS", help="Where to listen; beyond this host only if named.")
]
TrackerAddress: TypeAlias = Annotated[
    str, typer.Argument(metavar="HOST:PORT", help="Where `farm tracker` runs.")
]
KeyFile: TypeAlias = Annotated[
    str | None,
    typer.Option(
        metavar="FILE", help="The farm key; by default VRMPY_TUNE_FARM_KEY or the user's own file."
    ),
]


@app.command("tracker")
def run_tracker(
    *,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = DEFAULT_PORT,
    bind: Bind = "127.0.0.1",
    key_file: KeyFile = None,
    as_json: Json = False,
) -> None:
    """Run TVM's RPC tracker, supervised, until Ctrl-C.

    Hosts register their devices with it, and tuners ask it for free ones. With --json, the
    document says where it listens, and is printed as soon as it does.
    """
    from vrmpy_tune.farm.running import exposure, log_to_stderr, run_tracker

    log_to_stderr()
    key = _key(key_file)
    if warning := exposure(bind, "the tracker"):
        say(warning)
    run_tracker(bind, port, key, say, _print_document if as_json else _print_nothing)


@app.command("serve")
def serve_devices(
    *,
    tracker: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="Where `farm tracker` runs.")
    ] = DEFAULT_TRACKER,
    key: Annotated[str, typer.Option(metavar="NAME", help="For example hexagon-v68.")],
    device: Annotated[str, typer.Option(metavar="NAME", help="What to serve.")] = "qemu",
    slots: Annotated[int, typer.Option(min=1, max=MOST_SLOTS, help="Measurements at once.")] = 1,
    bind: Bind = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The agent's; 0: a free one.")] = 0,
    advertise: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="How tuners reach the agent, if otherwise.")
    ] = "",
    key_file: KeyFile = None,
    as_json: Json = False,
) -> None:
    """Serve a device of this host, supervised, until Ctrl-C.

    With --json, the document says what is served and where, and is printed as soon as it is.
    """
    from vrmpy_tune.errors import UsageError
    from vrmpy_tune.farm.agent import Serving
    from vrmpy_tune.farm.channel import parse_address
    from vrmpy_tune.farm.running import exposure, log_to_stderr, run_agent

    if not key or any(character in key for character in " /?#:\t"):
        raise UsageError(f"'{key}' is no key for devices; write for example hexagon-v68.")
    parse_address(tracker)
    log_to_stderr()
    secret = _key(key_file)
    if warning := exposure(bind, "the agent"):
        say(warning)
    if advertise:
        parse_address(advertise)
    serving = Serving(tracker, key, device, slots, bind, port, advertise)
    run_agent(serving, secret, say, _print_document if as_json else _print_nothing)


@app.command("status")
def show_status(
    tracker: TrackerAddress = DEFAULT_TRACKER,
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Again every 2 s, until Ctrl-C.")] = False,
    key_file: KeyFile = None,
    as_json: Json = False,
) -> None:
    """Show devices, their health and holders, queues, throughput and the last faults.

    With --watch --json, one document a line.
    """
    from vrmpy_tune.farm.status import farm_status, status_text

    key = _read_key(key_file)
    while True:
        with one_document(as_json and not watch) as emit:
            document = farm_status(tracker, key)
            if as_json and not watch:
                emit(document)
        if watch and as_json:
            print(json.dumps(document), flush=True)
        elif not as_json:
            if watch and sys.stdout.isatty():
                command_terminal(CLEAR)
            print(status_text(document), flush=True)
        if not watch:
            return
        time.sleep(WATCH_S)


@app.command("doctor")
def examine_farm(
    tracker: TrackerAddress = DEFAULT_TRACKER, *, key_file: KeyFile = None, as_json: Json = False
) -> None:
    """Report what is wrong between this host and the devices, link by link.

    Exits 9 if something is.
    """
    from vrmpy_tune.cli.doctor import report_document, report_text
    from vrmpy_tune.errors import FarmError
    from vrmpy_tune.farm.doctor import examine

    with one_document(as_json) as emit:
        document = report_document(list(examine(tracker, _read_key(key_file))))
        if as_json:
            emit(document)
    if not as_json:
        print(report_text(document))
    if not document["healthy"]:
        raise typer.Exit(FarmError.exit_code)


@app.command("bench")
def measure_throughput(
    *,
    slots: Annotated[
        str, typer.Option(metavar="N,N,...", help="Numbers of slots to try.")
    ] = "1,2,4,8,16,32,64",
    window: Annotated[
        str, typer.Option(metavar="DURATION", help="How long each is measured.")
    ] = "10s",
    plot: Annotated[
        str | None, typer.Option(metavar="FILE", help="Draw it, as .svg or .png.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure throughput by slots, on farms of its own with fake devices of 1 s a measurement."""
    from vrmpy_tune.errors import UsageError
    from vrmpy_tune.farm import bench

    counts = [int(word) if word.isdecimal() and len(word) < 10 else 0 for word in slots.split(",")]
    if not all(0 < count <= MOST_SLOTS for count in counts):
        raise UsageError(f"'{slots}' are no numbers of slots; write for example 1,2,4.")
    seconds = read_duration(window)
    with one_document(as_json) as emit:
        rows = bench.farm_throughput(counts, seconds, say)
        document = bench.document(rows)
        if as_json:
            emit(document)
    if plot:
        bench.plot(rows, Path(plot))
    if not as_json:
        print(bench.table(rows))
        print(document["next_doubling"])


def _print_document(document: dict[str, Any]) -> None:
    print(json.dumps(document, indent=2), flush=True)


def _print_nothing(_document: dict[str, Any]) -> None:
    pass


def _read_key(file: str | None) -> FarmKey:
    from vrmpy_tune.farm.secret import load_key, read_key

    return read_key(file) if file else load_key()


def _key(file: str | None) -> FarmKey:
    from vrmpy_tune.farm.secret import load_key, read_key

    return read_key(file) if file else load_key(create=True)
