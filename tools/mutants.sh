#!/usr/bin/env bash
# Change the scoring code in one place at a time (mutmut) and count the changes that its tests notice.
# Fails if one goes unnoticed that docs/testing.md does not argue for.
#
# Usage: tools/mutants.sh [--sample DIGIT] [MODULE...]
#
# --sample DIGIT takes the mutants whose number ends in DIGIT: a tenth. All mutants of all modules
# take an hour on one core.

set -euo pipefail

fail() {
    echo "mutants: $1" >&2
    exit 1
}

cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=tools/activate.sh
. tools/activate.sh
python -c "import mutmut" 2> /dev/null || fail "mutmut is missing: pip install mutmut==3.8.1"

declare -A files=(
    [units]=text/units [divergence]=data/divergence [score]=scoring/score [crosstalk]=scoring/crosstalk
    [mispronunciation]=scoring/mispronunciation [search]=models/search
)
mutants=()
if [[ ${1:-} == --sample ]]; then
    [[ ${2:-} == [0-9] ]] || fail "--sample takes a digit, not '${2:-}'"
    mutants=("*__mutmut_$2" "*__mutmut_*$2")
    shift 2
fi
(($#)) || set -- "${!files[@]}"
for module; do
    [[ -n ${files[${module}]:-} ]] || fail "no module ${module}: use of ${!files[*]}"
done

argued=${PWD}/docs/testing.md
scratch=$(mktemp -d)
trap 'rm -rf "${scratch}"' EXIT
export OMP_NUM_THREADS=1 PYTHONPATH=${scratch}:${PYTHONPATH}

# Lay a fresh copy out in which mutmut changes one module. Tests of commands start processes: slow.
prepare() {
    local module=$1
    rm -rf "${scratch:?}"/*
    cp -r l2dual tests conf docs pyproject.toml README.md "${scratch}"
    cat > "${scratch}/setup.cfg" << END
[mutmut]
source_paths=l2dual/${files[${module}]}.py
pytest_add_cli_args_test_selection=tests/${files[${module}]/\//\/test_}.py
pytest_add_cli_args=
    -knot command_line
also_copy=
    l2dual
    tests
    conf
    docs
    pyproject.toml
    README.md
END
    # The fixtures of tests/conftest.py import torch, which only decoding needs.
    [[ ${module} == search ]] || sed -i 's/^    -knot/    --noconftest\n&/' "${scratch}/setup.cfg"
}

unargued=0
for module; do
    prepare "${module}"
    pushd "${scratch}" > /dev/null
    python -m mutmut run "${mutants[@]}" > run.log 2>&1 || {
        tail -n 20 run.log >&2
        exit 1
    }
    python -m mutmut results --all true 2> /dev/null | grep -v ': not checked' > results.txt
    # One that never ends is noticed.
    unnoticed=$({ grep -vE ': (killed|timeout)$' results.txt || true; } | sed 's/^ *//; s/: .*//')
    total=$(wc -l < results.txt)
    count=$(wc -w <<< "${unnoticed}")
    echo "${module}: $((total - count)) of ${total} mutants noticed"
    for mutant in ${unnoticed}; do
        change=$(python -m mutmut show "${mutant}" 2> /dev/null | grep -E '^[-+] ' | sed -E 's/^([-+]) +/\1 /' | paste -sd ' ')
        word=argued
        grep -qF -- "${change}" "${argued}" || {
            word=unnoticed
            unargued=1
        }
        echo "    ${word}: ${mutant#l2dual.*.}: ${change}"
    done
    popd > /dev/null
done
exit "${unargued}"
