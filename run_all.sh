#!/usr/bin/env bash
# Set up, run both recipes at once on simulated learner speech, and show the results.
#   ./run_all.sh [--option value ...]    options of both recipes: ./run_all.sh --help
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")"
started=${SECONDS}

expdir='' test_data='' stop_stage=12
checked=$(PYTHONPATH=. python3 -m l2dual.recipe.options "$@") # sets expdir; needs no set-up
eval "${checked}"
if [[ ${expdir} == /* ]]; then
    echo "l2dual: error: --expdir ${expdir}: give a path relative to the recipes: each has its own" >&2
    exit 1
fi

tools/setup.sh
L2DUAL_CORES=$(mktemp -d) # the two share the cores of this machine, so that none is idle
export L2DUAL_CORES
running=()
trap 'rm -rf "${L2DUAL_CORES}"' EXIT
trap 'kill "${running[@]}"; wait; exit 130' INT
trap 'kill "${running[@]}"; wait; exit 143' TERM HUP
for language in en ko; do
    "egs2/l2_${language}/run.sh" --nj "$((($(nproc) + 1) / 2))" "$@" > >(sed -u "s/^/${language}: /") 2> >(sed -u "s/^/${language}: /" >&2) &
    running+=($!)
done
status=0
for recipe in "${running[@]}"; do wait "${recipe}" || status=$?; done
((! status)) || exit "${status}"

# shellcheck source=tools/activate.sh
. tools/activate.sh
if [[ -n ${test_data} ]] || ((stop_stage < 10)); then exit 0; fi # no results on the test set

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
