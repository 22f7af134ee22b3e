"""Refuse trainings, and baselines, before anything is made."""

import io
import sys
from collections.abc import Mapping
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

from l2dual.data.frames import RATE, at_rate
from l2dual.data.weights import check_last_layer, model_folder, pretrained_config, read_tokenizer
from l2dual.errors import UsageError
from l2dual.files import read_yaml
from l2dual.recipe.definition import check_train_args, conf
from l2dual.recipe.studies import Study
from l2dual.systems import read_options, read_system
from l2dual.training.checks import NAME, check_half, check_settings, scheduler_of
from l2dual.training.runs import merge

WHISPER = "../../.tools/whisper-base"


def check_training(study: Study) -> None:
    """Refuse --train_args, settings that can't train, and systems whose outputs can't share the encoder as they say.

    Raises:
        UsageError: names the option, the training configuration, or the system's file.
    """
    options, model = study.options, study.definition["model"]
    if not int(options["stage"]) <= 8 <= int(options["stop_stage"]):
        return
    files = [conf("systems", name) for name in options["systems"].split()]
    configs = {path: merge(model, read_options(path, options["losses"])) for path in files}
    at_rate(model, int(options["fs"]))
    for part in ("frontend", "encoder"):
        if model.get(part) == "pretrained":
            named = model.get(f"{part}_conf") or {}
            if not named.get("download"):
                model_folder(str(named.get("path", "")))
    with redirect_stderr(io.StringIO()):  # ESPnet's words on packages that it would like
        if options["train_args"]:
            check_train_args(options["train_args"])
        _check_settings(study, f"{study.definition['train_config']} {options['train_args']}".rstrip(), model)
        for path, config in configs.items():
            _check_settings(study, str(path), config)
            runs = (study.directory / f"{path.stem}.seed{seed}" for seed in options["seeds"].split())
            if all((run / "trained").exists() for run in runs):
                continue
            check_last_layer(config)
            _check_decoder(path, config, study.definition)
            if config.get("sharing"):
                from l2dual.models import build  # takes seconds

                build.check_sharing(path, config)
    if any(scheduler_of(config) is None for config in configs.values()):
        print(f"l2dual: warning: no scheduler: the learning rate never falls: give scheduler: {NAME}", file=sys.stderr)


def _check_decoder(system: Path, config: Mapping, definition: Mapping) -> None:
    """UsageError if Whisper's decoder would read the states of a head, or write other tokens than it can."""
    weights = config["model_conf"]["loss_weights"]
    written = [output for output in weights if weights[output]["attention"] and config.get("decoder") == "whisper"]
    for output in written:
        if output in ((config.get("encoder_conf") or {}).get("heads") or {}):
            raise UsageError(
                f"{system}: the {output} has a head in encoder_conf, which Whisper's decoder can't read: leave "
                f"{system.stem} out of --systems, or add --train_args '--encoder_conf heads=null', or take a model "
                "from scratch (--base measure)"
            )
        if definition[f"{output}_token_type"] not in ("whisper", "phn"):
            raise UsageError(f"{system}: Whisper's decoder writes the {output}: add --{output}_token_type whisper")


def check_search(study: Study) -> None:
    """UsageError if the guided search can't be that of stage 9."""
    options, file = study.options, Path(study.options["decode_config"])
    dual = any(not read_system(conf("systems", name)).single for name in options["systems"].split())
    if dual and int(options["stage"]) <= 9 <= int(options["stop_stage"]) and file.is_file():
        if read_yaml(file).get("guided") and study.definition["surface_token_type"] != "phn":
            raise UsageError(
                f"{file}: guided: true: the surface is not in phones: add --surface_convention pronounced, or "
                "--decode_config ../../conf/decode.yaml"
            )


def check_zero_shot(study: Study) -> None:
    """UsageError if Whisper as it comes can't transcribe the test set, in stage 10."""
    options = study.options
    scored = int(options["stage"]) <= 10 <= int(options["stop_stage"]) and not options["test_data"]
    if scored and options["zero_shot"] != "0":
        if options["fs"] != str(RATE):
            raise UsageError(f"--zero_shot: Whisper takes {RATE} Hz, not --fs {options['fs']}: remove one of the two")
        read_tokenizer(Path(whisper_of(study.definition["model"])))


def whisper_of(model: Mapping) -> str:
    """The weights of the Whisper that a model rests on; Whisper base's where it rests on none."""
    for part in ("frontend_conf", "encoder_conf"):
        path = (model.get(part) or {}).get("path")
        if path and Path(path).is_dir() and pretrained_config(path).model_type == "whisper":
            return path
    return WHISPER


def _check_settings(study: Study, where: str, config: dict[str, Any]) -> None:
    try:
        check_settings(config)
        if "half" in study.options["budgets"].split():
            check_half(config)
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from error
