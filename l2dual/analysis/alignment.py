"""Which frames a token of a text is spoken in, by the CTC of a trained system."""

from dataclasses import dataclass

import torch

from l2dual.analysis.activations import encoded
from l2dual.data.datadir import DataDir
from l2dual.errors import UsageError
from l2dual.models.ctc_alignment import align
from l2dual.models.dual import L2DualModel

REACH = 2  # encoder frames (0.04 s each) on either side of where CTC emits a token


@dataclass(frozen=True)
class Aligned:
    """Frames of an utterance's tokens."""

    length: int  # encoder frames of the utterance
    segments: list[tuple[int, int]]  # first and last frame of each token, both within


@torch.inference_mode()
def align_texts(
    model: L2DualModel, output: str, data: DataDir, ids: dict[str, list[int]], batch_size: int
) -> dict[str, Aligned]:
    """Align the texts of an output, ``ids`` of each utterance, by Viterbi on its CTC.

    Returns:
        Of each utterance that CTC can align.

    Raises:
        UsageError: the model has no CTC on that output.
    """
    if output not in model.ctcs:
        raise UsageError(f"the system has no CTC on {output}, which must align the tokens")
    found = {}
    for utts, found_states in encoded(model, data, batch_size):
        states, lengths = found_states.of(output)
        log_probs = model.ctcs[output].log_softmax(states).float().cpu()  # (B, T', V)
        for utt, frames, length in zip(utts, log_probs, lengths.tolist(), strict=True):
            spans = align(frames[:length], ids[utt])
            if spans:
                emitted = [(span.start, span.end - 1) for span in spans]
                found[utt] = Aligned(length, widened(emitted, length))
    return found


def widened(emitted: list[tuple[int, int]], length: int) -> list[tuple[int, int]]:
    """Widen where tokens are emitted by 2 frames, at most to the middle of the gap between two.

    CTC emits a token in a frame or two of those that it is spoken in, and each encoder does so
    at its own moment; the wider segment leaves such shifts out of account.
    """
    segments = []
    for index, (start, end) in enumerate(emitted):
        before = -1 if index == 0 else (emitted[index - 1][1] + start) // 2
        after = length - 1 if index + 1 == len(emitted) else (end + emitted[index + 1][0]) // 2
        segments.append((max(start - REACH, before + 1), min(end + REACH, after)))
    return segments
