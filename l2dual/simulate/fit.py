"""Fit the severities: texts of simulated learners, without audio.

Every SAMPLEth utterance of the preset `measure` is mispronounced at a grid of error scales, which
gives the shares of the divergence bins as a function of the scale. The distribution of scales is
the one whose mixture of these comes nearest to the paper's bins (least squares). The factors of the
other severities bring the mean divergence to its multiple.

MOST_SKEW: our Korean prompts are short, so that only learners who err at most sites diverge by 11
and more. Without a bound, the fit makes a sixth of the speakers such and the rest alike.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import yaml
from scipy.optimize import minimize

from l2dual.data.divergence import BINS, PAPER, bin_of
from l2dual.data.utterance import SPLITS
from l2dual.files import atomic_write
from l2dual.simulate import MODULES, phonology
from l2dual.simulate.learners import ERRORS, Settings, Task, cast, say_text
from l2dual.simulate.severity import CEILING, SETTINGS, Severity, load_severity, path
from l2dual.text.units import distance

SAMPLE = 4
MOST_SKEW = 0.7
SCALES = np.geomspace(0.01, CEILING, 25)
QUANTILES = (np.arange(1000) + 0.5) / 1000
UNSCALED = Severity(0.0, 0.0, 0.0)


def fit(language: str, engine: str, preset: dict, seed: int = 1) -> dict:
    """The content of the severities' file: ``speakers`` (location, spread, skew), ``factors`` and
    what they reach: the percent per bin at `paper`, and the multiples of its mean."""
    tasks = list(_tasks(language, engine, preset, UNSCALED, "rules", seed))[::SAMPLE]
    by_scale = np.array([[_divergence(_at(task, scale)) for scale in SCALES] for task in tasks])
    bins = np.stack([_shares(column) for column in by_scale.T])
    means = by_scale.mean(axis=0)
    target = np.array([PAPER[language][name] for name in BINS]) / 100

    def error(shape: np.ndarray) -> float:
        return np.sum((_mixed(_severity(shape), bins) - target) ** 2)

    starts = [(-0.5, 0.0, skew) for skew in (0.1, 0.5)]
    best = min((minimize(error, start, method="Nelder-Mead") for start in starts), key=_fun)
    severity = _severity(best.x)
    factors = np.geomspace(1e-3, 1e3, 600)
    mean_at = np.array([_mixed(replace(severity, factor=factor), means) for factor in factors])
    mean_at /= _mixed(severity, means)
    found = {name: float(np.interp(m, mean_at, factors)) for name, m in SETTINGS.items()}
    found |= {"none": 0.0, "paper": 1.0}
    reached = {name: float(np.interp(factor, factors, mean_at)) for name, factor in found.items()}
    reached["none"] = 0.0
    bins_reached = dict(zip(BINS, 100 * _mixed(severity, bins), strict=True))
    shape = ("location", "spread", "skew")
    return {
        "speakers": {name: round(getattr(severity, name), 4) for name in shape},
        "factors": {name: round(factor, 4) for name, factor in found.items()},
        "reached": {
            "paper": {name: round(float(percent), 1) for name, percent in bins_reached.items()},
            "of_its_mean": {name: round(multiple, 2) for name, multiple in reached.items()},
        },
    }


def obtained(
    language: str,
    engine: str,
    preset: dict,
    severity: Severity,
    errors: str = "rules",
    seed: int = 1,
) -> dict:
    """The divergence of all utterances of ``preset``: ``n``, ``mean``, ``percent`` per bin."""
    tasks = list(_tasks(language, engine, preset, severity, errors, seed))
    found = np.array([_divergence(task) for task in tasks])
    percent = dict(zip(BINS, 100 * _shares(found), strict=True))
    return {"n": len(found), "mean": float(found.mean()), "percent": percent}


def at_each_severity(engine: str, preset: dict) -> dict[tuple[str, str, str], dict]:
    """What `obtained` gives, by language, errors and severity."""
    return {
        (language, errors, severity): obtained(
            language, engine, preset, load_severity(language, engine, severity), errors
        )
        for language in sorted(MODULES)
        for errors in ERRORS
        for severity in SETTINGS
    }


def write_severities(language: str, engine: str, preset: dict) -> dict:
    """Fit the severities and write their file, which `load_severity` reads; return its content."""
    found = fit(language, engine, preset)
    with atomic_write(path(language, engine)) as stream:
        stream.write(
            "# Speakers' error scales for each severity: l2dual/simulate/severity.py.\n"
            f"# python -m l2dual.bin.simulator fit --language {language} --engine {engine}\n"
        )
        yaml.safe_dump(found, stream, sort_keys=False)
    return found


def _tasks(
    language: str, engine: str, preset: dict, severity: Severity, errors: str, seed: int
) -> Iterator[Task]:
    module = phonology(language)
    settings = Settings(language, "heard", seed, errors, engine, Path(), Path())
    for split in SPLITS:
        prompts = module.sentences(seed)
        for name, speaker, text in cast(split, preset, engine, module.L1S, prompts, severity, seed):
            yield Task(name, split, speaker, text, settings)


def _at(task: Task, scale: float) -> Task:
    return replace(task, speaker=replace(task.speaker, error_scale=scale))


def _divergence(task: Task) -> int:
    _, surface, canonical = say_text(task)
    return distance(surface, canonical, "char")


def _shares(divergences: np.ndarray) -> np.ndarray:
    return np.array([np.mean([bin_of(d) == name for d in divergences]) for name in BINS])


def _severity(shape: np.ndarray) -> Severity:
    location, log_spread, skew = shape
    return Severity(float(location), float(np.exp(log_spread)), float(np.clip(skew, 0, MOST_SKEW)))


def _mixed(severity: Severity, by_scale: np.ndarray) -> np.ndarray:
    """The mean over speakers of what is known at SCALES, ``by_scale`` (scales,) or (scales, n)."""
    scales = np.log([severity.scale(quantile) + 1e-9 for quantile in QUANTILES])
    columns = np.atleast_2d(by_scale.T)
    mixed = np.array([np.interp(scales, np.log(SCALES), column).mean() for column in columns])
    return mixed if by_scale.ndim > 1 else mixed[0]


def _fun(result) -> float:
    return result.fun
