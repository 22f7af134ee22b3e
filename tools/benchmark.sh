#!/usr/bin/env bash
# How long things take, as ratios within one run: makes docs/performance.{md,json} anew.
#   tools/benchmark.sh [--exp egs2/l2_en/exp/mini] [--only start decode]
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=tools/activate.sh
. tools/activate.sh
export OMP_NUM_THREADS=1 MKL_NUM_THREADS=1
exec python tools/benchmark.py "$@"
