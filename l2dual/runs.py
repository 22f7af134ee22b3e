"""An experiment directory: what is trained, on what, and the script that trains or resumes it."""

import shlex
import stat
import subprocess
from collections.abc import Mapping
from pathlib import Path

import yaml

from l2dual.errors import UsageError
from l2dual.files import atomic_write


def read_yaml(path: Path) -> dict:
    """A YAML file that holds a mapping.

    Raises:
        UsageError: no such file, not YAML, or not a mapping.
    """
    if not path.is_file():
        raise UsageError(f"{path}: no such file: check the option that names it")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise UsageError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise UsageError(f"{path}: must hold `key: value` lines")
    return content


def merge(base: Mapping, overlay: Mapping) -> dict:
    """``base`` with the values of ``overlay``, mappings merged key by key."""
    merged = dict(base)
    for key, value in overlay.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
        merged[key] = merge(merged[key], value) if both else value
    return merged


def commit() -> str:
    """The commit of the project, with '-dirty' where files differ; 'unknown' without git."""
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=10"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
    )
    return described.stdout.strip() or "unknown"


def write_yaml(path: Path, content: Mapping) -> None:
    """Write ``content``, whole or not at all."""
    with atomic_write(path) as stream:
        yaml.safe_dump(dict(content), stream, allow_unicode=True, sort_keys=False)


def write_run_script(directory: Path, exp: Path, recipe: Path) -> None:
    """Write ``directory``/run.sh, which trains the run ``exp``, or resumes it where it stopped."""
    script = directory / "run.sh"
    exp_dir = shlex.quote(str(exp))
    with atomic_write(script) as stream:
        stream.write(
            "#!/usr/bin/env bash\n"
            f"# Train {exp.name}, or resume it from its last whole epoch. Options go to ESPnet.\n"
            "set -euo pipefail\n"
            f"cd {shlex.quote(str(recipe))}\n"
            ". ./path.sh\n"
            "rank=${RANK:-${SLURM_PROCID:-${OMPI_COMM_WORLD_RANK:-0}}}  # of several workers\n"
            f"export L2DUAL_LOG={exp_dir}/train.log\n"
            f'if ((rank)); then L2DUAL_LOG={exp_dir}/train."${{rank}}".log; fi\n'
            f"python -m l2dual.bin.train --config {exp_dir}/train.yaml --resume true \\\n"
            '    --multiprocessing_distributed true "$@" 2>&1 | tee -a "${L2DUAL_LOG}"\n'
        )
    script.chmod(script.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
