"""What a run knows of words and raters guides its search."""

import numpy as np
import pytest
import torch

from l2dual.data.frames import chain_of
from l2dual.errors import UsageError
from l2dual.files import read_yaml
from l2dual.inference.clues import clues
from l2dual.inference.guidance import guidance_of
from l2dual.inference.rater import FOLDER, Rater, Raters
from l2dual.inference.timing import Clock
from l2dual.text.lexicon import Annotated, Lexicon
from l2dual.text.phones import ERROR
from l2dual.training.load import config_of
from l2dual.training.runs import write_yaml
from tests.systems import make_run

PHONES = ["<blank>", "<unk>", "S", "IH", "NG", "K", ERROR, "<sos/eos>"]
FACTS = {"vocabulary": PHONES, "words": ["total"], "whole": ["total"], "members": 1, "chance": [-6.0, 6.0]}
WORDS = [["S", "IH", "NG"], ["K"]]


@pytest.fixture
def run(tmp_path):
    """A run with a surface in phones; its meaning is in letters."""
    run = make_run(tmp_path / "do.seed1", "do", 1)
    config = read_yaml(run / "config.yaml") | {"surface_token_type": "phn", "meaning_token_type": "char"}
    write_yaml(run / "config.yaml", config | {"surface_token_list": PHONES})
    return run


def rater_of(run, **facts):
    torch.manual_seed(0)
    rater = Rater(len(PHONES), 15 + 2 * len(PHONES), 1, 1)
    torch.nn.init.constant_(rater.phone.bias, 0.5)
    Raters([rater], FACTS | facts).save(run / FOLDER)
    return Raters.load(run / FOLDER)


def heard(frames=12):
    """Log probabilities of a CTC."""
    return torch.randn(frames, len(PHONES), generator=torch.Generator().manual_seed(0)).log_softmax(-1)


def test_words_are_those_of_the_runs_lexicon(run):
    Lexicon.learn([Annotated("sing", "S IH NG", "S IH NG")] * 3).save(run)
    guidance = guidance_of(run)
    assert guidance.canonical([*"sing", "<space>", *"sing"]) == [["S", "IH", "NG"]] * 2
    assert guidance.said["NG"] == {"NG": 1.0} and not guidance.errors(heard(), WORDS)


def test_errors_are_what_the_annotation_would_call_wrong(run):
    raters, log_probs = rater_of(run, chance_marked=[-3.0, 4.0]), heard()
    config = config_of(run)
    step = Clock.of(chain_of(config, 16000), 16000).step
    scores = np.array(raters.rate([clues(log_probs.numpy(), PHONES, WORDS, step)])[0].phones)
    assert scores.std() > 0.005 and 0.5 < scores.mean() < 1.5
    assert guidance_of(run).errors(log_probs, WORDS) == pytest.approx(1 / (1 + np.exp(-3.0 + 4.0 * scores)))


@pytest.mark.parametrize("frames, words", [(12, []), (2, WORDS)], ids=["no meaning", "more phones than frames"])
def test_errors_are_unknown(run, frames, words):
    rater_of(run, chance_marked=[-3.0, 4.0])
    assert guidance_of(run).errors(heard(frames), words) == []


def test_a_rater_that_was_made_before_says_nothing_of_the_annotation(run):
    rater_of(run)
    assert guidance_of(run).errors(heard(), WORDS) == []


def test_a_surface_in_letters_is_not_guided(tmp_path):
    with pytest.raises(UsageError, match="guided: true: the surface is not in phones"):
        guidance_of(make_run(tmp_path / "do.seed1", "do", 1))
