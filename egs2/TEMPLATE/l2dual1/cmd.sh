# shellcheck shell=bash disable=SC2034
# Where jobs run. Sourced by l2dual.sh, after path.sh, which puts the launchers on PATH.
#
#   cmd_backend=local    this machine (tools/launch/local.py)
#
# A launcher is called as
#   $train_cmd [--gpu N] [--mem 8G] [--num_threads N] [--time ...] [--max_jobs N] [JOB=1:8] \
#       log/x.JOB.log command args with JOB
# Options that hold for every job of a kind go behind the launcher's name, as in
#   decode_cmd="local.py --num_threads 2"

cmd_backend=${cmd_backend:-local}

case ${cmd_backend} in
    local)
        train_cmd="local.py"     # data preparation, statistics: CPU
        cuda_cmd="local.py"      # training: a GPU if --ngpu asks for one
        decode_cmd="local.py"    # decoding and analysis
        ;;
    *)
        echo "l2dual: error: unknown backend ${cmd_backend}: l2dual 0.1 has: local" >&2
        exit 1
        ;;
esac
