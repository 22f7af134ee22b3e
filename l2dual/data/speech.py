"""The speech of a data directory, or its cached features, read by l2dual.data.recording."""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import torch

from l2dual.data.audio import read_values
from l2dual.data.datadir import DataDir, read_table


class SpeechReader(Mapping):
    """wav.scp as ESPnet reads it: utterance to samples (T,), or to cached features (F, D)."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.places = read_table(path)

    def __getitem__(self, utt: str) -> np.ndarray:
        return read_values(self.places[utt], f"{self.path}, utterance {utt}")

    def __iter__(self) -> Iterator[str]:
        return iter(self.places)

    def __len__(self) -> int:
        return len(self.places)


def batches(
    data: DataDir, batch_size: int
) -> Iterator[tuple[list[str], torch.Tensor, torch.Tensor]]:
    """Batches of utterances of like length, longest first.

    Yields:
        Utterances, samples (B, T) or cached features (B, F, D) padded with 0, and lengths (B,).
    """
    read = reader(data)
    order = sorted(data["wav.scp"], key=lambda utt: (-float(data["utt2dur"][utt]), utt))
    for start in range(0, len(order), batch_size):
        utts = order[start : start + batch_size]
        waves = [torch.from_numpy(read(utt)) for utt in utts]
        lengths = torch.tensor([len(wave) for wave in waves])
        yield utts, torch.nn.utils.rnn.pad_sequence(waves, batch_first=True), lengths


def reader(data: DataDir) -> Callable[[str], np.ndarray]:
    """A function that gives the samples (T,) of an utterance, or its cached features (F, D)."""
    return SpeechReader(str(data.path / "wav.scp")).__getitem__
