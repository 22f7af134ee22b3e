#!/usr/bin/env bash
# Test hostile inputs of every kind, and kill the tiny recipe at changes of its files. Hours on two cores.
# The short version, with 12 kills, is part of tools/test.sh.
#
# Usage: tools/faults.sh [KILLS]     default: 200

set -euo pipefail

kills=${1:-200}
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tools/setup.sh
# shellcheck source=tools/activate.sh
. tools/activate.sh
export OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 L2DUAL_KILLS=${kills}
exec python -m pytest -q -rs tests/robustness
