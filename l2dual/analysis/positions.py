"""Which token positions of two texts stand for each other, and which are far enough apart."""

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


def comparable(
    ids: dict[str, dict[str, list[int]]], shared: bool
) -> list[tuple[tuple[str, ...], dict[str, np.ndarray]]]:
    """Where decoders may be compared: outputs, and every 8th position of each utterance.

    Under one vocabulary both outputs, where their texts are the same (divergence 0); else each
    output's decoders with each other only, on all utterances.
    """

    def spaced(output: str, utts: list[str]) -> dict[str, np.ndarray]:
        texts = ids[output]
        return {utt: frame_positions(len(texts[utt]), TOKEN_SPACING) for utt in utts if texts[utt]}

    if not shared:
        return [((output,), spaced(output, list(ids[output]))) for output in OUTPUTS]
    same = [utt for utt, surface in ids["surface"].items() if surface == ids["meaning"][utt]]
    return [(OUTPUTS, spaced("surface", same))]
