# shellcheck shell=bash
# Options of a recipe: a table of names, defaults and descriptions, and its parser. Sourced.

die() {
    echo "l2dual: error: $*" >&2
    exit 1
}

parse_options() {  # parse_options TABLE ARGUMENT...: set a variable for each option of the table
    local name default help known=" "
    while read -r name default help; do
        [[ -n ${name} ]] || continue
        [[ ${default} != - ]] || default=
        printf -v "${name}" %s "${default}"
        known+="${name} "
    done <<< "$1"
    local table=$1
    shift
    while (($#)); do
        case $1 in
            -h | --help) usage "${table}"; exit 0 ;;
            --*) name=${1#--} ;;
            *) die "unexpected argument '$1': options are --name value, see --help" ;;
        esac
        [[ ${known} == *" ${name} "* ]] || die "unknown option $1: see --help"
        (($# > 1)) || die "option $1 needs a value"
        printf -v "${name}" %s "$2"
        shift 2
    done
    is_number stage "${stage}"
    is_number stop_stage "${stop_stage}"
    ((stage >= 1 && stop_stage <= 12)) || die "stages are 1 to 12, not ${stage} to ${stop_stage}"
}

usage() {
    local name default help
    echo "Usage: ./run.sh [--stage N] [--stop_stage N] [--option value ...]"
    echo
    while read -r name default help; do
        [[ -n ${name} ]] || continue
        printf '  --%-20s %s [%s]\n' "${name}" "${help}" "${default}"
    done <<< "$1"
}

is_number() {  # is_number NAME VALUE
    [[ $2 =~ ^[0-9]+$ ]] || die "--$1 must be a whole number, not '$2'"
}

one_of() {  # one_of NAME VALUE CHOICE...
    local name=$1 value=$2 choice
    shift 2
    for choice; do
        if [[ ${value} == "${choice}" ]]; then return; fi
    done
    die "--${name} must be one of: $*; it is '${value}'"
}
