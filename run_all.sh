#!/usr/bin/env bash
# Set up, run both recipes on simulated learner speech, and show the results.
#   ./run_all.sh [--option value ...]    options of both recipes: ./run_all.sh --help
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")"
started=${SECONDS}

# shellcheck source=egs2/TEMPLATE/l2dual1/options.sh
. egs2/TEMPLATE/l2dual1/options.sh
expdir=exp
parse_options egs2/TEMPLATE/l2dual1/l2dual.sh "$@"
[[ ${expdir} != /* ]] || die "--expdir ${expdir}: give a path relative to the recipes: each has its own"

tools/setup.sh
for recipe in egs2/l2_en egs2/l2_ko; do
    "${recipe}/run.sh" "$@"
done

# shellcheck source=tools/activate.sh
. tools/activate.sh
results=("egs2/l2_en/${expdir}" "egs2/l2_ko/${expdir}")
if [[ -e ${results[0]}/results.json && -e ${results[1]}/results.json ]]; then
    echo
    python -m l2dual.bin.report --exp "${results[@]}" --out egs2/report.html
fi
echo "$(((SECONDS - started) / 60)) minutes $(((SECONDS - started) % 60)) seconds"
