"""Utterances as the model takes them: texts as token ids, and a batch padded."""

from collections.abc import Collection, Mapping

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from l2dual.data.tokens import TextToIds
from l2dual.models.dual import IGNORE_ID


class Preprocessor:
    """Writes the text of each output that an utterance has as token ids (L,)."""

    def __init__(self, to_ids: Mapping[str, TextToIds]):
        self.to_ids = to_ids

    def __call__(self, utt: str, values: Mapping) -> dict[str, np.ndarray]:
        """Values of an utterance by their name, as ``speech`` (T,)."""
        given = self.to_ids.keys() & values.keys()
        return {**values, **{name: np.array(self.to_ids[name](values[name]), dtype=np.int64) for name in given}}


def collate(
    utterances: Collection[tuple[str, Mapping[str, np.ndarray]]],
) -> tuple[list[str], dict[str, torch.Tensor]]:
    """Names of utterances, and their values (B, T, ...), padded with 0, or -1 if they are ids, and lengths (B,)."""
    utts, values = zip(*utterances, strict=True)
    batch = {}
    for name, first in values[0].items():
        padding = IGNORE_ID if first.dtype.kind == "i" else 0.0
        each = [torch.from_numpy(one[name]) for one in values]
        batch[name] = pad_sequence(each, batch_first=True, padding_value=padding)
        batch[f"{name}_lengths"] = torch.tensor([len(one) for one in each])
    return list(utts), batch
