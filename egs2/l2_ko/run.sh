#!/usr/bin/env bash
# L2 Korean. All stages on simulated speech: ./run.sh     Options: ./run.sh --help
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
L2DUAL_COMMAND=$(printf '%q ' ./run.sh "$@")
export L2DUAL_COMMAND=${L2DUAL_COMMAND% }
exec ../TEMPLATE/l2dual1/l2dual.sh --language ko "$@"
