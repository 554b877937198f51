"""An external program that keeps the contract of ``--device 'command: ...'``; adds one to bytes.

It uses nothing of the project, as a vendor's program would not.
"""

import json
import pathlib
import sys

PACKETS = 500


def describe() -> None:
    told = {
        "description": "a board of the tests",
        "targets": ["hexagon-v66", "hexagon-v68"],
        "metrics": ["qemu-packets/1", "qemu-critical/1"],
        "slots": 2,
        "limits_packets": True,
        "versions": {"firmware": "1.0"},
    }
    print(json.dumps(told))


def run(directory: pathlib.Path) -> None:
    job = json.loads((directory / "job.json").read_text())
    assert job["contract"] == 1
    limit = job["limits"]["packets"]
    if limit is not None and limit < PACKETS:
        result = {"outcome": "cut", "message": f"The kernel was cut after {limit} packets."}
    else:
        for number in range(job["sets"]):
            given = (directory / f"input-{number}-0.bin").read_bytes()
            added = bytes((value + 1) % 256 for value in given)
            (directory / f"output-{number}-0.bin").write_bytes(added)
        counts = {
            "packets_total": PACKETS,
            "packets_critical": PACKETS,
            "instructions": 2 * PACKETS,
            "hvx_instructions": PACKETS,
            "context_packets": [PACKETS] + [0] * (job["contexts"] - 1),
        }
        result = {"outcome": "ok", "counts": [counts] * job["sets"]}
    (directory / "result.json").write_text(json.dumps(result))


if __name__ == "__main__":
    if sys.argv[1] == "describe":
        describe()
    else:
        run(pathlib.Path(sys.argv[2]))
