"""The CTC alignment of a text with the frames of a recording."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torchaudio.functional import TokenSpan, forced_align, merge_tokens

BLANK = 0


def align(log_probs: torch.Tensor, ids: Sequence[int]) -> list[TokenSpan] | None:
    """The frames in which the likeliest path (Viterbi) emits each token, and their mean probability.

    Args:
        log_probs: natural log probabilities of a CTC, (T', V).
        ids: of the tokens.

    Returns:
        None where there is no path: it needs a token, a frame for each, and one more between two that are alike.
    """
    repeats = sum(one == other for one, other in pairwise(ids))
    if not 0 < len(ids) <= len(log_probs) - repeats:
        return None
    path, scores = forced_align(log_probs[None], torch.tensor([ids], device=log_probs.device), blank=BLANK)
    return merge_tokens(path[0], scores[0].exp(), blank=BLANK)
