# shellcheck shell=bash
# Options of a recipe, declared as `name=default # what it is`. Sourced.

declare -A renamed=([dial]=severity [functional]=retrained)  # old names

die() {
    echo "l2dual: error: $*" >&2
    exit 1
}

option_block() {  # option_block SCRIPT: its lines `name=default # what it is`
    sed -n '/^# Options: /,/^# End of options/ { /^[a-z][a-z0-9_]*=/p }' "$1"
}

parse_options() {  # parse_options SCRIPT ARGUMENT...: set the options that SCRIPT declares
    local script=$1 option name names
    shift
    mapfile -t names < <(option_block "${script}" | sed 's/=.*//')
    while (($#)); do
        option=$1
        shift
        case ${option} in
            -h | --help) usage "${script}"; exit 0 ;;
            --*=*) set -- "${option#*=}" "$@"; option=${option%%=*} ;;
            --*) ;;
            *) die "unexpected argument '${option}': options are --name value, see --help" ;;
        esac
        name=${option#--} name=${name//-/_}
        [[ -z ${name} || -z ${renamed[${name}]:-} ]] || die "--${name} is now --${renamed[${name}]}"
        [[ ${name} =~ ^[a-z0-9_]+$ && " ${names[*]} " == *" ${name} "* ]] \
            || die "unknown option ${option}: did you mean --$(nearest "${name}" "${names[@]}")? See --help"
        (($#)) && [[ $1 != --* ]] || die "option ${option} needs a value"
        printf -v "${name}" %s "$1"
        shift
    done
}

nearest() {  # nearest NAME CHOICE...: the choice that is fewest letters away
    printf '%s\n' "${@:2}" | NAME=${1:0:40} awk '
        function min(a, b) { return a < b ? a : b }
        BEGIN { name = ENVIRON["NAME"] }
        {
            for (j = 0; j <= length(name); j++) row[j] = j
            for (i = 1; i <= length($0); i++) {
                diagonal = row[0]
                row[0] = i
                for (j = 1; j <= length(name); j++) {
                    above = row[j]
                    differ = substr($0, i, 1) != substr(name, j, 1)
                    row[j] = min(min(above, row[j - 1]) + 1, diagonal + differ)
                    diagonal = above
                }
            }
            if (NR == 1 || row[length(name)] < least) { least = row[length(name)]; best = $0 }
        }
        END { print best }'
}

usage() {  # usage SCRIPT
    echo "Usage: ./run.sh [--stage N] [--stop_stage N] [--option value ...]"
    echo
    option_block "$1" | sed -E 's/^([a-z0-9_]+)=("?)([^"]*[^" ])?"? +# (.*)/  --\1|\4 [\3]/; s/ \[\]$//' \
        | awk -F '|' '{ printf "%-24s %s\n", $1, $2 }'
}

is_number() {  # is_number NAME VALUE
    [[ $2 =~ ^[0-9]+$ ]] || die "--$1 must be a whole number, not '$2'"
}

is_positive() {  # is_positive NAME VALUE: a whole number above 0
    is_number "$1" "$2"
    [[ $2 =~ [1-9] ]] || die "--$1 must be 1 or more, not '$2'"
}

is_decimal() {  # is_decimal NAME VALUE: a number above 0, as 0.9
    [[ $2 =~ ^[0-9]*\.?[0-9]+$ && $2 =~ [1-9] ]] || die "--$1 must be a number above 0, as 0.9, not '$2'"
}

one_of() {  # one_of NAME VALUE CHOICE...
    local name=$1 value=$2 choice
    shift 2
    for choice; do
        if [[ ${value} == "${choice}" ]]; then return; fi
    done
    die "--${name} must be one of: $*; it is '${value}'"
}
