#!/usr/bin/env bash
# What a GPU gives: trains, decodes and scores, and prints time, memory and error beside each other. Some 15
# minutes of an H100; the data are prepared first (stages 1 to 7), without it.
#   tools/gpu_check.sh [--study measure] [--ngpu 1]
#   tools/gpu_check.sh --study tiny --ngpu 0        the same steps on a CPU; without bfloat16
# Tried so on a CPU. Not run on a GPU yet.
set -euo pipefail

study=measure ngpu=1
while (($#)); do
    case $1 in
        --study) study=$2 ;;
        --ngpu) ngpu=$2 ;;
        *)
            echo "gpu_check: error: unknown option $1: use --study or --ngpu" >&2
            exit 1
            ;;
    esac
    shift 2
done
cd "$(dirname "${BASH_SOURCE[0]}")/../egs2/l2_en"
systems=(--systems "so_surface so_meaning do" --seeds "1 2 3" --ngpu "${ngpu}")

./run.sh --study "${study}" --stop_stage 7
./run.sh --study "${study}" "${systems[@]}" --stage 8 --stop_stage 10 # 32 bits
studies=("${study}")
if ((ngpu)); then
    ./run.sh --base "${study}" --train_args "--use_amp true" "${systems[@]}" --stop_stage 10 # 16 bits
    studies+=("${study}_use_amp-true")
fi
steps=$((ngpu ? 100 : 2)) # of the paper's model
paper=(--base "${study}" --train_config ../../conf/train/paper.yaml --systems "do" --ngpu "${ngpu}")
./run.sh "${paper[@]}" --stop_stage 8 \
    --train_args "--max_epoch 1 --num_iters_per_epoch ${steps} --scheduler_conf warmup_steps=1"

for name in "${studies[@]}" exp/"${study}"_paper*; do
    echo "== ${name##*/}"
    for run in exp/"${name##*/}"/*.seed*; do
        memory=$(sed -nE 's/.*gpu_max_cached_mem_GB=([0-9.]+).*/\1/p' "${run}/train.log" | tail -n 1)
        seconds=$(sed -nE 's/.*train_time=([0-9.]+).*/\1/p' "${run}/train.log" | tail -n 1)
        echo "${run##*/}: ${seconds:-?} s an iteration, ${memory:-no} GB"
    done
done
