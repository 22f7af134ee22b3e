"""What a run knows of words and raters guides its search."""

import numpy as np
import pytest
import torch

from l2dual.data.frames import chain_of
from l2dual.errors import UsageError
from l2dual.inference.clues import clues
from l2dual.inference.guidance import guidance_of
from l2dual.inference.rater import MARKED, Rater, Raters
from l2dual.inference.timing import Clock
from l2dual.text.lexicon import Annotated, Lexicon
from l2dual.text.phones import ERROR
from l2dual.training.load import config_of
from tests.systems import make_run

PHONES = ["<blank>", "<unk>", "S", "IH", "NG", "K", ERROR, "<sos/eos>"]
FACTS = {"vocabulary": PHONES, "words": ["total"], "whole": ["total"], "members": 1, "chance": [-6.0, 6.0]}
WORDS = [["S", "IH", "NG"], ["K"]]


@pytest.fixture
def config(tmp_path):
    """Of a run with a surface in phones; its meaning is in letters."""
    run = make_run(tmp_path / "do.seed1", "do", 1)
    own = {"surface_token_type": "phn", "meaning_token_type": "char", "surface_token_list": PHONES}
    return config_of(run) | own


def raters(**facts):
    torch.manual_seed(0)
    rater = Rater(len(PHONES), 15 + 2 * len(PHONES), 1, 1)
    torch.nn.init.constant_(rater.phone.bias, 0.5)
    return Raters([rater], FACTS | facts)


def heard(frames=12):
    """Log probabilities of a CTC."""
    return torch.randn(frames, len(PHONES), generator=torch.Generator().manual_seed(0)).log_softmax(-1)


def test_words_are_those_of_the_runs_lexicon(config):
    lexicon = Lexicon.learn([Annotated("sing", "S IH NG", "S IH NG")] * 3)
    guidance = guidance_of(config, lexicon, None)
    assert guidance.canonical([*"sing", "<space>", *"sing"]) == [["S", "IH", "NG"]] * 2
    assert guidance.said["NG"] == {"NG": 1.0} and not guidance.errors(heard(), WORDS)


def test_errors_are_what_the_annotation_would_call_wrong(config):
    own, log_probs = raters(**{MARKED: [-3.0, 4.0]}), heard()
    step = Clock.of(chain_of(config, 16000), 16000).step
    scores = np.array(own.rate([clues(log_probs.numpy(), PHONES, WORDS, step)])[0].phones)
    assert scores.std() > 0.005 and 0.5 < scores.mean() < 1.5
    found = guidance_of(config, Lexicon(), own).errors(log_probs, WORDS)
    assert found == pytest.approx(1 / (1 + np.exp(-3.0 + 4.0 * scores)))


@pytest.mark.parametrize("frames, words", [(12, []), (2, WORDS)], ids=["no meaning", "more phones than frames"])
def test_errors_are_unknown(config, frames, words):
    assert guidance_of(config, Lexicon(), raters(**{MARKED: [-3.0, 4.0]})).errors(heard(frames), words) == []


def test_a_rater_that_was_made_before_says_nothing_of_the_annotation(config):
    assert not guidance_of(config, Lexicon(), raters()).errors(heard(), WORDS)


def test_frames_are_asked_for_a_rater_alone(config):
    unknown = config | {"encoder": "contextual_block_conformer"}
    assert guidance_of(unknown, Lexicon(), None).canonical(["a"])
    with pytest.raises(UsageError, match="its frames are not known"):
        guidance_of(unknown, Lexicon(), raters(**{MARKED: [-3.0, 4.0]}))


def test_a_surface_in_letters_is_not_guided(config):
    with pytest.raises(UsageError, match="guided: true: the surface is not in phones"):
        guidance_of(config | {"surface_token_type": "char"}, Lexicon(), None)
