#!/usr/bin/env bash
# Install the system programs that are missing: the simulator, and venv for Python.
#
# Usage: setup/packages.sh [--tests] [PACKAGE...]
#
#   --tests   also what only the tests need: PostgreSQL, ip for network namespaces, and a browser
#             (121 MB to fetch, 440 MB on the disk, 16 s)
#   PACKAGE   further Debian packages that the caller found missing
#
# Does nothing when nothing is missing, so that no rights are needed on a prepared machine.
set -euo pipefail

python=${PYTHON:-$(command -v python3.11 || command -v python3 || true)}
packages=()
if [[ ${1:-} == --tests ]]; then
    shift
    compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null || packages+=(postgresql)
    [[ -n $(command -v ip) || -x /usr/sbin/ip ]] || packages+=(iproute2)
    command -v chromium >/dev/null || packages+=(chromium)
    command -v chromedriver >/dev/null || packages+=(chromium-driver)
fi
packages+=("$@")
command -v "${VRMPY_TUNE_QEMU:-qemu-hexagon}" >/dev/null || packages+=(qemu-user)
if [[ -z $python ]]; then
    packages+=(python3 python3-venv)
elif ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    # Debian keeps both in a package of their own, named after Python's version.
    packages+=("python$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')-venv")
fi
((${#packages[@]})) || exit 0

say() { echo "setup: $*" >&2; }

if ! command -v apt-get >/dev/null; then
    say "missing on this machine: ${packages[*]} (the names of Debian's packages)."
    say "This is no Debian or Ubuntu: install the equivalents with the system's own package manager."
    say "qemu-user provides the program qemu-hexagon, QEMU's user-mode emulator for Hexagon;"
    say "version 7.2 or newer, best one built with plugins."
    exit 7
fi

as_root=()
if ((EUID != 0)); then
    if ! command -v sudo >/dev/null; then
        say "these packages are missing, and installing them needs root. As root, run:"
        say "    apt-get update && apt-get install -y ${packages[*]}"
        exit 7
    fi
    as_root=(sudo)
fi

say "installing ${packages[*]}"
apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o Acquire::Retries=3)
"${apt[@]}" update
"${apt[@]}" install -y --no-install-recommends "${packages[@]}"
