"""An experiment directory: what is trained, on what, and the script that trains or resumes it."""

import os
import shlex
import shutil
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import yaml

import l2dual
from l2dual.files import atomic_write

RUN_SCRIPT = """\
#!/usr/bin/env bash
# Train {name}, or resume it from its last whole epoch. Options go to ESPnet.
# --half true: finish the training of half the epochs, which the whole one began in half/.
# --num_nodes N --ngpu M: on N nodes of the cluster, with M GPUs on each.
set -euo pipefail
exp=$(cd "$(dirname "${{BASH_SOURCE[0]}}")" && pwd)
cd "${{exp}}" && cd {recipe}
if [[ ! -f path.sh ]]; then
    echo "l2dual: error: ${{exp}}/run.sh: ${{PWD}} is not a recipe: move the run to" \\
        {place} "of a recipe" >&2
    exit 1
fi
exp=${{exp#"${{PWD}}/"}}
. ./path.sh
if [[ -f cmd.sh ]]; then . ./cmd.sh; fi
if [[ ${{1:-}} == --num_nodes ]]; then  # by ESPnet's launcher, to which Slurm is slurm.pl
    trap 'rm -f "${{exp}}"/.rendezvous.*' EXIT
    python -m espnet2.bin.launch --cmd "${{cuda_cmd/#slurm.py/slurm.pl}} --retries 0" \\
        --log "${{exp}}/launch.log" --init_file_prefix "${{exp}}/.rendezvous." "$@" -- "${{exp}}/run.sh"
elif [[ ${{cmd_backend:-local}} == local || -n ${{L2DUAL_JOB:-}} ]]; then
    export L2DUAL_LOG=${{exp}}/train.log
    if [[ " $* " == *" --half true "* && -d ${{exp}}/half ]]; then L2DUAL_LOG=${{exp}}/half/train.log; fi
    rank=${{RANK:-${{SLURM_PROCID:-0}}}}  # of a worker that an srun, or you, started
    if ((rank)); then
        L2DUAL_LOG=${{exp}}/train.${{rank}}.log
    elif command -v flock > /dev/null; then  # held until the last process of the training ends
        exec 9< "${{exp}}/run.sh"
        patience=${{L2DUAL_PATIENCE:-30}}  # seconds, for one that was killed to end
        if [[ -n ${{L2DUAL_JOB:-}} ]]; then patience=86400; fi  # a job taken for lost may still run
        flock --timeout "${{patience}}" --conflict-exit-code 10 9 || (($? != 10)) || {{
            echo "l2dual: error: ${{exp}}: is in training already: wait for it, or stop it"
            exit 1
        }}
    fi
    export OMP_NUM_THREADS=${{OMP_NUM_THREADS:-{num_threads}}} MKL_NUM_THREADS=${{MKL_NUM_THREADS:-{num_threads}}}
    python -m l2dual.bin.train --config "${{exp}}/train.yaml" --output_dir "${{exp}}" --resume true \\
        --multiprocessing_distributed true "$@" 2>&1 | tee -a "${{L2DUAL_LOG}}"
else  # one job on the cluster, with as many GPUs as --ngpu says
    gpus=$(sed -nE 's/.*--ngpu[= ]([0-9]+).*/\\1/p' <<< "$*")
    echo "${{cmd_backend}}: ${{exp}}/run.sh, log: ${{exp}}/resume.log"
    ${{cuda_cmd}} --gpu "${{gpus:-0}}" --num_threads {num_threads} "${{exp}}/resume.log" bash "${{exp}}/run.sh" "$@"
fi
"""


def merge(base: Mapping, overlay: Mapping) -> dict:
    """``base`` with the values of ``overlay``, mappings merged key by key."""
    merged = dict(base)
    for key, value in overlay.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def commit() -> str:
    """The commit of the project, with '-dirty' where files differ; 'unknown' outside a checkout."""
    checkout = Path(l2dual.__file__).parents[1]
    if not (checkout / ".git").exists() or not shutil.which("git"):
        return "unknown"
    command = ["git", "describe", "--always", "--dirty", "--abbrev=10"]
    described = subprocess.run(command, cwd=checkout, capture_output=True, text=True)
    return described.stdout.strip() or "unknown"


def made_by_command(name: str) -> dict[str, str]:
    """The commit and command of this process, l2dual.bin.NAME, for the records that it writes."""
    command = shlex.join(["python", "-m", f"l2dual.bin.{name}", *sys.argv[1:]])
    return {"commit": commit(), "command": command}


def write_yaml(path: Path, content: Mapping) -> None:
    """Write ``content``, whole or not at all."""
    with atomic_write(path) as stream:
        yaml.safe_dump(dict(content), stream, allow_unicode=True, sort_keys=False)


def write_run_script(directory: Path, exp: Path, recipe: Path, num_threads: int) -> None:
    """Write ``directory``/run.sh, which trains the run ``exp``, or resumes it where it stopped.

    It keeps the number of threads: another number adds up in another order and gives another model.
    It submits the training as cmd.sh says; within a job, as in stage 8, it trains. It finds the run
    beside itself, and the recipe above that, so a copy trains in the copy. If ``exp`` is an
    absolute path, so is the recipe's.
    """
    if not exp.is_absolute():
        recipe = Path(os.path.relpath(recipe, recipe / exp))
    script = directory / "run.sh"
    with atomic_write(script) as stream:
        stream.write(
            RUN_SCRIPT.format(
                name=exp.name,
                place=shlex.quote(str(exp)),
                recipe=shlex.quote(str(recipe)),
                num_threads=num_threads,
            )
        )
    script.chmod(script.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
