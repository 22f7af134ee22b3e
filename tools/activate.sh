# shellcheck shell=bash
# Put the Python that has l2dual, and the job launchers, on PATH. Sourced by path.sh.
# The user's activated environment is used if it has l2dual's packages; else .venv; else PATH.

_l2dual_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
_l2dual_found=false

for _l2dual_python in "${VIRTUAL_ENV:-${CONDA_PREFIX:-/nonexistent}}/bin/python" \
    "${_l2dual_root}/.venv/bin/python" "$(type -P python3)"; do
    if [ -x "${_l2dual_python}" ] && "${_l2dual_python}" -c '
import sys
from importlib.util import find_spec
sys.exit(not all(find_spec(name) for name in ("espnet2", "torch", "kaldiio", "espeakng_loader")))
' 2> /dev/null; then
        PATH=${_l2dual_python%/*}:${PATH}
        _l2dual_found=true
        break
    fi
done

if ! ${_l2dual_found}; then
    echo "l2dual: error: no Python with l2dual's packages: run ${_l2dual_root}/tools/setup.sh" >&2
    exit 1
fi

export PATH=${_l2dual_root}/tools/launch:${PATH}
export PYTHONPATH=${_l2dual_root}${PYTHONPATH:+:${PYTHONPATH}}
export PYTHONUNBUFFERED=1
unset _l2dual_root _l2dual_found _l2dual_python
