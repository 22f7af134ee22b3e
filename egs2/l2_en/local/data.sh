#!/usr/bin/env bash
# Stage 1: turn the corpus that was chosen into data directories, DIR/{train,valid,test}.
#   local/data.sh --corpus simulated --language en --convention heard --preset FILE --out DIR
set -euo pipefail

python -m l2dual.bin.prepare "$@"
