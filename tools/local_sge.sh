#!/usr/bin/env bash
# A real Grid Engine for tests on this machine's loopback: sge_qmaster, and sge_execd with one node.
# Everything is private to DIR. Needs root, and Debian's gridengine-master, -exec and -client.
#
# Usage: tools/local_sge.sh start|stop|env|kill [DIR]
#   start   configure it once, and start what is not running
#   env     print the exports that a shell needs to talk to it:  eval "$(tools/local_sge.sh env)"
#   stop    end its jobs and its daemons, and remove DIR
#   kill    kill both daemons in the middle of their work; jobs go on
#
# DIR: ${L2DUAL_SGE_DIR}, else /tmp/l2dual-sge.

set -euo pipefail

dir=$(realpath -m "${2:-${L2DUAL_SGE_DIR:-/tmp/l2dual-sge}}")
programs=/usr/lib/gridengine
defaults=/usr/share/gridengine
common=${dir}/default/common

fail() {
    echo "local_sge: error: $*" >&2
    exit 1
}

show_environment() {
    printf 'export SGE_ROOT=%q SGE_CELL=default PATH=%q\n' "${dir}" "${programs}:${PATH}"
    cat "${dir}/ports"
}

free_ports() { # exports of two TCP ports that nothing listens on
    python3 - << 'END'
import socket
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
ports = [each.getsockname()[1] for each in sockets]
print("export SGE_QMASTER_PORT={} SGE_EXECD_PORT={}".format(*ports))
END
}

lay_out() {
    local name spool=${dir}/spool
    mkdir -p "${common}" "${spool}"/{qmaster/job_scripts,execd} "${dir}"/{bin,lib,utilbin}
    for name in bin lib utilbin; do ln -s "${programs}" "${dir}/${name}/lx-amd64"; done
    ln -s "${defaults}/util" "${dir}/util"
    echo localhost > "${common}/act_qmaster"
    echo "localhost $(hostname)" > "${common}/host_aliases"
    cat > "${common}/bootstrap" << END
admin_user         none
default_domain     none
ignore_fqdn        true
spooling_method    classic
spooling_lib       libspoolc
spooling_params    ${common};${spool}/qmaster
binary_path        ${dir}/bin
qmaster_spool_dir  ${spool}/qmaster
security_mode      none
listener_threads   2
worker_threads     2
scheduler_threads  1
jvm_threads        0
END
    spoolinit classic libspoolc "${common};${spool}/qmaster" init
    sed -E "s|^(execd_spool_dir) .*|\1 ${spool}/execd|; s/^(min_[ug]id) .*/\1 0/; s/^(login_shells) .*/\1 none/; s/flush_time=[0-9:]+/flush_time=0:0:1 accounting_flush_time=0:0:0/
        s/^(load_report_time) .*/\1 00:00:02/" \
        "${defaults}/default-configuration" > "${dir}/configuration"
    spooldefaults configuration "${dir}/configuration"
    spooldefaults complexes "${defaults}/util/resources/centry"
    spooldefaults usersets "${defaults}/util/resources/usersets"
    spooldefaults pes "${defaults}/util/resources/pe"
    spooldefaults managers "$(id -un)"
}

# One node with more slots than the machine has, so that small jobs do not wait for each other.
configure() {
    qconf -ssconf | sed -E 's/^schedule_interval .*/schedule_interval 0:0:1/; s/^flush_(submit|finish)_sec .*/flush_\1_sec 1/
        s/^job_load_adjustments .*/job_load_adjustments NONE/' > "${dir}/scheduler"
    qconf -Msconf "${dir}/scheduler"
    qconf -as localhost
    printf 'group_name @allhosts\nhostlist localhost\n' > "${dir}/hosts"
    qconf -Ahgrp "${dir}/hosts"
    {
        printf '%s\n' 'qname main.q' 'hostlist @allhosts' 'qtype BATCH' 'pe_list smp' 'rerun TRUE' 'slots 16' \
            'tmpdir /tmp' 'shell /bin/bash' 'shell_start_mode posix_compliant' 'notify 00:00:60' 'seq_no 0' \
            'load_thresholds NONE' 'suspend_thresholds NONE' 'nsuspend 1' 'suspend_interval 00:05:00' 'priority 0' \
            'min_cpu_interval 00:05:00' 'processors UNDEFINED' 'initial_state default'
        printf '%s NONE\n' ckpt_list prolog epilog starter_method suspend_method resume_method terminate_method \
            owner_list user_lists xuser_lists subordinate_list complex_values projects xprojects calendar
        printf '%s INFINITY\n' {s,h}_{rt,cpu,fsize,data,stack,core,rss,vmem}
    } > "${dir}/queue"
    qconf -Aq "${dir}/queue"
}

pid_of() { # pid_of qmaster|execd: its process id, if it runs
    local pid
    pid=$(cat "${dir}"/spool/{qmaster,execd/*}/"$1.pid" 2> /dev/null) || true
    if [[ -n ${pid} ]] && grep -qsE '^State:[[:space:]]*[^ZX[:space:]]' "/proc/${pid}/status"; then echo "${pid}"; fi
}

wait_for() { # wait_for WHAT COMMAND...: until the command's status is 0, at most 60 seconds
    local what=$1 try
    shift
    for ((try = 0; try < 300; try++)); do
        if "$@" &> /dev/null; then return; fi
        sleep 0.2
    done
    fail "waited 60 seconds for ${what}"
}

start() {
    [[ -x ${programs}/sge_qmaster && -x ${programs}/sge_execd ]] \
        || fail "no sge_qmaster: as root, apt-get install gridengine-master gridengine-exec gridengine-client"
    [[ ${EUID} == 0 ]] || fail "sge_execd starts jobs as root only"
    if [[ ! -f ${dir}/ports ]]; then
        mkdir -p "${dir}"
        free_ports > "${dir}/ports"
    fi
    eval "$(show_environment)"
    {
        if [[ ! -d ${common} ]]; then lay_out; fi
        if [[ -z $(pid_of qmaster) ]]; then sge_qmaster; fi
        wait_for "the qmaster: see ${dir}/spool/qmaster/messages" qconf -sh
        if [[ ! -f ${dir}/queue ]]; then configure; fi
        if [[ -z $(pid_of execd) ]]; then sge_execd; fi
        wait_for "the node: see ${dir}/spool/execd" node_is_up
    } > "${dir}/start.log" 2>&1 < /dev/null || fail "not started: see ${dir}/start.log"
}

node_is_up() { [[ $(qstat -f -q main.q) =~ lx-amd64 && ! $(qstat -f -q main.q) =~ lx-amd64\ +a?u ]]; }

end() { # end qmaster|execd SIGNAL
    local pid try
    pid=$(pid_of "$1")
    if [[ -z ${pid} ]]; then return; fi
    kill "-$2" "${pid}" || true
    for ((try = 0; try < 50; try++)); do
        if [[ -z $(pid_of "$1") ]]; then return; fi
        sleep 0.1
    done
    kill -KILL "${pid}" || true
}

end_jobs() { # kill whatever runs with SGE_ROOT and a job's number in its environment
    local process
    for process in /proc/[0-9]*; do
        if grep -qszFx "SGE_ROOT=${dir}" "${process}/environ" && grep -qsz '^JOB_ID=' "${process}/environ"; then
            kill -KILL "${process#/proc/}" 2> /dev/null || true
        fi
    done
}

case ${1:-} in
    start) start ;;
    env) show_environment ;;
    kill)
        end qmaster KILL
        end execd KILL
        ;;
    stop)
        end execd TERM
        end qmaster TERM
        end_jobs
        rm -rf "${dir}"
        ;;
    *) fail "usage: tools/local_sge.sh start|stop|env|kill [DIR]" ;;
esac
