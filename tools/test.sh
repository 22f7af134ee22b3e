#!/usr/bin/env bash
# Set l2dual up if needed, and run all tests. Arguments go to pytest.
#
# Usage: tools/test.sh [-k EXPRESSION] [-x] ...

set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
tools/setup.sh
# shellcheck source=tools/activate.sh
. tools/activate.sh
export OMP_NUM_THREADS=1 MKL_NUM_THREADS=1
# The long files come first, so that no processor waits at the end.
exec python -m pytest -q -rs --durations 10 --numprocesses auto --maxprocesses 4 \
    --dist loadfile --no-loadscope-reorder tests/integration tests/shell tests/robustness tests/{text,data,simulate,corpora,models,training,scoring,analysis,report,recipe,tools} tests/test_*.py "$@"
