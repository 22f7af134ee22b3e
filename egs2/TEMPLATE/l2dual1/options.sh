# shellcheck shell=bash
# Options of a recipe, declared as `name=default # what it is`. Sourced.

die() {
    echo "l2dual: error: $*" >&2
    exit 1
}

option_block() {  # option_block SCRIPT: its lines `name=default # what it is`
    sed -n '/^# Options: /,/^# End of options/ { /^[a-z][a-z0-9_]*=/p }' "$1"
}

parse_options() {  # parse_options SCRIPT ARGUMENT...: set the options that SCRIPT declares
    local script=$1 name
    shift
    while (($#)); do
        case $1 in
            -h | --help) usage "${script}"; exit 0 ;;
            --*) name=${1#--} ;;
            *) die "unexpected argument '$1': options are --name value, see --help" ;;
        esac
        option_block "${script}" | grep -q "^${name}=" || die "unknown option $1: see --help"
        (($# > 1)) || die "option $1 needs a value"
        printf -v "${name}" %s "$2"
        shift 2
    done
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

one_of() {  # one_of NAME VALUE CHOICE...
    local name=$1 value=$2 choice
    shift 2
    for choice; do
        if [[ ${value} == "${choice}" ]]; then return; fi
    done
    die "--${name} must be one of: $*; it is '${value}'"
}
