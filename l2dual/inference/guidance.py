"""What guides the search of a trained model: its lexicon, and its rater if it has one."""

from collections.abc import Mapping
from functools import partial

import torch

from l2dual.data.frames import chain_of, rate_of
from l2dual.data.tokens import tokens_to_text
from l2dual.errors import DataError, UsageError
from l2dual.inference.clues import clues
from l2dual.inference.rater import MARKED, Raters
from l2dual.inference.timing import Clock
from l2dual.models.guide import Guidance, Words
from l2dual.text.lexicon import Lexicon
from l2dual.text.phones import ERROR


def guidance_of(config: Mapping, lexicon: Lexicon, raters: Raters | None) -> Guidance:
    """What guides the search of a run.

    Args:
        config: the run's.
        lexicon: its own.
        raters: its own; those that do not know of the annotation's errors are not asked.

    Raises:
        UsageError: the surface is not in phones.
    """
    if config["surface_token_type"] != "phn":
        raise UsageError("guided: true: the surface is not in phones: use --surface_convention pronounced")

    def canonical(meaning: list[str]) -> Words:
        return lexicon.by_word(tokens_to_text(meaning, config["meaning_token_type"]))

    tokens = config["surface_token_list"]
    if not (raters and MARKED in raters.facts and ERROR in tokens):
        return Guidance(tokens, canonical, lexicon.said)
    rate = rate_of(config)
    step = Clock.of(chain_of(config, rate), rate).step
    return Guidance(tokens, canonical, lexicon.said, partial(_marked, raters, tokens, step))


def _marked(
    raters: Raters, vocabulary: list[str], step: float, log_probs: torch.Tensor, words: Words
) -> list[float]:
    """The chance that the annotation marks each phone; nothing without words, or with too few frames for them."""
    if not words:
        return []
    try:
        found = clues(log_probs.cpu().numpy(), vocabulary, words, step)
    except DataError:
        return []
    return [1 - raters.chance(score, MARKED) for score in raters.rate([found])[0].phones]
