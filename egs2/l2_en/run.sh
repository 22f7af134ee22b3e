#!/usr/bin/env bash
# L2 English. All stages on simulated speech: ./run.sh     Options: ./run.sh --help
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")"
export L2DUAL_COMMAND="./run.sh $*"

exec ../TEMPLATE/l2dual1/l2dual.sh \
    --language en \
    --systems "so_surface so_meaning do" \
    --seeds 1 \
    "$@"
