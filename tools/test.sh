#!/usr/bin/env bash
# Set l2dual up if needed, and run all tests. Arguments go to pytest.
#
# Usage: tools/test.sh [--fast] [-k EXPRESSION] [-x] ...
#
# --fast runs the quick unit tests alone: a minute on two cores.

set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
tools/setup.sh
# shellcheck source=tools/activate.sh
. tools/activate.sh
export OMP_NUM_THREADS=1 MKL_NUM_THREADS=1
which=(-m "slow or not slow" --durations 10)
if [[ ${1:-} == --fast ]]; then
    which=()
    shift
fi
exec python -m pytest -q -rs --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder "${which[@]}" "$@"
