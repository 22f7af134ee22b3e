"""The variables of a recipe's stages, as bash: what its options say, and what follows from them.

    eval "$(python -m l2dual.recipe.settings start --language en OPTION...)"      before stage 1
    eval "$(python -m l2dual.recipe.settings prepared --language en OPTION...)"   after stage 1
"""

import fcntl
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from l2dual.corpora import facts
from l2dual.errors import UsageError, run
from l2dual.files import read_yaml
from l2dual.recipe import studies
from l2dual.recipe.definition import clean, conf, data_tag, digest, dump_tag, format_tag
from l2dual.recipe.options import asks_for_help, bash_help, parse
from l2dual.recipe.studies import Study
from l2dual.systems import OUTPUTS, System, read_system

SPLITS = ("train", "valid", "test")


def main() -> None:
    mode, *arguments = sys.argv[1:]
    if asks_for_help(arguments):
        print(bash_help())
        return
    given = parse(arguments)
    study = studies.choose(given, given.pop("language"))
    check(study)
    variables = Stages(study).variables()
    if mode == "start":
        check_gpus(study.options)
        studies.record(study, os.environ.get("L2DUAL_COMMAND", "./run.sh"))
    print(bash(variables))


def bash(variables: Mapping[str, object]) -> str:
    """Assignments: of text, of arrays (lists) and of associative arrays (mappings)."""
    lines = []
    for name, value in variables.items():
        if isinstance(value, Mapping):
            items = " ".join(f"[{shlex.quote(key)}]={shlex.quote(str(item))}" for key, item in value.items())
            lines.append(f"declare -gA {name}=({items})")
        elif isinstance(value, list):
            lines.append(f"{name}=({' '.join(shlex.quote(str(item)) for item in value)})")
        else:
            lines.append(f"{name}={shlex.quote(str(value))}")
    return "\n".join(lines)


# Checks --------------------------------------------------------------------------------------------
def check(study: Study) -> None:
    """Refuse options that do not fit together, before anything is made.

    Raises:
        UsageError: names the option, and what to do.
    """
    options = study.options
    first, last = int(options["stage"]), int(options["stop_stage"])
    if not 1 <= first <= last <= 12:
        raise UsageError(f"stages are 1 to 12, not {first} to {last}")
    if options["num_nodes"] != "1" and not os.environ.get("cuda_cmd", "").startswith("slurm.py"):
        raise UsageError(f"--num_nodes {options['num_nodes']} needs Slurm: set cmd_backend=slurm in cmd.sh")
    _check_corpus(options)
    for name in ("prompts", "field_map", "decode_config"):
        if options[name] and not Path(options[name]).is_file():
            raise UsageError(f"--{name} {options[name]}: no such file (relative to {Path.cwd()})")
    if options["cache_features"] == "true" and study.definition["model"].get("frontend") != "pretrained":
        raise UsageError(
            "--cache_features true needs a train_config with frontend: pretrained, as conf/train/whisper_base.yaml"
        )
    if not options["systems"].split() or not options["seeds"].split():
        raise UsageError("name at least one system (--systems) and one seed (--seeds)")
    for system in options["systems"].split():
        if not conf("systems", system).is_file():
            there = sorted({path.stem for folder in ("conf", "../../conf") for path in Path(folder, "systems").glob("*.yaml")})
            raise UsageError(f"no system {system}: there are {' '.join(there)}")
    if options["test_data"]:
        _check_test_data(study)


def _check_corpus(options: Mapping[str, str]) -> None:
    corpus, db = options["corpus"], options["db"]
    takes = facts(corpus).options
    for name in ("columns", "canonical", "allow_pipes", "field_map", "severity", "errors", "engine", "prompts"):
        if options[name] != OPTIONS[name].default and name not in takes:
            takers = " or ".join(other for other in CORPORA if name in facts(other).options)
            raise UsageError(f"--{name} is for --corpus {takers}, not {corpus}")
    if corpus != "simulated" and not db:
        raise UsageError(f"no path of {corpus}: give --db, or set {corpus.upper()} in db.sh")
    if corpus != "simulated" and not Path(db).exists():
        raise UsageError(f"{db}: no such file or directory: check --db (relative to {Path.cwd()})")


def _check_test_data(study: Study) -> None:
    data, options = Path(study.options["test_data"]), study.options
    if data.parent != Path("dump") or options["test_data"].startswith("."):
        raise UsageError(f"--test_data is a directory of dump, as dump/TAG, not {options['test_data']}")
    if options["cache_features"] == "true":
        raise UsageError("--test_data is not for cached features (--cache_features false)")
    if int(options["stage"]) < 9:
        raise UsageError("--test_data tests what is trained: train without it, then add --stage 9")
    info = data / "test/corpus.yaml"
    if not info.is_file():
        raise UsageError(f"{data}/test: not found: prepare that data with --stop_stage 4")
    wanted = {
        "language": study.language,
        "convention": study.definition["surface_convention"],
        "sampling_rate": int(options["fs"]),
    }
    content = read_yaml(info)
    for key, value in wanted.items():
        if content.get(key) != value:
            raise UsageError(
                f"{info}: lacks '{key}: {value}', which the systems were trained on: prepare data with it"
            )


def check_gpus(options: Mapping[str, str]) -> None:
    """Refuse GPUs that this machine has not, where jobs that need them run on it.

    Raises:
        UsageError: too few.
    """
    first, last = int(options["stage"]), int(options["stop_stage"])
    asked = []
    if first <= 9 and last >= 7:
        asked.append(("ngpu", options["ngpu"], "cuda_cmd"))
    if first <= 9 <= last and options["gpu_inference"] == "true":
        asked.append(("gpu_inference", "1", "decode_cmd"))
    for name, count, launcher in asked:
        if count == "0" or not os.environ.get(launcher, "").startswith("local.py"):
            continue
        command = ["local.py", "--gpu", count, "/dev/null", "true"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise UsageError(f"--{name} {options[name]}: {done.stderr.strip().rpartition(': ')[2]}")


# Variables -----------------------------------------------------------------------------------------
class Stages:
    """What the stages of a study read and write, by the names that l2dual.sh has for it."""

    def __init__(self, study: Study):
        self.study, self.options, self.definition = study, study.options, study.definition
        self.data = Path("data", data_name(study))
        formatted = format_tag(self.definition, self.data.name)
        self.formatted = Path("dump", formatted, "formatted")
        self.dump = Path("dump", dump_tag(self.definition, formatted))
        self.systems = {name: read_system(conf("systems", name)) for name in self.options["systems"].split()}
        self.splits = [s for s in SPLITS if not self.data.exists() or _has_lines(self.data / s / "wav.scp")]
        self.texts = self._texts()

    def variables(self) -> dict[str, object]:
        """All of them."""
        return {
            "said": self.study.said,
            "language": self.study.language,
            "exp": self.study.directory,
            "data": self.data,
            "formatted": self.formatted,
            "dump": self.dump,
            "splits": self.splits,
            "texts": self.texts,
            **{name: self.options[name] for name in PASSED},
            "skip_stages": self.options["skip_stages"].split(),
            **self._preparation(),
            **self._training(),
            **self._decoding(),
        }
