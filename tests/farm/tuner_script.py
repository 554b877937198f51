"""Runs jobs on a farm and prints one line for each that is done; started on another host.

Arguments: address of the farm's device, number of jobs, threads.
"""

from __future__ import annotations

import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.farm.jobs import numbered, run
from vrmpy_tune.device.open import open_device


def main() -> None:
    address, jobs, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    lock = threading.Lock()
    with (
        tempfile.TemporaryDirectory() as name,
        open_device(address) as device,
        ThreadPoolExecutor(threads) as pool,
    ):

        def one(content: bytes) -> None:
            result = run(device, Path(name), content)
            with lock:
                print(f"done {content.decode()}: {result.outcome}", flush=True)

        list(pool.map(one, numbered(jobs)))
    print("finished", flush=True)


if __name__ == "__main__":
    main()
