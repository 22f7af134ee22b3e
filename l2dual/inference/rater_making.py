"""Train a rater of a model on a corpus's raters, fit the chance of errors, and let it rate the test set."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression

from l2dual.data.datadir import DataDir
from l2dual.data.frames import RATE, chain_of
from l2dual.errors import DataError, UsageError
from l2dual.files import atomic_write
from l2dual.inference.folds import unheard
from l2dual.inference.rater import MARKED, MOST_PHONE, RIGHT, Raters
from l2dual.inference.rater_training import MEMBERS, WHOLE_SCORES, Example, examples, fit, word_scores
from l2dual.inference.timing import Clock
from l2dual.scoring.agreement import Judged, is_error, limit_of
from l2dual.training.load import config_of, load_model

CERTAIN = 20.0  # in log odds: all phones were alike to the raters


def make_rater(exp: Path, folder: Path, speakers: float, folds: Sequence[Path], out: Path) -> None:
    """Write the rater of a run, and scored.json.

    Args:
        exp: a run with a CTC on a surface in phones.
        folder: with train, valid and test, or their cached states.
        speakers: share of the training speakers.
        folds: trainings that have not heard a part of them each (`l2dual.bin.fold`); none: the run itself says what
            the rater learns from.
        out: directory to write to.

    Raises:
        UsageError: the run has no CTC on the surface.
        DataError: there is nothing to learn from, or a fold has other phones or does not fit the data.
    """
    model = load_model(exp)
    if "surface" not in model.ctcs:
        raise UsageError(f"{exp}: no CTC on the surface, which a rater needs: choose another system")
    step = Clock.of(chain_of(config_of(exp), RATE), RATE).step
    data = {split: DataDir.load(folder / split) for split in ("train", "valid", "test")}
    data["train"] = some_speakers(data["train"], speakers)
    heard = [(exp, data["train"])] if not folds else unheard(data["train"], folds)
    found: dict[str, list[Example]] = {"train": []}
    for fold, some in heard:
        trained = load_model(fold)
        if trained.token_lists["surface"] != model.token_lists["surface"]:
            raise DataError(f"{fold}: its phones are not those of {exp}: give folds of the same study")
        found["train"] += examples(trained, some, step)
    found |= {split: list(examples(model, data[split], step)) for split in ("valid", "test")}
    facts: dict = {"vocabulary": model.token_lists["surface"], "words": word_scores(data["train"])}
    facts |= {"folds": len(folds), "corpus": data["train"].info["corpus"]}
    facts |= {"speakers": len({*data["train"].people.values()})}
    learn(found, facts, out)


def learn(found: dict[str, list[Example]], facts: dict, out: Path) -> None:
    """Train on `train`, fit chances on `valid`, rate `test`, and write it all.

    Raises:
        DataError: there is nothing to learn from.
    """
    if min(map(len, found.values())) == 0 or not is_error(_marks(found["train"])).any():
        raise DataError("train, valid and test need utterances that can be rated, and train some errors: get more data")
    members = [fit(found["train"], len(facts["vocabulary"]), seed) for seed in range(MEMBERS)]
    raters = Raters(members, facts | {"whole": list(WHOLE_SCORES), "members": MEMBERS})
    chances: dict[str, list[float]] = {}
    judged = of_phones(raters, found["valid"])
    if not is_error(judged["rater"].raters).any():  # too small a set to fit chances on
        judged = of_phones(raters, found["train"])
    for name, scored in judged.items():
        for suffix, marked in (("", False), (" (marked)", True)):
            chances[name + suffix] = chance(scored, marked)
    raters.facts |= {RIGHT: chances["rater"], MARKED: chances["rater (marked)"]}
    raters.save(out)
    with atomic_write(out / "scored.json") as stream:
        about = {"folds": facts.get("folds", 0), "chances": chances}
        json.dump(about | {"utterances": rated(raters, found["test"])}, stream)
    print(f"rater trained on {len(found['train'])} utterances of {raters.facts['speakers']} speakers")
    for name in judged:
        constant, slope = chances[name]
        limit = limit_of(chances[name])
        print(f"  {name}: error below {limit:.3f}; chance = logistic({constant:.3f} + {slope:.3f} score)")


def some_speakers(data: DataDir, part: float) -> DataDir:
    """The utterances of a part of the speakers, drawn by a seed."""
    names = np.random.default_rng(0).permutation(sorted({*data.people.values()}))
    keep = set(names[: round(part * len(names))])
    return data.subset([utt for utt, name in data.people.items() if name in keep])


def rated(raters: Raters, texts: Iterable[Example]) -> dict[str, dict]:
    """What the rater gives to each utterance, and ln goodness of its phones."""
    found = {}
    for one in texts:
        [ratings] = raters.rate([one.clues])
        wrong = one.clues.values[:, 0].astype(float)  # log likelihood of all else, less that of the text
        found[one.utterance] = {
            "goodness": (-np.logaddexp(0.0, wrong)).round(4).tolist(),
            "phones": np.round(ratings.phones, 4).tolist(),
            "words": {name: np.round(some, 3).tolist() for name, some in ratings.words.items()},
            "whole": {name: round(score, 3) for name, score in ratings.whole.items()},
        }
    return found


def of_phones(raters: Raters, texts: list[Example]) -> dict[str, Judged]:
    """Scores of phones by the rater and by goodness alone."""
    marks = _marks(texts)
    each = list(rated(raters, texts).values())
    keys = {"goodness": "goodness", "rater": "phones"}
    return {
        name: Judged(np.concatenate([one[key] for one in each]), marks, np.zeros(len(marks)))
        for name, key in keys.items()
    }


def _marks(texts: list[Example]) -> np.ndarray:
    return np.concatenate([one.phones for one in texts]) * MOST_PHONE


def chance(scored: Judged, marked: bool = False) -> list[float]:
    """Constant and slope of the logistic from a score to the chance that raters call a phone right."""
    right = ~is_error(scored.raters, marked)
    if right.min() == right.max():
        return [CERTAIN if right.all() else -CERTAIN, 0.0]
    fitted = LogisticRegression(C=1e4).fit(scored.machine[:, None], right)
    return [round(float(fitted.intercept_[0]), 4), round(float(fitted.coef_[0, 0]), 4)]
