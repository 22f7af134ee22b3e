"""Parts of the training speakers, each unheard by a model of its own: what a rater of unheard learners learns from.

The CTC of a model has learned its training speakers, so it is surer of them than of others. A rater that learns from
what it says of them trusts it too much (cross-fitting: Chernozhukov et al. 2018, "Double/debiased machine learning").
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from l2dual.data.datadir import DataDir, read_table
from l2dual.errors import DataError

HELDOUT = "heldout"  # of a fold's directory: the utterances that its model has not heard


def part_of(data: DataDir, part: int, parts: int) -> set[str]:
    """The utterances of one of equal parts of the speakers, from 1 on; the same for each call.

    Raises:
        DataError: there are fewer speakers than parts, or one part.
    """
    people = data.people
    names = np.random.default_rng(0).permutation(sorted({*people.values()}))
    if not (1 < parts <= len(names) and part <= parts):
        raise DataError(f"{data.path}: {parts} parts of {len(names)} speakers: give --rater_folds 2, or 0 for none")
    mine = {*names[part - 1 :: parts]}
    return {utt for utt, name in people.items() if name in mine}


def unheard(data: DataDir, folds: Sequence[Path]) -> list[tuple[Path, DataDir]]:
    """Each fold's model with the utterances of ``data`` that it has not heard.

    Raises:
        DataError: the folds do not hold out each utterance once.
    """
    heldout = {fold: {*read_table(fold / HELDOUT)} for fold in folds}
    for utt in data["utt2spk"]:
        if sum(utt in some for some in heldout.values()) != 1:
            raise DataError(f"{data.path}, {utt}: not in one of {', '.join(map(str, folds))}: run stage 8 again")
    return [(fold, data.subset([utt for utt in data["utt2spk"] if utt in some])) for fold, some in heldout.items()]
