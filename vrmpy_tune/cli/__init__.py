"""The command line: ``vrmpy-tune``."""

from __future__ import annotations


def main() -> None:
    """Run the command line on ``sys.argv`` and exit."""
    import sys

    from vrmpy_tune.cli.application import run

    sys.exit(run(sys.argv[1:]))
