# shellcheck shell=bash disable=SC2034
# Where jobs run. Sourced by l2dual.sh, after path.sh, which puts the launchers on PATH.
#
#   cmd_backend=local    this machine (tools/launch/local.py)
#   cmd_backend=slurm    a Slurm cluster, with the options of conf/cluster/slurm.conf
#   cmd_backend=sge      Grid Engine, conf/cluster/sge.conf
#   cmd_backend=pbs      OpenPBS or PBS Professional, conf/cluster/pbs.conf; untested
#   cmd_backend=ssh      the machines of conf/cluster/ssh.conf
#
# A launcher is called as
#   $train_cmd [--gpu N] [--mem 8G] [--num_threads N] [--time 1-12:00:00] [--max_jobs N] [JOB=1:8] \
#       log/x.JOB.log command args with JOB
# Add options for every job of a kind after the launcher's name, as in
#   decode_cmd="local.py --num_threads 2"
# docs/cluster.md has more.

cmd_backend=${cmd_backend:-local}

case ${cmd_backend} in
    local | ssh)
        train_cmd="${cmd_backend}.py"  # data preparation, statistics: CPU
        cuda_cmd="${cmd_backend}.py"   # training: a GPU if --ngpu asks for one
        decode_cmd="${cmd_backend}.py" # decoding and analysis
        ;;
    slurm | sge | pbs)
        train_cmd="${cmd_backend}.py --mem 4G --time 4:00:00"
        cuda_cmd="${cmd_backend}.py --mem 16G --time 1-00:00:00"
        decode_cmd="${cmd_backend}.py --mem 8G --time 4:00:00"
        ;;
    *)
        echo "l2dual: error: unknown backend ${cmd_backend}: use local, slurm, sge, pbs or ssh" >&2
        exit 1
        ;;
esac
