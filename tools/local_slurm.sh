#!/usr/bin/env bash
# A real Slurm for tests on this machine's loopback: munge, slurmctld, and slurmd with one node.
# Everything is private to DIR: its keys, its ports, its state. Needs Debian's slurm-wlm and munge.
#
# Usage: tools/local_slurm.sh start|stop|env|kill|crash [DIR]
#   start   configure it once, and start what is not running
#   env     print the exports that a shell needs to talk to it:  eval "$(tools/local_slurm.sh env)"
#   stop    end its jobs and its daemons, and remove DIR
#   kill    kill controller and node daemon in the middle of their work; jobs go on, as in Slurm
#   crash   kill the node daemon and everything that it runs, as if the machine had lost its power, and
#           let the controller see the node down; start brings it up again
#
# DIR: ${L2DUAL_SLURM_DIR}, else /tmp/l2dual-slurm-UID; short, since it holds Unix sockets.

set -euo pipefail

dir=$(realpath -m "${2:-${L2DUAL_SLURM_DIR:-/tmp/l2dual-slurm-${UID}}}")
export SLURM_CONF=${dir}/slurm.conf
PATH=${PATH}:/usr/sbin:/sbin

fail() {
    echo "local_slurm: error: $*" >&2
    exit 1
}

require_programs() {
    local program
    for program in munged slurmctld slurmd sbatch; do
        type -P "${program}" > /dev/null \
            || fail "no ${program}: as root, apt-get install slurm-wlm munge"
    done
    ((${#dir} < 80)) || fail "${dir}: a shorter path is needed, for the sockets in it"
}

free_ports() { # two TCP ports that nothing listens on
    python3 - << 'END'
import socket
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*(each.getsockname()[1] for each in sockets))
END
}

configure() {
    local user ports
    user=$(id -un)
    read -r -a ports <<< "$(free_ports)"
    mkdir -p "${dir}"/{state,spool,munge}
    chmod 755 "${dir}" "${dir}/munge"
    (
        umask 077
        head -c 128 /dev/urandom > "${dir}/munge/key"
    )
    cat > "${SLURM_CONF}" << END
ClusterName=l2dual
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmctldPort=${ports[0]}
SlurmdPort=${ports[1]}
SlurmUser=${user}
SlurmdUser=${user}
AuthType=auth/munge
AuthInfo=socket=${dir}/munge/socket
CredType=cred/munge
StateSaveLocation=${dir}/state
SlurmdSpoolDir=${dir}/spool
SlurmctldPidFile=${dir}/slurmctld.pid
SlurmdPidFile=${dir}/slurmd.pid
SlurmctldLogFile=${dir}/slurmctld.log
SlurmdLogFile=${dir}/slurmd.log
# No control groups: processes are followed through /proc, and sampled for their memory.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
# No database: the controller remembers ended jobs, and a file has them for longer (sacct -c).
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/filetxt
JobCompLoc=${dir}/completed_jobs
MinJobAge=3600
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
# More CPUs and memory than the machine may have, so that small jobs do not wait for each other.
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0,sched_interval=1,bf_interval=1
ReturnToService=2
SlurmdTimeout=300
MessageTimeout=30
KillWait=2
MpiDefault=none
NodeName=node1 NodeHostname=$(hostname -s) NodeAddr=127.0.0.1 CPUs=16 RealMemory=100000
PartitionName=main Nodes=node1 Default=YES MaxTime=1-0 DefMemPerCPU=2000 OverSubscribe=NO
END
}

pid_of() { # pid_of DAEMON: its process id, if it runs
    local pid
    pid=$(cat "${dir}/$1.pid" 2> /dev/null) || return 0
    if runs "${pid}"; then echo "${pid}"; fi
}

runs() { # runs PID: a zombie, which may stay for long, does not, unless threads of it go on
    grep -qsE '^State:[[:space:]]*[^ZX[:space:]]|^Threads:[[:space:]]*([2-9]|[0-9]{2})' "/proc/$1/status"
}

start() {
    require_programs
    if [[ ! -f ${SLURM_CONF} ]]; then configure; fi
    if [[ -z $(pid_of munge) ]]; then
        munged --force --key-file="${dir}/munge/key" --socket="${dir}/munge/socket" \
            --pid-file="${dir}/munge.pid" --log-file="${dir}/munge/log" \
            --seed-file="${dir}/munge/seed" 2> /dev/null || fail "munged: see ${dir}/munge/log"
    fi
    if [[ -z $(pid_of slurmctld) ]]; then slurmctld || fail "slurmctld: see ${dir}/slurmctld.log"; fi
    if [[ -z $(pid_of slurmd) ]]; then slurmd -N node1 || fail "slurmd: see ${dir}/slurmd.log"; fi
    wait_for "the node to be up: see ${dir}/slurmctld.log and slurmd.log" node_is_up
}

node_is_up() { [[ $(sinfo --noheader --format=%T 2> /dev/null) =~ ^(idle|mixed|allocated)$ ]]; }

wait_for() { # wait_for WHAT COMMAND...: until the command's status is 0, at most 120 seconds
    local what=$1 end=$((SECONDS + 120))
    shift
    while ((SECONDS < end)); do
        if "$@"; then return; fi
        sleep 0.1
    done
    fail "waited 120 seconds for ${what}"
}

end_steps() { # kill the daemons of running jobs, known by their log, and the jobs, by SLURM_CONF
    local process
    for process in /proc/[0-9]*; do
        if { grep -qsz '^slurmstepd: ' "${process}/cmdline" \
            && [[ $(readlink "${process}"/fd/*) == *"${dir}/slurmd.log"* ]]; } \
            || { grep -qszFx "SLURM_CONF=${SLURM_CONF}" "${process}/environ" \
                && grep -qsz '^SLURM_JOB_ID=' "${process}/environ"; }; then
            kill -KILL "${process#/proc/}" 2> /dev/null || true
        fi
    done
}

stop() {
    if [[ ! -f ${SLURM_CONF} ]]; then return; fi
    end slurmd
    end slurmctld
    end_steps
    end munge
    rm -rf "${dir}"
}

end() { # end DAEMON [SIGNAL]
    local pid try
    pid=$(pid_of "$1")
    if [[ -z ${pid} ]]; then return; fi
    kill "-${2:-TERM}" "${pid}" || true
    for ((try = 0; try < 50; try++)); do
        if ! runs "${pid}"; then return; fi
        sleep 0.1
    done
    kill -KILL "${pid}" || true
}

case ${1:-} in
    start) start ;;
    stop) stop ;;
    env) echo "export SLURM_CONF=$(printf %q "${SLURM_CONF}")" ;;
    kill)
        end slurmctld KILL
        end slurmd KILL
        ;;
    crash)
        end slurmd KILL
        end_steps
        scontrol update NodeName=node1 State=DOWN Reason=crash # as after SlurmdTimeout
        ;;
    *) fail "usage: tools/local_slurm.sh start|stop|env|kill|crash [DIR]" ;;
esac
