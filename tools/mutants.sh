#!/usr/bin/env bash
# Change the scoring code in one place at a time (mutmut) and count the changes that its tests notice.
#
# Usage: tools/mutants.sh [MODULE...]     default: all of the table below, an hour on one core

set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=tools/activate.sh
. tools/activate.sh
python -c "import mutmut" 2> /dev/null || { echo "mutants: pip install mutmut==3.8.1, then run this again" >&2; exit 1; }

declare -A tests=(
    [text]="text" [divergence]="divergence" [score]="score sclite" [crosstalk]="crosstalk score"
    [mispronunciation]="mispronunciation" [decode]="decode"
)
(($#)) || set -- "${!tests[@]}"

scratch=$(mktemp -d)
trap 'rm -rf "${scratch}"' EXIT
for module; do
    [[ -n ${tests[${module}]:-} ]] || { echo "mutants: no module ${module}: choose of ${!tests[*]}" >&2; exit 1; }
    rm -rf "${scratch:?}"/*
    cp -r l2dual tests conf docs pytest.ini README.md "${scratch}"
    {
        printf '[mutmut]\nsource_paths=\n    l2dual/%s.py\npytest_add_cli_args_test_selection=\n' "${module}"
        for name in ${tests[${module}]}; do printf '    tests/unit/test_%s.py\n' "${name}"; done
        printf 'also_copy=\n    l2dual\n    tests\n    conf\n    docs\n    pytest.ini\n    README.md\n'
    } > "${scratch}/setup.cfg"
    (
        cd "${scratch}"
        PYTHONPATH=${scratch} OMP_NUM_THREADS=1 python -m mutmut run > run.log 2>&1 || { tail -n 20 run.log >&2; exit 1; }
        python -m mutmut results > results.txt 2> /dev/null
        killed=$(tail -n 3 run.log | grep -oE '[0-9]+/[0-9]+  🎉 [0-9]+' | tail -n 1)
        echo "${module}: ${killed}; noticed by no test:"
        { grep -v ': killed' results.txt || true; } | sed 's/^ */    /'
    )
done
