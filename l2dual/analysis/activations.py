"""Activations of an encoder's blocks on a sample of frames that are far enough apart."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch

from l2dual.data.datadir import DataDir
from l2dual.data.speech import batches
from l2dual.errors import DataError
from l2dual.models.dual import L2DualModel
from l2dual.sharing.mechanism import Encoded

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
def recorded_blocks(model: L2DualModel) -> Iterator[dict[torch.nn.Module, torch.Tensor]]:
    """Record what every block of the encoder gives: (B, T', D) of each block, those of the latest batch.

    Raises:
        UsageError: the encoder has no list of blocks.
    """
    blocks = dict.fromkeys(block for output in model.outputs for block in model.blocks(output))
    given: dict[torch.nn.Module, torch.Tensor] = {}
    hooks = [block.register_forward_hook(_keep(given)) for block in blocks]
    try:
        yield given
    finally:
        for hook in hooks:
            hook.remove()


def encoded(
    model: L2DualModel, data: DataDir, batch_size: int
) -> Iterator[tuple[list[str], Encoded]]:
    """Utterances and what the outputs read of them, batch by batch.

    Batches are made from the durations alone, so every model sees the same padding.
    """
    device = next(model.parameters()).device
    for utts, speech, lengths in batches(data, batch_size):
        yield utts, model.encode(speech.to(device), lengths.to(device))


@torch.inference_mode()
def collect(model: L2DualModel, data: DataDir, batch_size: int) -> dict[str, Activations]:
    """Encode every utterance once, and keep the sampled frames of every block on each output's path.

    Outputs whose paths are one share one object.

    Raises:
        UsageError: the encoder has no list of blocks.
        DataError: an utterance without a frame, or values that are not finite.
    """
    utts, all_lengths, rows, frames = [], [], [], {}
    with recorded_blocks(model) as given:
        for names, states in encoded(model, data, batch_size):
            for index, (name, length) in enumerate(zip(names, states.lengths.tolist(), strict=True)):
                if length < 1:
                    raise DataError(f"utterance {name}: too short for the encoder: run stage 4")
                positions = frame_positions(length)
                rows += [len(utts)] * len(positions)
                utts.append(name)
                all_lengths.append(length)
                for block, values in given.items():
                    frames.setdefault(block, []).append(finite_array(values[index, positions], name))
    layers = {block: np.concatenate(kept) for block, kept in frames.items()}
    head = tuple(utts), np.array(all_lengths), np.array(rows)
    samples: dict[tuple, Activations] = {}
    paths = {output: tuple(model.blocks(output)) for output in model.outputs}
    for path in paths.values():
        samples.setdefault(path, Activations(*head, [layers[block] for block in path]))
    return {output: samples[path] for output, path in paths.items()}


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


def _keep(given: dict[torch.nn.Module, torch.Tensor]):
    """Hook that keeps a block's output; ESPnet's blocks give (x, mask) or ((x, pos), mask)."""

    def hook(block: torch.nn.Module, args: tuple, output: object) -> None:
        while isinstance(output, tuple):
            output = output[0]
        given[block] = output

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
