"""Sentences that a test set shares with other data's training set."""

from pathlib import Path

from l2dual.data.datadir import DataDir, has_meaning, read_table
from l2dual.text.cleaning import prompt


def seen_sentences(data: DataDir, trained_on: Path) -> int | None:
    """How many utterances have a meaning that other data, ``trained_on``, have in training, too.

    None where they are that data's own test set, or the meanings are not there.
    """
    train = trained_on / "train/text.meaning"
    if data.path.parent == trained_on or not train.is_file() or not has_meaning(data.info):
        return None
    seen = {prompt(text) for text in read_table(train).values()}
    return sum(prompt(text) in seen for text in data["text.meaning"].values())
