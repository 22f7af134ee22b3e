"""What is wrong with a training's settings, as far as they alone can say.

It needs neither torch nor ESPnet, which take seconds, but for ESPnet's schedulers.
"""

import inspect
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from l2dual.errors import UsageError

NAME = "wsd"  # of our scheduler, in a training's YAML
WARMUP_STEPS, DECAY = 200, 0.5  # where the YAML does not give them
MAX_EPOCH = 40  # ESPnet's, likewise
TEXTS = ("path", "fs")  # which may be written in digits
HALF_NEEDS = f"scheduler {NAME} with max_epoch / 2 and (1 - decay) * max_epoch / 2 whole numbers"


def check_settings(config: Mapping[str, Any]) -> None:
    """UsageError if a number is text, or the epochs, the rate or the schedule can't train."""
    for section in ("optim_conf", "scheduler_conf"):
        unused = section == "scheduler_conf" and scheduler_of(config) is None
        if not unused and not isinstance(config.get(section, {}), Mapping):
            raise UsageError(f"{section}: {config[section]!r}: give its options as `key: value` lines, or remove it")
    for section in (name for name in config if name.endswith("_conf")):
        for option, text in _numbers_as_text(config[section], section):
            raise UsageError(f"{option} is the text '{text}': write the number as 200, 2.0e+2 or 1.0e-3")
    epochs, rate = config.get("max_epoch", MAX_EPOCH), config.get("optim_conf", {}).get("lr", 1.0)
    if type(epochs) is not int or epochs < 1:
        raise UsageError(f"max_epoch {epochs} trains nothing: give a whole number, 1 or more")
    if not _is_number(rate) or rate <= 0:
        raise UsageError(f"optim_conf: lr is {rate}: give a number above 0")
    _check_scheduler(scheduler_of(config), config.get("scheduler_conf", {}))


def check_half(config: Mapping[str, Any]) -> None:
    """UsageError if a training does not pass where half its budget begins to decay."""
    conf = config.get("scheduler_conf", {}) if scheduler_of(config) == NAME else {}
    epochs, decay = config.get("max_epoch", MAX_EPOCH), conf.get("decay", DECAY)
    if scheduler_of(config) != NAME or stable_epochs_of_half(epochs, decay) is None:
        raise UsageError(
            f"half the budget needs {HALF_NEEDS}; here are {scheduler_of(config)}, max_epoch {epochs}, decay {decay}: "
            "change them, or leave half out of --budgets"
        )


def check_schedule(warmup_steps: float = WARMUP_STEPS, decay: float = DECAY) -> None:
    """UsageError if these can't be options of our scheduler."""
    if not (_is_number(warmup_steps) and _is_number(decay) and warmup_steps >= 1 and 0 < decay < 1):
        raise UsageError(
            f"scheduler_conf: warmup_steps {warmup_steps}, decay {decay}: give 1 step or more, "
            "and a share between 0 and 1"
        )


def stable_epochs_of_half(max_epoch: int, decay: float) -> int | None:
    """Epochs before the decay of a training of half of ``max_epoch``; None if they are not whole."""
    epochs = round(max_epoch / 2 * (1 - decay), 6)
    return int(epochs) if max_epoch % 2 == 0 and epochs == int(epochs) else None


def scheduler_of(config: Mapping[str, Any]) -> str | None:
    """The scheduler that ESPnet takes: in small letters; None for a rate that stays."""
    name = str(config.get("scheduler")).lower()
    return None if name in ("none", "null", "nil") else name


def _check_scheduler(name: str | None, conf: Mapping[str, Any]) -> None:
    """UsageError if a training names a scheduler, or options of it, that there are not."""
    if name == NAME:
        _check_options(conf, check_schedule)
        check_schedule(**conf)
    elif name is not None:
        from l2dual.training.espnet import scheduler_classes

        if name not in scheduler_classes:
            raise UsageError(f"scheduler: unknown name '{name}': use {NAME} or another of ESPnet's")
        _check_options(conf, scheduler_classes[name])


def _check_options(conf: Mapping[str, Any], scheduler: Callable) -> None:
    known = [option for option in inspect.signature(scheduler).parameters if option != "optimizer"]
    for option in conf.keys() - set(known):
        raise UsageError(f"scheduler_conf: unknown option '{option}': use {', '.join(known)}")


def _numbers_as_text(value: object, name: str) -> Iterator[tuple[str, str]]:
    """Text that a number was meant by, as YAML reads 2e2, with the name of its option."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key in TEXTS:
                continue
            yield from _numbers_as_text(inner, f"{name}: {key}")
    elif isinstance(value, list):
        for inner in value:
            yield from _numbers_as_text(inner, name)
    elif isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            return
        if math.isfinite(number):
            yield name, value


def _is_number(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(value)
