"""Severity: how far simulated learners' surface lies from what they mean.

A severity is a distribution of speakers' error scales. `paper` meets the shares of utterances per
divergence bin that Cho & Kim (2026) report (Table 1; l2dual.data.divergence.PAPER). `half`, `double` and
`triple` have half, twice and three times its mean divergence: all its scales times one factor.
`none` is 0. Scales end at CEILING, where nearly every rule applies at each of its sites.

rules/severity.<language>.<engine>.yaml holds the distributions; `l2dual.bin.simulator fit` fits them.
"""

from dataclasses import dataclass
from functools import cache
from math import exp, expm1
from pathlib import Path

import yaml
from scipy.special import ndtri

from l2dual.errors import DataError, UsageError

FOLDER = Path(__file__).parent / "rules"
SETTINGS = {"none": 0.0, "half": 0.5, "paper": 1.0, "double": 2.0, "triple": 3.0}  # of the mean
CEILING = 20.0  # a rule of rate 0.05 and more is certain there


@dataclass(frozen=True)
class Severity:
    """A distribution of speakers' error scales; an average learner has 1.

    log(scale / factor) is ``location + spread * (exp(skew * z) - 1) / skew`` with z standard normal
    over the speakers: lognormal scales where ``skew`` is 0, more of the poor speakers above it.
    """

    location: float
    spread: float
    skew: float
    factor: float = 1.0

    def scale(self, quantile: float) -> float:
        """The error scale of the speaker at ``quantile`` (0 to 1), the best speaker first."""
        z = ndtri(quantile)
        bent = expm1(self.skew * z) / self.skew if self.skew else z
        return min(CEILING, self.factor * exp(min(self.location + self.spread * bent, 50)))


def path(language: str, engine: str) -> Path:
    """The file of the severities of a language and an engine."""
    return FOLDER / f"severity.{language}.{engine}.yaml"


@cache
def load_severity(language: str, engine: str, name: str) -> Severity:
    """The severity ``name`` of SETTINGS; UsageError for another name."""
    if name not in SETTINGS:
        raise UsageError(f"no severity '{name}'; choose from {', '.join(SETTINGS)}")
    file = path(language, engine)
    try:
        data = yaml.safe_load(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        command = f"python -m l2dual.bin.simulator fit --language {language} --engine {engine}"
        raise DataError(f"{file} is missing; run {command}") from None
    return Severity(**data["speakers"], factor=data["factors"][name])
