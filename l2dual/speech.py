"""The speech of a data directory, or its cached features, through ESPnet's own readers."""

from collections.abc import Callable, Iterator

import numpy as np
import torch
from espnet2.train.dataset import ESPnetDataset

from l2dual.datadir import DataDir, scp_type


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
    files = [(str(data.path / "wav.scp"), "speech", scp_type(data.info))]
    dataset = ESPnetDataset(files)
    return lambda utt: np.array(dataset[utt][1]["speech"], dtype=np.float32)
