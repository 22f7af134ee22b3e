"""Severity: the fit, and what it changes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from l2dual.data.divergence import PAPER
from l2dual.errors import DataError, UsageError
from l2dual.files import read_yaml
from l2dual.simulate import MODULES, phonology
from l2dual.simulate import fit as fit_severity
from l2dual.simulate.learners import say_text
from l2dual.simulate.severity import CEILING, SETTINGS, Severity, load_severity

CONF = Path(__file__).resolve().parents[2] / "conf/simulate"
LANGUAGES = sorted(MODULES)


@pytest.fixture(scope="module")
def preset() -> dict:
    """Fewer utterances of the same speakers."""
    measure = read_yaml(CONF / "measure.yaml")
    return measure | {"utterances": {"train": 960, "valid": 24, "test": 80}}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.slow
def test_paper_meets_the_bins_of_table_1(language, preset):
    paper = load_severity(language, "espeak", "paper")
    found = fit_severity.obtained(language, "espeak", preset, paper)
    assert found["n"] == 1064
    for name, percent in PAPER[language].items():
        assert found["percent"][name] == pytest.approx(percent, abs=4)  # 3 standard errors


@pytest.mark.slow
@pytest.mark.parametrize("language", LANGUAGES)
def test_settings_are_multiples_of_the_papers_mean_divergence(language, preset):
    few = preset | {"utterances": {"train": 480, "valid": 12, "test": 40}}
    means = {
        name: fit_severity.obtained(language, "espeak", few, severity)["mean"]
        for name, severity in ((name, load_severity(language, "espeak", name)) for name in SETTINGS)
    }
    for name, multiple in SETTINGS.items():
        assert means[name] == pytest.approx(multiple * means["paper"], rel=0.15)


@pytest.mark.slow
@pytest.mark.parametrize("language", LANGUAGES)
def test_errors_at_random_have_the_same_bins(language, preset):
    severity = load_severity(language, "espeak", "paper")
    rules, random = (
        fit_severity.obtained(language, "espeak", preset, severity, errors)
        for errors in ("rules", "random")
    )
    assert random["percent"]["0"] == pytest.approx(rules["percent"]["0"], abs=0.5)
    for name, percent in rules["percent"].items():
        assert random["percent"][name] == pytest.approx(percent, abs=3)
    assert random["mean"] == pytest.approx(rules["mean"], rel=0.1)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.slow
def test_a_higher_setting_keeps_every_error_of_a_lower_one(language, preset):
    grown = 0
    module = phonology(language)
    none = Severity(0, 0, 0)
    tasks = list(fit_severity._tasks(language, "espeak", preset, none, "rules", 1))[:100]
    for task in tasks:
        standard = _sounds(language, module.canonical(task.text))
        lower: dict = {}
        for scale in (0.2, 0.7, 2.0, 6.0, CEILING):
            speaker = replace(task.speaker, error_scale=scale)
            said = _sounds(language, say_text(replace(task, speaker=speaker))[0])
            errors = {place: sound for place, sound in said.items() if sound != standard[place]}
            assert lower.items() <= errors.items()
            grown += len(errors) > len(lower)
            lower = errors
    assert grown > 200


def _sounds(language: str, speech) -> dict:
    """What is said at each place of an utterance."""
    if language == "en":
        return {
            (w, i): said for w, word in enumerate(speech.words) for i, said in enumerate(word.said)
        }
    return {
        (w, i, slot): (letter, spoken.added if slot == 2 else None)
        for w, word in enumerate(speech.words)
        for i, spoken in enumerate(word)
        for slot, letter in enumerate(spoken.said)
    }


def test_speakers_differ_and_a_factor_moves_them_all():
    severity = Severity(location=-0.5, spread=1.0, skew=0.5)
    quantiles = np.linspace(0.01, 0.99, 50)
    scales = np.array([severity.scale(quantile) for quantile in quantiles])
    assert np.all(np.diff(scales) >= 0) and severity.scale(0.5) == pytest.approx(np.exp(-0.5))
    doubled = [replace(severity, factor=2.0).scale(quantile) for quantile in quantiles]
    assert doubled == pytest.approx(np.minimum(2 * scales, CEILING))
    lognormal = Severity(0.0, 2.0, 0.0)
    assert np.log(lognormal.scale(0.8)) == pytest.approx(-np.log(lognormal.scale(0.2)))
    assert replace(severity, factor=0.0).scale(0.999) == 0


@pytest.mark.parametrize("language", LANGUAGES)
def test_at_the_ceiling_nearly_every_rule_is_certain(language):
    module = phonology(language)
    rates = [rule.rate for l1 in module.L1S for rule in module.rules(l1)]
    assert np.mean(np.array(rates) * CEILING >= 1) > 0.95 and min(rates) * CEILING > 0.5


@pytest.mark.slow
def test_the_fit_recovers_a_known_severity(monkeypatch):
    """Bins of known learners as the target: the fit must give their distribution back."""
    preset = read_yaml(CONF / "measure.yaml")
    preset |= {"utterances": {"train": 960, "valid": 24, "test": 80}}
    true = Severity(location=-0.3, spread=0.7, skew=0.0)
    shown = fit_severity.obtained("en", "espeak", preset, true)["percent"]
    monkeypatch.setitem(fit_severity.PAPER, "en", shown)
    found = fit_severity.fit("en", "espeak", preset)
    refitted = Severity(**found["speakers"])
    again = fit_severity.obtained("en", "espeak", preset, refitted)["percent"]
    assert all(again[name] == pytest.approx(shown[name], abs=3) for name in shown)
    assert refitted.scale(0.5) == pytest.approx(true.scale(0.5), rel=0.25)
    factors = found["factors"]
    assert factors["none"] == 0 < factors["half"] < factors["paper"] == 1 < factors["double"]
    assert factors["double"] < factors["triple"]


def test_an_unknown_severity_or_one_that_was_not_fitted_is_named():
    with pytest.raises(UsageError, match="no severity 'loud'; choose from none, half"):
        load_severity("ko", "espeak", "loud")
    with pytest.raises(DataError, match="simulator fit --language ko --engine hal"):
        load_severity("ko", "hal", "paper")
