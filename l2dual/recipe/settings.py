"""The variables of a recipe's stages, as bash: what its options say, and what follows from them.

eval "$(python -m l2dual.recipe.settings start --language en OPTION...)"      before stage 1
eval "$(python -m l2dual.recipe.settings prepared --language en OPTION...)"   after stage 1
"""

import itertools
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from l2dual.corpora import CORPORA, facts
from l2dual.errors import UsageError, run
from l2dual.files import atomic_write, read_yaml
from l2dual.recipe import studies
from l2dual.recipe.definition import (
    SIMULATED,
    Definition,
    clean,
    conf,
    data_tag,
    differences,
    digest,
    dump_tag,
    format_tag,
    stem,
)
from l2dual.recipe.options import GROUPS, OPTIONS, asks_for_help, bash_help, parse
from l2dual.recipe.studies import Study
from l2dual.recipe.trainings import check_search, check_training, check_zero_shot, whisper_of
from l2dual.systems import OUTPUTS, active_outputs, read_options, read_system

VALID = "valid"
SPLITS = ("train", VALID, "test")
RUN = re.compile(r"(\w[\w-]*)\.seed(\d+)")  # the name of a run: system, seed
CTC_ALONE = "decode_ctc"  # of conf: its results stand beside those of the joint search
OF_DATA = [option.name for option in GROUPS["data"] if option.defines] + ["simulated"]
SUFFIXES = {"whole": "", "half": "_half"}  # of what is made with the checkpoint of a budget
PASSED = [  # options that the stages use as they are
    "stage", "stop_stage", "expdir", "corpus", "speed_factors", "audio_format", "fs", "min_seconds", "max_seconds",
    "nbpe", "nj", "num_threads", "ngpu", "num_nodes", "test_data", "train_args",
]  # fmt: skip


def main() -> None:
    mode, *arguments = sys.argv[1:]
    if asks_for_help(arguments):
        print(bash_help())
        return
    given = parse(arguments)
    study = studies.choose(given, given.pop("language"))
    check(study)
    stages = Stages(study)
    variables = stages.variables()
    if mode == "start":
        check_gpus(study.options)
        check_training(study)
        check_zero_shot(study)
        check_search(study)
        studies.record(study, os.environ.get("L2DUAL_COMMAND", "./run.sh"))
        record_data(stages.data.name, study.definition)
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
    """Refuse options that do not fit together, before anything is made: UsageError names one, and what to do."""
    options = study.options
    first, last = int(options["stage"]), int(options["stop_stage"])
    if not 1 <= first <= last <= 12:
        raise UsageError(f"stages are 1 to 12, not {first} to {last}")
    if options["num_nodes"] != "1" and not os.environ.get("cuda_cmd", "").startswith("slurm.py"):
        raise UsageError(f"--num_nodes {options['num_nodes']} needs Slurm: set cmd_backend=slurm in cmd.sh")
    _check_corpus(options)
    for name in ("prompts", "field_map", "decode_config"):
        named = name == "field_map" and "/" not in options[name] and "." not in options[name]
        if options[name] and not named and not Path(options[name]).is_file():
            raise UsageError(f"--{name} {options[name]}: no such file (relative to {Path.cwd()})")
    if options["cache_features"] == "true" and study.definition["model"].get("frontend") != "pretrained":
        raise UsageError(
            "--cache_features true needs a train_config with frontend: pretrained, as conf/train/whisper_base.yaml"
        )
    if not options["systems"].split() or not options["seeds"].split():
        raise UsageError("name at least one system (--systems) and one seed (--seeds)")
    for system in options["systems"].split():
        _check_system(system)
    if options["losses"]:
        _check_twins(options)
    if options["test_data"]:
        _check_test_data(study)
    by_ctc = stem(options["decode_config"]) == CTC_ALONE
    alone = "budgets" if options["budgets"] == "half" else "decode_config" if by_ctc else ""
    if alone and last > 10:
        raise UsageError(f"--{alone} {options[alone]} is for stages 8 to 10: add --stop_stage 10")


def _check_system(name: str) -> None:
    """Refuse a system, or a baseline of it, that has no file."""
    folders = ("conf", "../../conf")
    there = sorted({path.stem for folder in folders for path in Path(folder, "systems").glob("*.yaml")})
    if name not in there:
        raise UsageError(f"no system {name}: there are {' '.join(there)}")
    for baselines in read_system(conf("systems", name)).baselines.values():
        for baseline in baselines:
            if baseline not in there:
                raise UsageError(f"{conf('systems', name)}: no system {baseline}: there are {' '.join(there)}")


def _check_twins(options: Mapping[str, str]) -> None:
    """Refuse systems that --losses makes one."""
    losses, trained = options["losses"], dict[str, str]()
    for name in options["systems"].split():
        if (twin := trained.setdefault(yaml.safe_dump(read_options(conf("systems", name), losses)), name)) != name:
            raise UsageError(f"--losses {losses} makes {twin} and {name} one training: name one of them in --systems")


def _check_corpus(options: Mapping[str, str]) -> None:
    corpus, db = options["corpus"], options["db"]
    takes = facts(corpus).options
    for name in ("columns", "canonical", "allow_pipes", "field_map", "severity", "errors", "engine", "prompts"):
        if options[name] != OPTIONS[name].default and name not in takes:
            takers = " or ".join(other for other in CORPORA if name in facts(other).options)
            raise UsageError(f"--{name} is for --corpus {takers}, not {corpus}")
    if corpus == "simulated" and db:
        raise UsageError(f"--db {db}: simulated learners are made, not read: name the --corpus of these data")
    if corpus != "simulated" and not db:
        raise UsageError(f"no path of {corpus}: give --db, or set {corpus.upper()} in db.sh")
    if corpus != "simulated" and not Path(db).exists():
        raise UsageError(f"{db}: no such file or directory: check --db (relative to {Path.cwd()})")


def _check_test_data(study: Study) -> None:
    data, options = Path(study.options["test_data"]), study.options
    if int(options["stage"]) < 9:
        raise UsageError("--test_data tests what is trained: train without it, then add --stage 9")
    if options["test_data"] == VALID:
        return
    if data.parent != Path("dump") or options["test_data"].startswith("."):
        raise UsageError(f"--test_data is a directory of dump, as dump/TAG, or {VALID}, not {options['test_data']}")
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
            raise UsageError(f"{info}: lacks '{key}: {value}', which the systems were trained on: prepare data with it")


def check_gpus(options: Mapping[str, str]) -> None:
    """Refuse GPUs that this machine has not, where jobs that need them run on it: UsageError says how many it has."""
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
        self.data = Path("data", data_name(study.definition))
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

    def _texts(self) -> list[str]:
        """The outputs that the corpus has texts for; UsageError if a system needs another to train on."""
        corpus = self.options["corpus"]
        infos = [read_yaml(path) for path in sorted(self.data.glob("*/corpus.yaml"))]
        lacking = [output for output in OUTPUTS if any(info.get(output) == "none" for info in infos)]
        if not infos and facts(corpus).surface == "none" and self.options["assume_surface"] == "false":
            lacking = ["surface"]
        if "train" not in self.splits:
            if int(self.options["stop_stage"]) > 4:
                raise UsageError(
                    f"{self.data}: has no training data: prepare it with --stop_stage 4; to decode it with trained "
                    f"systems, run with their options, --stage 9 and --test_data {self.dump}"
                )
            return list(OUTPUTS)
        usable = [name for name, system in self.systems.items() if not {*system.outputs} & {*lacking}]
        for name, system in self.systems.items():
            for output in system.outputs:
                if output in lacking:
                    there = usable or [f"so_{other}" for other in OUTPUTS if other not in lacking]
                    assume = ", or --assume_surface true, which assumes no errors" if output == "surface" else ""
                    raise UsageError(
                        f"corpus {corpus} does not provide a {output}, which {name} needs: "
                        f'use --systems "{" ".join(there)}"{assume}'
                    )
        return [output for output in OUTPUTS if output not in lacking]

    def _preparation(self) -> dict[str, object]:
        """Stages 1 to 7."""
        options, root = self.options, os.environ.get("L2DUAL_ROOT", "../..")
        simulated = options["corpus"] == "simulated"
        db = str(conf("simulate", options["simulate"])) if simulated else options["db"]
        prepare = ["--corpus", options["corpus"], "--language", self.study.language, "--db", db]
        prepare += ["--convention", self.definition["surface_convention"], "--seed", options["data_seed"]]
        for name in ("assume_surface", "columns", "canonical", "allow_pipes", "field_map", *SIMULATED[1:]):
            if options[name] != OPTIONS[name].default:
                prepare += [f"--{name}", options[name]]
        inputs = [f"{root}/l2dual/corpora/{options['corpus']}.py"]
        if simulated:
            inputs += [db, f"{root}/l2dual/text", f"{root}/l2dual/simulate"]
        else:
            inputs += [f"listing:{db}", f"{root}/l2dual/corpora/common/splits.py"]
            inputs += [f"{root}/l2dual/text"] * (options["assume_surface"] == "true")
        inputs += [options[name] for name in ("prompts", "field_map") if os.path.isfile(options[name])]
        speeds = clean(options["speed_factors"])
        frames = options["frames_per_second"]
        types = [self.definition[f"{output}_token_type"] for output in OUTPUTS]
        whisper = (self.definition["model"].get("decoder_conf") or {}).get("path")  # whose subwords are tokens
        return {
            "prepare": prepare,
            "prepare_inputs": inputs,
            "perturbed": f"{self.data}_sp{speeds}" if speeds and "train" in self.splits else "",
            "pipes": ["--allow_pipes", "true"] if options["allow_pipes"] == "true" else [],
            "frames": ["--frames_per_second", frames] if frames else ["--train_config", self.train_config],
            "losses": ["--losses", options["losses"]] if options["losses"] else [],
            "left_out": ["--leave_out_l1", options["leave_out_l1"]] if options["leave_out_l1"] else [],
            "joint": self.definition["token_joint"],
            "tokens": {output: self.dump / "tokens" / self._token_name(output) for output in OUTPUTS},
            "whisper": ["--whisper", whisper] if whisper and "whisper" in types else [],
            "token_types": {output: self.definition[f"{output}_token_type"] for output in OUTPUTS},
        }

    def _token_name(self, output: str) -> str:
        kind = self.definition[f"{output}_token_type"]
        kind += self.options["nbpe"] if kind == "bpe" else ""
        return f"joint_{kind}" if self.definition["token_joint"] == "true" else f"{output}_{kind}"

    @property
    def train_config(self) -> Path:
        """The training configuration, with --train_args."""
        changed = self.study.directory / "train.yaml"
        return changed if self.options["train_args"] else Path(self.definition["train_config"])

    def _cached(self) -> dict[str, Any]:
        """The input of the models: audio, or the states of a frozen front-end that are kept."""
        if self.options["cache_features"] == "false":
            return {"feats": self.dump, "cached_splits": [], "frontend_conf": "", "weights": ""}
        front = self.definition["model"].get("frontend_conf") or {}
        said = {key: value for key, value in front.items() if key not in ("stack", "mix")}
        kept = json.dumps(said, ensure_ascii=False)
        weights = str(front.get("path", ""))
        feats = self.dump / f"cached_{stem(weights)}_{digest(kept)}"
        return {"feats": feats, "cached_splits": list(SPLITS), "frontend_conf": kept, "weights": weights}

    def _runs(self) -> list[Path]:
        seeds, systems = self.options["seeds"].split(), self.options["systems"].split()
        runs = [self.study.directory / f"{name}.seed{int(seed)}" for seed in seeds for name in systems]
        for one in runs:
            if runs.count(one) > 1:
                raise UsageError(f"--systems and --seeds name {one} twice")
        return runs

    def _training(self) -> dict[str, object]:
        """Stages 7 and 8."""
        exp, options, runs = self.study.directory, self.options, self._runs()
        # two decoders first, so that no core waits at the end
        in_turn = sorted(runs, key=lambda one: self.systems[_split(one)[0]].single)
        rated = [] if options["test_data"] else list(filter(self._rated, in_turn))
        parts = [1 + part for part in range(int(options["rater_folds"]))]
        seeds = dict.fromkeys(_split(run)[1] for run in rated)
        folds = [exp / "folds" / f"fold{part}.seed{seed}" for seed in seeds for part in parts]
        found = {path.parent for path in exp.glob(f"{studies.RUNS}/trained") if RUN.fullmatch(path.parent.name)}
        return {
            **self._cached(),
            "train_config": self.train_config,
            "stats": exp / "stats",
            "runs": in_turn,
            "costs": list(map(self._cost, in_turn)),
            "system_files": {name: conf("systems", name) for name in self.systems},
            "rated": rated,
            "folds": folds,
            "fold_costs": [1 - 1 / len(parts) for _ in folds],  # by CTC alone, on a part of the data
            "rater_folds": int(options["rater_folds"]),
            "halves": in_turn if "half" in options["budgets"].split() else [],
            "trained": sorted({*runs, *found}, key=self._place),  # also those of earlier calls
        }

    def _cost(self, run: Path) -> float:
        """The time of its training, in parts of one by CTC alone; on `mini` a decoder adds a quarter."""
        return 1 + sum(own["attention"] > 0 for own in self._weights(run).values()) / 4

    def _place(self, directory: Path) -> tuple:
        name, seed = _split(directory)
        file = conf("systems", name)
        return seed, read_system(file).place if file.is_file() else (True, 0, name)

    def _decoding(self) -> dict[str, object]:
        """Stages 9 to 12."""
        exp, options = self.study.directory, self.options
        config = Path(options["decode_config"] or conf("", "decode"))
        split = options["test_data"] if options["test_data"] == VALID else "test"
        results, tested, test, feats = exp, "", self.dump / split, self._cached()["feats"] / split
        if split == VALID:
            results, tested = exp / f"on_{VALID}", f"_on_{VALID}"
        elif options["test_data"]:
            test = feats = Path(options["test_data"], "test")
            results, tested = exp / f"on_{test.parent.name}", f"_on_{test.parent.name}"
        alone = CTC_ALONE.removeprefix("decode") if stem(str(config)) == CTC_ALONE else ""
        gpu = options["gpu_inference"] or str(int(options["ngpu"]) > 0).lower()
        zero_shot = 0 if options["test_data"] else int(options["zero_shot"])
        guides = read_yaml(config).get("guided")
        return {
            "decode_config": config,
            "guided": list(filter(self._asks_rater, self._runs())) if guides else [],
            "decoded": {budget: f"{stem(str(config))}{suffix}{tested}" for budget, suffix in SUFFIXES.items()},
            "results": results,
            "log": results / "log",
            "test_set": test,
            "test_split": test.name,
            "test_feats": feats,
            "budgets": list(dict.fromkeys(options["budgets"].split())),
            "suffixes": {budget: f"{alone}{suffix}" for budget, suffix in SUFFIXES.items()},
            "baselines": str(self._has_dictionary() or zero_shot > 0).lower(),
            "zero_shot": zero_shot,
            "zero_shot_weights": whisper_of(self.definition["model"]) if zero_shot else "",
            "analyses": [] if options["test_data"] else self._analyses(),
            "fit_on": {"retrained": "train", "probes": "valid"},
            "decode_gpu": int(gpu == "true"),
            "decode_jobs": ["--max_jobs", options["inference_nj"]] if options["inference_nj"] else [],
        }

    def _has_dictionary(self) -> bool:
        """Whether the meaning's words have phones to set beside the surface, which people spoke."""
        recorded = self.definition["corpus"] != "simulated" and self.texts[:1] == ["surface"]
        return recorded and (self.study.language, self.definition["surface_token_type"]) == ("en", "phn")

    def _rated(self, run: Path) -> bool:
        """Whether a run has a rater: with a CTC on a surface in phones, where people scored the speech."""
        scored = (self.data / "train/utt2scores").is_file()
        surface = self._weights(run).get("surface", {"ctc": 0})
        return scored and self.definition["surface_token_type"] == "phn" and surface["ctc"] > 0

    def _asks_rater(self, run: Path) -> bool:
        """Whether a run's rater has a say in its guided search, for which it needs a meaning."""
        return self._rated(run) and "meaning" in active_outputs(self._weights(run))

    def _weights(self, run: Path) -> Mapping:
        return read_options(conf("systems", _split(run)[0]), self.options["losses"])["model_conf"]["loss_weights"]

    def _analyses(self) -> list[str]:
        """Of stage 11, the long ones first; of layers by output, what the training of adapters, if any, has logged."""
        model = self.definition["model"]
        if model.get("encoder") == "layered":
            return ["gradients"] if (model.get("encoder_conf") or {}).get("rank") else []
        two_outputs = ["probes", "decoders", "subspaces"] if "surface" in self.texts else []
        return ["retrained"] * (self.options["retrained"] == "true") + two_outputs + ["cka", "gradients"]


def data_name(definition: Definition) -> str:
    """The data's tag: of several data with one tag, the second has _2, and so on."""
    tag = name = data_tag(definition)
    for number in itertools.count(2):
        record = _data_record(name)
        if not record.is_file() or not differences(read_yaml(record), _data_part(definition)):
            break
        name = f"{tag}_{number}"
    return name


def record_data(name: str, definition: Definition) -> None:
    """Keep what data are, beside them."""
    if not _data_record(name).is_file():
        with atomic_write(_data_record(name)) as stream:
            yaml.safe_dump(_data_part(definition), stream, allow_unicode=True, sort_keys=False)


def _data_record(name: str) -> Path:
    return Path("data", f".{name}.yaml")


def _data_part(definition: Definition) -> Definition:
    return {name: definition[name] for name in OF_DATA if name in definition}


def _split(directory: Path) -> tuple[str, int]:
    """The system and the seed of a run, by its directory's name."""
    name, _, seed = directory.name.rpartition(".seed")
    return name, int(seed)


def _has_lines(path: Path) -> bool:
    return path.is_file() and path.stat().st_size > 0


if __name__ == "__main__":
    run(main)
