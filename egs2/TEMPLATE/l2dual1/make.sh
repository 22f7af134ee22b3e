# shellcheck shell=bash
# shellcheck disable=SC2154
# Make files from inputs by commands, unless they are up to date. Sourced; the caller sets log_dir and
# defines made_by PATH, which prints the stage that makes PATH.
#
#   claim DIR                          one run at a time in DIR
#   plan OUT INPUT... -- COMMAND...    COMMAND makes OUT, which it calls @OUT@
#   launch NAME LAUNCHER               run what is planned as one job array, logs in log_dir/NAME.*
#
# OUT, a file or a directory, is written under a temporary name and renamed. Beside it is a stamp of
# three lines:
#   1. the hash of the command and of its inputs; with the same hash, OUT is up to date
#   2. the hash of the inputs
#   3. what OUT counts as when it is an input: line 1, or the old line 3 if another command made the
#      same OUT from the same inputs
# An input without a stamp counts by its content. listing:DIR, which is too large to read, counts by
# the names, sizes and times of its files; recordings:DIR, a data directory, by those of the files
# that its wav.scp names.

claim() {  # held until this process and all that it has started end
    command -v flock > /dev/null || return 0
    mkdir -p "$1"
    exec {claimed}<> "$1/.run"
    flock --nonblock --conflict-exit-code 10 "${claimed}" || (($? != 10)) \
        || die "another run uses $1: $(< "$1/.run"), or a process that it started." \
            "Wait for it, stop it, or choose another --expdir"
    echo "process $$ on ${HOSTNAME} since $(date '+%F %T') (${L2DUAL_COMMAND:-./run.sh})" > "$1/.run"
}

planned=()  # outputs of the next launch
declare -A plan_stamp plan_inputs plan_command

stamp_file() { echo "$(dirname "$1")/.$(basename "$1").stamp"; }

hash() { sha256sum | cut -d ' ' -f 1; }

signature() {  # signature INPUT...
    local input stamp
    {
        for input; do
            stamp=$(stamp_file "${input}")
            if [[ -f ${stamp} ]]; then
                tail -n 1 "${stamp}"
            elif [[ ${input} == listing:* && -e ${input#listing:} ]]; then
                find -L "${input#listing:}" -type f -printf '%P %s %T@\n' | sort
            elif [[ ${input} == recordings:* && -e ${input#recordings:} ]]; then
                recordings_of "${input#recordings:}"
            elif [[ -d ${input} ]]; then
                (cd "${input}" && find -L . -type f -not -name '*.pyc' -print0 | sort -z | xargs -0 sha256sum)
            elif [[ -e ${input} ]]; then
                sha256sum < "${input}"
            else
                input=${input#*:}
                die "${input}: not found: run stage $(made_by "${input}") first"
            fi
        done
    } | hash
}

recordings_of() {  # recordings_of DATA: name, size and time of each file in its wav.scp, or in an ark there
    cut -d ' ' -f 2- "$1/wav.scp" | sed -E 's/:[0-9]+$//' | sort -u | tr '\n' '\0' \
        | { xargs -0 -r stat -L --format '%n %s %.Y' 2> /dev/null || true; }
}

plan() {
    local out=$1 inputs=()
    shift
    while [[ $1 != -- ]]; do
        inputs+=("$1")
        shift
    done
    shift
    local stamp
    plan_inputs[${out}]=$(signature "${inputs[@]}")
    stamp=$({ sed -E 's/ --(nj|ngpu|num_nodes|num_threads) [0-9]+//g' <<< "$*"; echo "${plan_inputs[${out}]}"; } | hash)
    if [[ -e ${out} && $(head -n 1 "$(stamp_file "${out}")" 2> /dev/null) == "${stamp}" ]]; then
        echo "${out}: up to date"
        return
    fi
    planned+=("${out}")
    plan_stamp[${out}]=${stamp}
    plan_command[${out}]=$(printf '%q ' "${@//@OUT@/${out}.tmp}")
}

is_planned() { [[ " ${planned[*]} " == *" $1 "* ]]; }

launch() {
    local name=$1 launcher=$2 count=${#planned[@]} number=0 array=JOB out
    ((count)) || return 0
    mkdir -p "${log_dir}"
    rm -f "${log_dir}/${name}".*
    for out in "${planned[@]}"; do
        number=$((number + 1))
        job_script "${out}" > "${log_dir}/${name}.${number}.sh"
    done
    planned=()
    while [[ ${log_dir} == *${array}* ]]; do array+=_; done  # a path with JOB in it
    # shellcheck disable=SC2086  # a launcher is a command with options
    L2DUAL_PARENT=$$ ${launcher} "${array}=1:${count}" "${log_dir}/${name}.${array}.log" \
        bash "${log_dir}/${name}.${array}.sh"
}

job_script() {  # job_script OUT: what makes OUT, renames it and stamps it; it may be killed at any line
    local out tmp old stamp from=${plan_inputs[$1]}
    out=$(printf %q "$1") tmp=$(printf %q "$1.tmp") old=$(printf %q "$1.old")
    stamp=$(printf %q "$(stamp_file "$1")")
    cat << SCRIPT
set -euo pipefail
export L2DUAL_COMMAND=$(printf %q "${L2DUAL_COMMAND:-}")
rm -rf ${tmp}
mkdir -p $(printf %q "$(dirname "$1")")
${plan_command[$1]}
counts_as=${plan_stamp[$1]}
if [[ -e ${out} ]] && grep -qsx ${from} ${stamp} && diff -rq ${out} ${tmp} > /dev/null; then
    counts_as=\$(tail -n 1 ${stamp})
fi
rm -rf ${stamp} ${old}  # the stamp goes first: without one, OUT is made again
if [[ -e ${out} ]]; then mv ${out} ${old}; fi
mv ${tmp} ${out}
printf '%s\n' ${plan_stamp[$1]} ${from} "\${counts_as}" > ${stamp}
rm -rf ${old}
SCRIPT
}

tell() {  # tell NAME: show what the last jobs of that name printed
    if compgen -G "${log_dir}/$1.*.log" > /dev/null; then
        cat "${log_dir}/$1".*.log | grep -Ev '^(#|progress:|Failed to import Flash)' || true
    fi
}
