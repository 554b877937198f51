"""The process that has the device open, and that a measurement may hang, break or end.

The agent kills its whole process group when a measurement outlives its deadline, and starts
another.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vrmpy_tune.errors import VrmpyTuneError
from vrmpy_tune.farm import codec, local

if TYPE_CHECKING:
    from vrmpy_tune.device.protocol import Device, DeviceInfo


def work(socket_path: Path, slot: int, specification: str) -> None:
    """Open the device, say what it is, and run job after job until the agent ends.

    Parameters
    ----------
    socket_path:
        The agent's local socket.
    slot:
        Number of the slot that this process measures for.
    specification:
        What ``--device`` says.
    """
    from vrmpy_tune.device.open import open_device

    connection = local.connect(socket_path)
    _say(connection, {"role": "worker", "slot": slot})
    try:
        device = open_device(specification, lambda text: _say(connection, {"progress": text}))
        _say(connection, {"info": _capabilities(device.info())})
    except VrmpyTuneError as error:
        _say(connection, {"failed": str(error)})
        return
    with device:
        while True:
            try:
                request = json.loads(local.receive(connection))
            except EOFError:
                return
            local.send(connection, _measure(device, request))


def _capabilities(info: DeviceInfo) -> dict[str, Any]:
    """Return what the device says of itself, and the contexts that this host takes targets for."""
    from vrmpy_tune.target import TARGETS

    return {**asdict(info), "contexts": {name: TARGETS[name].contexts for name in info.targets}}


def _measure(device: Device, request: dict[str, Any]) -> bytes:
    """Return ``R`` and a result, or ``F`` and a sentence if the device failed."""
    from vrmpy_tune.target import parse_target

    try:
        job, limits = codec.job_from_json(request["job"], Path(request["object"]))
        sets = codec.decode_sets(Path(request["sets"]).read_bytes())
        result = device.run(job, sets, parse_target(request["target"]), limits)
        return b"R" + codec.encode_result(result)
    except (VrmpyTuneError, ValueError, OSError) as error:
        return b"F" + (str(error) or type(error).__name__).encode()


def _say(connection: Any, value: dict[str, Any]) -> None:
    local.send(connection, json.dumps(value).encode())
