#!/usr/bin/env bash
# Install l2dual and its pinned packages, without root and without questions. They go into .venv at
# the root of the repository. If you have activated an environment with Python 3.12 or 3.13, they go
# there, and packages that it has keep their versions. Deactivate it to use .venv.
# A second run does nothing unless tools/requirements.txt, pyproject.toml or the Python has changed.
#
# Usage: tools/setup.sh

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "${root}"

say() { echo "setup: $*"; }

fail() {
    echo "setup: error: $*" >&2
    exit 1
}

# Whether $1 is a Python 3.$2 that runs (a pyenv shim may not).
is_python() {
    "$1" -c "import sys; sys.exit(sys.version_info[:2] != (3, $2))" 2> /dev/null
}

# Whether $1 can make a virtual environment, and is not part of one itself.
makes_environments() {
    "$1" -c "import sys, ensurepip, venv; sys.exit(sys.prefix != sys.base_prefix)" 2> /dev/null
}

# The prefix of the environment that the user has activated, if its Python fits.
active_environment() {
    local prefix=${VIRTUAL_ENV:-}
    if [ -z "${prefix}" ] && [ "${CONDA_DEFAULT_ENV:-base}" != base ]; then
        prefix=${CONDA_PREFIX:-}
    fi
    if [ -n "${prefix}" ]; then
        for minor in 12 13; do
            if is_python "${prefix}/bin/python" "${minor}"; then
                echo "${prefix}"
                return
            fi
        done
        say "the active environment ${prefix} has no Python 3.12 or 3.13: not used" >&2
    fi
}

# A Python 3.12, else a 3.13 (where some packages have to be compiled).
find_python() {
    local minor python
    for minor in 12 13; do
        for python in "python3.${minor}" python3 python \
            "${PYENV_ROOT:-${HOME:-}/.pyenv}/versions/3.${minor}"*/bin/python \
            "${HOME:-}/.local/share/uv/python/cpython-3.${minor}"*/bin/python3 \
            "${CONDA_EXE:+${CONDA_EXE%/*}/python}" \
            "${HOME:-}"/{mini,ana}conda3/{,envs/*/}bin/python; do
            if is_python "${python}" "${minor}" && makes_environments "${python}"; then
                echo "${python}"
                return
            fi
        done
    done
    fail "no Python 3.12 or 3.13 was found. Get one in any of these ways, then run this again:
    uv:     uv python install 3.12
    pyenv:  pyenv install 3.12
    conda:  conda create -y -n l2dual python=3.12 && conda activate l2dual
    apt:    sudo apt-get install python3.12 python3.12-venv    (where you have root)"
}

# What the installed environment depends on.
fingerprint() {
    echo "${root}"
    "${python}" --version
    cat tools/requirements.txt pyproject.toml | cksum
}

is_unchanged() {
    [ -e "${stamp}" ] && [ ! -e "${unfinished}" ] \
        && [ "$(fingerprint 2>&1)" = "$(< "${stamp}")" ]
}

# How far pip is, by its log.
show_progress() {
    local fetched line
    fetched=$(grep -cE '^(Collecting|Processing)' "${log}" || true)
    line="setup: fetched ${fetched} of ${total} packages, ${SECONDS} s"
    if grep -q '^Installing collected' "${log}"; then
        line="setup: unpacking ${fetched} packages, ${SECONDS} s"
    fi
    if [ -t 1 ]; then
        printf '\r\033[K%s' "${line}"
    else
        echo "${line}"
    fi
}

# Wait until no other set-up of this tree is running (where there is flock).
take_turns() {
    if command -v flock > /dev/null; then
        exec 9< pyproject.toml
        if ! flock --nonblock 9; then
            say "waiting for another set-up to end"
            flock 9 || true
        fi
    fi
}

# pip install "$@", with its output in the log and a progress line on the terminal.
pip_install() {
    local shown=${SECONDS} every=30
    [ -t 1 ] && every=1
    "${python}" -m pip install --disable-pip-version-check "$@" >> "${log}" 2>&1 < /dev/null &
    pip_pid=$!
    trap 'kill "${pip_pid}" 2>/dev/null || true' EXIT
    while kill -0 "${pip_pid}" 2> /dev/null; do
        sleep 0.2
        if [ $((SECONDS - shown)) -ge "${every}" ]; then
            shown=${SECONDS}
            show_progress
        fi
    done
    trap - EXIT
    [ -t 1 ] && printf '\r\033[K'
    if ! wait "${pip_pid}"; then
        echo "setup: pip failed; the last lines of ${log}:" >&2
        tail -n 15 "${log}" | sed 's/^/    /' >&2
        fail "fix that, then run tools/setup.sh again"
    fi
}

# The pins of the packages that the user's own environment does not have yet.
missing_pins() {
    "${python}" - tools/requirements.txt << 'END'
import re
import sys
from importlib.metadata import distributions

def name(text):
    return re.sub(r"[-_.]+", "-", re.split(r"[=; ]", text)[0]).lower()

have = {name(distribution.metadata["Name"]) for distribution in distributions()}
pins = [line for line in open(sys.argv[1]) if "==" in line and not line.startswith("#")]
print("".join(pin for pin in pins if name(pin) not in have))
END
}

prefix=$(active_environment)
own=true
if [ -z "${prefix}" ] || [ "${prefix}" -ef .venv ]; then
    own=false
    prefix=${root}/.venv
fi
python=${prefix}/bin/python
stamp=${prefix}/l2dual.stamp
unfinished=${prefix}/l2dual.unfinished
log=${prefix}/setup.log
total=$(grep -c '^[A-Za-z].*==' tools/requirements.txt)

if is_unchanged; then
    exit 0
fi
take_turns
if is_unchanged; then
    exit 0
fi

if ! ${own}; then
    if [ -e "${unfinished}" ] || ! "${python}" -c "import pip" 2> /dev/null \
        || { [ -e "${stamp}" ] && [ "$(head -n 1 "${stamp}")" != "${root}" ]; }; then
        base=$(find_python)
        say "making .venv with $("${base}" --version) ($(type -P "${base}"))"
        rm -rf "${prefix}"
        "${base}" -m venv "${prefix}"
    fi
fi

if ${own}; then
    say "installing l2dual, and the packages it lacks, into your active environment ${prefix}"
    say "(for .venv instead: interrupt this, deactivate that environment, run this again)"
fi
touch "${unfinished}"
rm -f "${stamp}"
: > "${log}"
if ${own}; then
    missing_pins > "${prefix}/l2dual.constraints"
    pip_install --constraint "${prefix}/l2dual.constraints" --editable ".[test]"
else
    say "installing ${total} packages into .venv (some 7 GB on Linux, a few minutes)"
    pip_install --no-deps --requirement tools/requirements.txt
    pip_install --no-deps --no-build-isolation --use-pep517 --editable .
fi
"${python}" tools/check_env.py
say "getting Whisper base, on which the English model rests (290 MB)"
"${python}" -m l2dual.bin.get_whisper >> "${log}" 2>&1 \
    || say "that failed (${log}); all else works; later: l2dual get_whisper"
fingerprint > "${stamp}"
rm -f "${unfinished}"
say "done"
