#!/usr/bin/env bash
# Set up, run both recipes on simulated learner speech, and show the results.
#   ./run_all.sh [--option value ...]    options of both recipes: ./run_all.sh --help
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")"
started=${SECONDS}

expdir=''
checked=$(PYTHONPATH=. python3 -m l2dual.recipe.options "$@") # sets expdir; needs no set-up
eval "${checked}"
if [[ ${expdir} == /* ]]; then
    echo "l2dual: error: --expdir ${expdir}: give a path relative to the recipes: each has its own" >&2
    exit 1
fi

tools/setup.sh
for recipe in egs2/l2_en egs2/l2_ko; do
    "${recipe}/run.sh" "$@"
done

# shellcheck source=tools/activate.sh
. tools/activate.sh
exps=()
for language in en ko; do
    # shellcheck source=egs2/TEMPLATE/l2dual1/db.sh
    study=$(cd "egs2/l2_${language}" && set -a && . ./db.sh && python -m l2dual.recipe.studies --language "${language}" "$@")
    exps+=("egs2/l2_${language}/${study}")
done
if [[ -e ${exps[0]}/results.json && -e ${exps[1]}/results.json ]]; then
    echo
    python -m l2dual.bin.report --exp "${exps[@]}" --out egs2/report.html
fi
echo "$(((SECONDS - started) / 60)) minutes $(((SECONDS - started) % 60)) seconds"
