#!/usr/bin/env bash
# Set up, run both recipes on simulated learner speech, and show what they gave.
#   ./run_all.sh
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")"
started=${SECONDS}

tools/setup.sh
for recipe in egs2/l2_en egs2/l2_ko; do
    "${recipe}/run.sh"
done

# shellcheck source=tools/activate.sh
. tools/activate.sh
echo
python -m l2dual.bin.report_both egs2/l2_{en,ko}/exp --out egs2/report.html
python -m l2dual.bin.summary egs2/l2_{en,ko}/exp/results.json
echo "report over both: ${PWD}/egs2/report.html"
echo "$(((SECONDS - started) / 60)) minutes $(((SECONDS - started) % 60)) seconds"
