"""Activations of an encoder's blocks on a sample of frames that are far enough apart."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

from l2dual.data.datadir import DataDir
from l2dual.data.speech import batches
from l2dual.errors import DataError, UsageError

SPACING = 25  # encoder frames; nearer ones are so alike that they count as one draw


@dataclass(frozen=True)
class Activations:
    """What every block gives on the sampled frames; those of an utterance in order of time."""

    utts: tuple[str, ...]  # (U,)
    lengths: np.ndarray  # encoder frames of each utterance, (U,)
    rows: np.ndarray  # index into utts of each sampled frame, (n,)
    layers: list[np.ndarray]  # after each block, (n, d) float32


def frame_positions(length: int, spacing: int = SPACING) -> np.ndarray:
    """Every 25th frame from the middle of the first 25 on; of a shorter utterance, its middle."""
    return np.arange(min(length, spacing) // 2, length, spacing)


@contextmanager
def recorded_blocks(model: torch.nn.Module) -> Iterator[list[torch.Tensor]]:
    """Record what every block of the encoder gives: (B, T', D) each, those of the latest batch.

    Raises:
        UsageError: the encoder has no list of blocks.
    """
    blocks = getattr(model.encoder, "encoders", None)
    if not isinstance(blocks, torch.nn.ModuleList | torch.nn.Sequential):
        kind = type(model.encoder).__name__
        raise UsageError(f"{kind} has no list `encoders` of blocks: use a Conformer-like encoder")
    outputs: list[torch.Tensor] = []
    hooks = [block.register_forward_hook(_keep(outputs)) for block in blocks]
    hooks.append(model.encoder.register_forward_pre_hook(lambda *_: outputs.clear()))
    try:
        yield outputs
    finally:
        for hook in hooks:
            hook.remove()


def encoded(
    model: torch.nn.Module, data: DataDir, batch_size: int
) -> Iterator[tuple[list[str], torch.Tensor, torch.Tensor]]:
    """Utterances, encoder output (B, T', D) and its lengths (B,), batch by batch.

    Batches are made from the durations alone, so every model sees the same padding.
    """
    device = next(model.parameters()).device
    for utts, speech, lengths in batches(data, batch_size):
        yield utts, *model.encode(speech.to(device), lengths.to(device)).of(model.outputs[0])


@torch.inference_mode()
def collect(model: torch.nn.Module, data: DataDir, batch_size: int) -> Activations:
    """Encode every utterance once, and keep the sampled frames of every block.

    Raises:
        UsageError: the encoder has no list of blocks.
        DataError: an utterance without a frame, or values that are not finite.
    """
    utts, all_lengths, rows, layers = [], [], [], []
    with recorded_blocks(model) as outputs:
        for names, _, lengths in encoded(model, data, batch_size):
            layers = layers or [[] for _ in outputs]
            for index, (name, length) in enumerate(zip(names, lengths.tolist(), strict=True)):
                if length < 1:
                    raise DataError(f"utterance {name}: too short for the encoder: run stage 4")
                positions = frame_positions(length)
                rows += [len(utts)] * len(positions)
                utts.append(name)
                all_lengths.append(length)
                for kept, output in zip(layers, outputs, strict=True):
                    kept.append(finite_array(output[index, positions], name))
    return Activations(
        utts=tuple(utts),
        lengths=np.array(all_lengths),
        rows=np.array(rows),
        layers=[np.concatenate(kept) for kept in layers],
    )


def finite_array(values: torch.Tensor, utt: str) -> np.ndarray:
    """Values of an utterance as float32.

    Raises:
        DataError: they are not finite.
    """
    array = values.float().cpu().numpy()
    if not np.isfinite(array).all():
        raise DataError(
            f"utterance {utt}: the model gives values that are not finite: "
            "its training diverged, train it again (stage 8)"
        )
    return array


def _keep(outputs: list[torch.Tensor]):
    """Hook that appends a block's output; ESPnet's blocks give (x, mask) or ((x, pos), mask)."""

    def hook(block: torch.nn.Module, args: tuple, output: object) -> None:
        while isinstance(output, tuple):
            output = output[0]
        outputs.append(output)

    return hook


def shuffled_pairs(sample: Activations, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Pair the frames of every utterance with those of another one of like length.

    At least 20 utterances are permuted in one random cycle within each decile of length, so that none
    is its own partner; the first frame goes with the partner's first, and so on to the shorter's end.
    Returns frame indices of the one side and of the other, both (m,), m <= n.
    """
    sizes = np.bincount(sample.rows)
    starts = np.cumsum(sizes) - sizes
    left, right = [], []
    for decile in np.array_split(np.argsort(sample.lengths, kind="stable"), 10):
        cycle = rng.permutation(decile)
        for one, other in zip(cycle, np.roll(cycle, 1), strict=True):
            frames = np.arange(min(sizes[one], sizes[other]))
            left.append(starts[one] + frames)
            right.append(starts[other] + frames)
    return np.concatenate(left), np.concatenate(right)
