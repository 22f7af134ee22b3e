"""Refuse trainings before anything is made."""

import io
import sys
from contextlib import redirect_stderr
from typing import Any

from l2dual.data.frames import at_rate
from l2dual.data.weights import check_last_layer
from l2dual.errors import UsageError
from l2dual.recipe.definition import check_train_args, conf
from l2dual.recipe.studies import Study
from l2dual.systems import read_options
from l2dual.training.checks import NAME, check_half, check_settings, scheduler_of
from l2dual.training.runs import merge


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
            if config.get("sharing"):
                from l2dual.models import build  # takes seconds

                build.check_sharing(path, config)
    if any(scheduler_of(config) is None for config in configs.values()):
        print(f"l2dual: warning: no scheduler: the learning rate never falls: give scheduler: {NAME}", file=sys.stderr)


def _check_settings(study: Study, where: str, config: dict[str, Any]) -> None:
    try:
        check_settings(config)
        if "half" in study.options["budgets"].split():
            check_half(config)
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from error
