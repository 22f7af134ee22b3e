#!/usr/bin/env bash
# What a GPU gives: trains, decodes and scores, and prints speed, memory and error beside each other.
#   tools/gpu_check.sh [--study mini] [--ngpu 1] [--minutes 15]
#   tools/gpu_check.sh --study tiny --ngpu 0        the same steps on a CPU; without bfloat16
# First it prepares the data (stages 1 to 7), without the GPU. Then, until the minutes are over: three systems in 32 bits,
# do in bfloat16, some steps of the paper's model in both, two more seeds. Another call goes on with what was left out.
# Tried so on a CPU. Not run on a GPU yet: at 50 ms a step all but the seeds should take some 10 minutes.
set -euo pipefail

study=mini ngpu=1 minutes=15
while (($#)); do
    case $1 in
        --study) study=$2 ;;
        --ngpu) ngpu=$2 ;;
        --minutes) minutes=$2 ;;
        *)
            echo "gpu_check: error: unknown option $1: use --study, --ngpu or --minutes" >&2
            exit 1
            ;;
    esac
    shift 2
done
cd "$(dirname "${BASH_SOURCE[0]}")/../egs2/l2_en"
# shellcheck source=tools/activate.sh
. ../../tools/activate.sh
exp=exp/gpu_check${ngpu} # apart: what was trained elsewhere has other times

recipe() { # recipe OPTION...: until the time is over; what is finished is kept
    local left=$((end - SECONDS))
    if ((left <= 0)) || ! timeout "${left}" ./run.sh --expdir "${exp}" --ngpu "${ngpu}" "$@"; then
        ((SECONDS >= end)) || exit 1
        echo "left out, as the ${minutes} minutes are over: $*"
    fi
}

./run.sh --study "${study}" --expdir "${exp}" --stop_stage 7
end=$((SECONDS + 60 * minutes))
systems=(--study "${study}" --systems "so_surface so_meaning do" --stop_stage 10)
paper=(--base "${study}" --train_config paper --systems "do" --stop_stage 8)
steps="--max_epoch 2 --num_iters_per_epoch $((ngpu ? 20 : 1)) --scheduler_conf warmup_steps=1"

recipe "${systems[@]}" --seeds 1
if ((ngpu)); then recipe --base "${study}" --train_args "--use_amp true" --systems "do" --stop_stage 10; fi
recipe "${paper[@]}" --train_args "${steps}"
if ((ngpu)); then recipe "${paper[@]}" --train_args "${steps} --use_amp true"; fi
recipe "${systems[@]}" --seeds "1 2 3"

python - "${exp}" << 'END'
import re
import sys
from pathlib import Path

from l2dual.scoring.results import read_results
from l2dual.systems import OUTPUTS


def last(pattern, text):
    return (re.findall(pattern, text) or ["nan"])[-1]


for log in sorted(Path(sys.argv[1]).glob("*/*.seed*/train.log")):
    (system, _, seed), file, text = log.parent.name.partition(".seed"), log.parents[1] / "results.json", log.read_text()
    records = [read_results(file).get("error_rate", system, output) for output in OUTPUTS] if file.is_file() else []
    said = [f"{one.output} {100 * one.per_seed[seed]:.1f} %" for one in records if one and seed in one.per_seed]
    batch, seconds = last(r"\[train\] mini-batch sizes .* mean=([\d.]+)", text), last(r"train_time=([\d.]+)", text)
    run, speed = f"{file.parent.name}/{log.parent.name}", float(batch) / float(seconds)
    memory = last(r"gpu_max_cached_mem_GB=([\d.]+)", text)
    print(f"{run}: {speed:.1f} utterances a second, {memory} GB, {', '.join(said) or 'not scored'}")
END
