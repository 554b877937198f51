"""The command line: ``vrmpy-tune``."""

from __future__ import annotations


def main() -> None:
    """Run the command line on ``sys.argv`` and exit."""
    import sys

    try:
        from vrmpy_tune.cli.application import run

        code = run(sys.argv[1:])
    except KeyboardInterrupt:
        # Also while the commands are still being imported, before anything could handle it.
        print("\nvrmpy-tune: interrupted.", file=sys.stderr)
        from vrmpy_tune.errors import EXIT_INTERRUPTED

        code = EXIT_INTERRUPTED
    sys.exit(code)
