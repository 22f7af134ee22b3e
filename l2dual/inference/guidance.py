"""What guides the search of a trained model: its lexicon, and its rater if it has one."""

from pathlib import Path

import torch

from l2dual.data.frames import chain_of, rate_of
from l2dual.data.tokens import tokens_to_text
from l2dual.errors import DataError, UsageError
from l2dual.inference.clues import clues
from l2dual.inference.rater import FOLDER, Raters
from l2dual.inference.timing import Clock
from l2dual.models.guide import Guidance, Words
from l2dual.text.lexicon import Lexicon
from l2dual.text.phones import ERROR
from l2dual.training.load import config_of


def guidance_of(exp_dir: Path) -> Guidance:
    """What guides the search of a run, or of an unpacked archive; UsageError where its surface is not in phones."""
    config = config_of(exp_dir)
    if config["surface_token_type"] != "phn":
        raise UsageError("guided: true: the surface is not in phones: use --surface_convention pronounced")
    lexicon, raters, rate = Lexicon.load(exp_dir), Raters.load(exp_dir / FOLDER), rate_of(config)
    step = Clock.of(chain_of(config, rate), rate).step
    vocabulary: list[str] = config["surface_token_list"]

    def canonical(meaning: list[str]) -> Words:
        return lexicon.by_word(tokens_to_text(meaning, config["meaning_token_type"]))

    def errors(log_probs: torch.Tensor, words: Words) -> list[float]:
        if not words or not raters or "chance_marked" not in raters.facts or ERROR not in vocabulary:
            return []
        try:
            found = clues(log_probs.cpu().numpy(), vocabulary, words, step)
        except DataError:  # more phones than frames
            return []
        return [1 - raters.chance(score, marked=True) for score in raters.rate([found])[0].phones]

    return Guidance(canonical, lexicon.said, errors)
