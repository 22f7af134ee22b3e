"""What raters would give: scores of phones, words and the whole, from the clues of a text.

After GOPT (Gong et al. 2022, ICASSP): one small network reads all phones of a text, and all scores are
learned at once. Ours reads them by a GRU in both directions; several of them, which differ by their
seed, are averaged.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch.nn.functional import dropout
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence

from l2dual.errors import DataError
from l2dual.files import atomic_write
from l2dual.inference.clues import Clues

FORMAT = 2
RIGHT, MARKED = "chance", "chance_marked"  # facts: that raters call a phone right, and that the annotation does
FOLDER = "rater"  # of a run, or of an archive; it holds
WEIGHTS, FACTS = "rater.safetensors", "rater.json"
MOST_PHONE, MOST = 2.0, 10.0  # the best score of a phone; of a word or an utterance


class Batch(NamedTuple):
    """The clues of B texts, padded."""

    values: torch.Tensor  # (B, N, F): of each phone
    phones: torch.Tensor  # (B, N)
    words: torch.Tensor  # (B, N): -1 in the padding
    lengths: torch.Tensor  # (B,)

    @classmethod
    def of(cls, texts: Sequence[Clues]) -> "Batch":
        """Put texts together."""
        values = [torch.from_numpy(one.values) for one in texts]
        phones = [torch.from_numpy(one.phones) for one in texts]
        words = [torch.from_numpy(one.words) for one in texts]
        lengths = torch.tensor([len(one) for one in phones])
        return cls(pad_sequence(values, True), pad_sequence(phones, True), pad_sequence(words, True, -1), lengths)


class Scores(NamedTuple):
    """Of B texts: parts of the best score, 0 to 1 where they are well learned."""

    phones: torch.Tensor  # (B, N)
    words: torch.Tensor  # (B, W, scores of a word)
    whole: torch.Tensor  # (B, scores of an utterance)


class Rater(torch.nn.Module):
    """One network.

    Args:
        vocabulary: number of phones known.
        values: F, of a phone.
        words: number of scores that a word has.
        whole: number of scores that an utterance has.
        width: of a direction.
        drop: part of the values between layers that training drops.
    """

    mean: torch.Tensor
    deviation: torch.Tensor

    def __init__(self, vocabulary: int, values: int, words: int, whole: int, width: int = 64, drop: float = 0.3):
        super().__init__()
        self.drop = drop
        self.register_buffer("mean", torch.zeros(values))
        self.register_buffer("deviation", torch.ones(values))
        self.embedding = torch.nn.Embedding(vocabulary, 16)
        self.enter = torch.nn.Linear(values + 16, 2 * width)
        self.context = torch.nn.GRU(
            2 * width, width, num_layers=2, batch_first=True, bidirectional=True, dropout=drop
        )
        self.phone = torch.nn.Linear(2 * width, 1)
        self.word = self._head(width, words)
        self.whole = self._head(width, whole)

    def _head(self, width: int, scores: int) -> torch.nn.Sequential:
        layers = torch.nn.Linear(4 * width, width), torch.nn.ReLU(), torch.nn.Dropout(self.drop)
        return torch.nn.Sequential(*layers, torch.nn.Linear(width, scores))

    def forward(self, batch: Batch) -> Scores:
        """The scores of a batch; those of padding mean nothing."""
        x = torch.cat([(batch.values - self.mean) / self.deviation, self.embedding(batch.phones)], dim=2)
        x = dropout(self.enter(x).relu(), self.drop, self.training)
        packed = pack_padded_sequence(x, batch.lengths, batch_first=True, enforce_sorted=False)
        x, _ = pad_packed_sequence(self.context(packed)[0], batch_first=True)  # (B, N, 2 width)
        x = dropout(x, self.drop, self.training)
        whole = batch.words.clamp(max=0)
        words, utterance = self.word(_pooled(x, batch.words)), self.whole(_pooled(x, whole))[:, 0]
        return Scores(self.phone(x)[..., 0], words, utterance)


def _pooled(x: torch.Tensor, groups: torch.Tensor) -> torch.Tensor:
    """Mean and greatest values (B, W, 2 D) of each group; ``groups`` (B, N) number (B, N, D), -1 the padding."""
    place = (groups + 1)[..., None].expand_as(x)  # 0: the padding
    empty = x.new_zeros(len(x), int(groups.max()) + 2, x.size(2))
    mean = empty.scatter_reduce(1, place, x, "mean", include_self=False)
    greatest = empty.scatter_reduce(1, place, x, "amax", include_self=False)
    return torch.cat([mean, greatest], dim=2)[:, 1:]


@dataclass(frozen=True)
class Ratings:
    """What raters would give to a text that was said."""

    phones: list[float]  # 0 to 2
    words: dict[str, list[float]]  # by name of the score, for each word, 0 to 10
    whole: dict[str, float]  # of the utterance, by name, 0 to 10


class Raters:
    """Networks whose mean is taken, and what is to be known of them.

    Attributes:
        facts: ``vocabulary``, ``words`` and ``whole``: names of the scores; ``RIGHT`` and ``MARKED``: constant
            and slope of the logistic from the score of a phone to a chance. Older raters lack ``MARKED``.
    """

    def __init__(self, members: Sequence[Rater], facts: dict):
        self.members = torch.nn.ModuleList(members).eval()
        self.facts = facts

    def chance(self, score: float, kind: str = RIGHT) -> float:
        """The chance of a ``kind``, ``RIGHT`` or ``MARKED``, for a phone that has this score, 0 to 2."""
        constant, slope = self.facts[kind]
        return 1 / (1 + math.exp(-(constant + slope * score)))

    @torch.inference_mode()
    def rate(self, texts: Sequence[Clues]) -> list[Ratings]:
        """Rate texts."""
        batch = Batch.of(texts)
        each = [member(batch) for member in self.members]
        phones, words, whole = (torch.stack(some).mean(0).clamp(0, 1) for some in zip(*each, strict=True))
        found = []
        for number, text in enumerate(texts):
            of_words = MOST * words[number, : text.words[-1] + 1]
            found.append(
                Ratings(
                    (MOST_PHONE * phones[number, : len(text.phones)]).tolist(),
                    {name: of_words[:, i].tolist() for i, name in enumerate(self.facts["words"])},
                    {name: MOST * float(whole[number, i]) for i, name in enumerate(self.facts["whole"])},
                )
            )
        return found

    def save(self, folder: Path) -> None:
        """Write weights, in 16 bits, and facts."""
        folder.mkdir(parents=True, exist_ok=True)
        state = {name: value.half() for name, value in self.members.state_dict().items()}
        with atomic_write(folder / WEIGHTS, "wb") as stream:
            stream.write(save(state))
        with atomic_write(folder / FACTS) as stream:
            json.dump(self.facts | {"format": FORMAT}, stream, indent=1)

    @classmethod
    def load(cls, folder: Path) -> "Raters | None":
        """Read what :meth:`save` wrote; None where there is nothing.

        Raises:
            DataError: the files are of another version, or do not fit together.
        """
        if not (folder / FACTS).is_file():
            return None
        try:
            facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
            if facts["format"] != FORMAT:
                raise ValueError(f"format {facts['format']}, not {FORMAT}")
            state = {name: value.float() for name, value in load_file(folder / WEIGHTS).items()}
            sizes = len(facts["vocabulary"]), len(state["0.mean"]), len(facts["words"]), len(facts["whole"])
            members = [Rater(*sizes) for _ in range(facts["members"])]
            raters = cls(members, facts)
            raters.members.load_state_dict(state)
        except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
            reason = " ".join(str(error).split())[:200]
            raise DataError(f"{folder / FACTS}: no rater of this version ({reason}): train it again") from error
        return raters
