# shellcheck shell=bash
# shellcheck source-path=SCRIPTDIR
# The environment of every job. Sourced from a recipe's directory.

L2DUAL_ROOT=$(readlink -f ../..)
export L2DUAL_ROOT
# shellcheck source=/dev/null
. "${L2DUAL_ROOT}/tools/activate.sh"
export LC_ALL=C.UTF-8 PYTHONUNBUFFERED=1
