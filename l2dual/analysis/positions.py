"""Which token positions of two texts may be compared, and tokens that stand for each other."""

from dataclasses import dataclass

import numpy as np

from l2dual.analysis.activations import frame_positions
from l2dual.outputs import OUTPUTS
from l2dual.text import align

TOKEN_SPACING = 8  # letters; about the second that 25 encoder frames last


def aligned(one: list[int], other: list[int]) -> list[tuple[int | None, int | None]]:
    """Positions of both sequences at each step of an alignment with the fewest edits.

    None stands for a position that the other side has not.
    """
    steps = align(" ".join(map(str, one)), " ".join(map(str, other)), "word")
    found, i, j = [], 0, 0
    for left, right in steps:
        found.append((None if left is None else i, None if right is None else j))
        i += left is not None
        j += right is not None
    return found


def matched(surface: list[int], meaning: list[int]) -> list[tuple[int, int]]:
    """Positions (in the surface, in the meaning) that the alignment pairs and that are equal."""
    return [
        (i, j)
        for i, j in aligned(surface, meaning)
        if i is not None and j is not None and surface[i] == meaning[j]
    ]


@dataclass(frozen=True)
class Positions:
    """Sampled positions of a set of utterances.

    Attributes:
        name: of the set.
        by_utt: of each utterance and output, the positions (k,): one step of k belongs together
            in both outputs. None: the mean over the utterance stands for all of it.
    """

    name: str
    by_utt: dict[str, dict[str, np.ndarray] | None]


def shared_vocabulary_sets(ids: dict[str, dict[str, list[int]]]) -> list[Positions]:
    """Utterances of divergence 0, at every 8th position; the others, at every 8th matched one.

    Args:
        ids: of each output, token ids of each utterance, in one vocabulary.
    """
    same, differing = {}, {}
    for utt, surface in ids["surface"].items():
        meaning = ids["meaning"][utt]
        pairs = matched(surface, meaning)
        if pairs:
            kept = np.array(pairs)[frame_positions(len(pairs), TOKEN_SPACING)]
            chosen = dict(zip(OUTPUTS, kept.T, strict=True))
            (same if surface == meaning else differing)[utt] = chosen
    return [Positions("divergence 0", same), Positions("matched positions", differing)]


def pooled_set(ids: dict[str, dict[str, list[int]]]) -> list[Positions]:
    """Every utterance, pooled: what is left to compare where the vocabularies differ."""
    return [Positions("pooled utterances", dict.fromkeys(ids["surface"]))]
