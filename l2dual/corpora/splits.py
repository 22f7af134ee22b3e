"""Splits that share neither speakers nor prompts, and the overlap of those that do.

A prompt is an utterance's meaning, normalized (`l2dual.text.normalize`): two utterances share a
prompt if these are equal.
"""

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from itertools import combinations

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from l2dual.corpora import SPLITS, Utterance
from l2dual.errors import DataError
from l2dual.text import normalize

SHARE = 0.1  # of the speakers, in valid and in test
HELD_OUT = ("test", "valid")


def assign(
    utterances: Iterable[Utterance], seed: int, valid: float = SHARE, test: float = SHARE
) -> tuple[list[Utterance], dict]:
    """Give each utterance its split, disjoint in speakers and in prompts.

    Speakers and prompts are the two sides of a graph, utterances its edges. If whole connected
    components make up about the shares that `valid` and `test` ask for, they are moved, and no
    utterance is lost. Else speakers are drawn, those first who read the same prompts as the
    speakers drawn before them; each prompt goes to the split whose speakers read it most, but
    `test` and `valid` keep at least their share of what their speakers read; an utterance whose
    speaker and prompt lie in different splits is dropped.

    Args:
        utterances: their order, and the splits they may have, play no part.
        seed: of the choice of components or speakers.
        valid, test: shares, of the utterances (components) or of the speakers.

    Returns:
        The utterances that are kept, sorted by id, and how it was done: ``method``, and
        ``dropped`` with the number of utterances dropped and why.

    Raises:
        DataError: fewer than three speakers, or too few prompts to give each split one.
    """
    utterances = sorted(utterances, key=lambda utterance: utterance.id)
    shares = {"test": test, "valid": valid}
    counts, speakers, prompts = _count(utterances)
    if len(speakers) < 3:
        raise DataError(
            f"{len(speakers)} speaker(s), but train, valid and test need one each: "
            "add speakers, or give the splits yourself"
        )
    rng = random.Random(seed)
    choice = _components(counts, shares, rng)
    method = "whole groups of speakers and prompts"
    if choice is None:
        choice = _speakers_then_prompts(counts, shares, rng)
        method = "speakers, then prompts"
    of_speaker, of_prompt = choice
    kept = [
        replace(utterance, split=of_speaker[speakers[utterance.speaker]])
        for utterance in utterances
        if of_speaker[speakers[utterance.speaker]] == of_prompt[prompts[_prompt(utterance)]]
    ]
    for split in SPLITS:
        if all(utterance.split != split for utterance in kept):
            raise DataError(
                f"{len(speakers)} speakers share {len(prompts)} prompt(s): no utterance is left "
                f"for {split} when splits share no prompt; give the splits yourself"
            )
    dropped = len(utterances) - len(kept)
    why = "speaker and prompt in different splits"
    return kept, {"method": method, "dropped": {why: dropped} if dropped else {}}


def hold_out(
    utterances: Iterable[Utterance], seed: int, share: float = SHARE
) -> list[Utterance]:
    """Move a share of the speakers of `train` to `valid`; other splits stay as they are.

    Raises:
        DataError: `train` has fewer than two speakers.
    """
    utterances = list(utterances)
    speakers = sorted({u.speaker for u in utterances if u.split == "train"})
    if len(speakers) < 2:
        raise DataError(
            f"{len(speakers)} speaker(s) in train, but train and valid need one each: "
            "get the whole corpus"
        )
    number = max(1, round(share * len(speakers)))
    held_out = set(random.Random(seed).sample(speakers, number))
    return [
        replace(u, split="valid") if u.split == "train" and u.speaker in held_out else u
        for u in utterances
    ]


def drop_shared_prompts(utterances: Iterable[Utterance]) -> tuple[list[Utterance], dict[str, int]]:
    """Drop from `valid` the prompts of `test`, from `train` those of both.

    Returns:
        The utterances that are kept, in their order, and the number dropped from each split.
    """
    utterances = list(utterances)
    taken, dropped = set(), {}
    for split in ("test", "valid", "train"):
        own = [u for u in utterances if u.split == split]
        gone = {u.id for u in own if _prompt(u) in taken}
        dropped[split] = len(gone)
        utterances = [u for u in utterances if u.split != split or u.id not in gone]
        taken |= {_prompt(u) for u in own}
    return utterances, {split: dropped[split] for split in ("valid", "train")}


def settle(utterances: Iterable[Utterance], seed: int) -> tuple[list[Utterance], dict]:
    """Keep the splits that the utterances have, or assign them where none has one ("").

    Where the splits given lack `valid`, a tenth of the speakers of `train` is held out.

    Returns:
        The utterances and the facts ``splits`` (its ``method``), ``overlap`` and, where they were
        assigned, ``dropped``.

    Raises:
        DataError: some utterances have a split and some not, or `train` or `test` is empty.
    """
    utterances = list(utterances)
    given = Counter(utterance.split for utterance in utterances)
    if set(given) <= {""}:
        utterances, how = assign(utterances, seed)
        facts = {"splits": {"method": how["method"]}, "dropped": how["dropped"]}
    else:
        if "" in given:
            lacking = next(u.id for u in utterances if not u.split)
            raise DataError(
                f"utterance {lacking}: it has no split, but others have: give all or none"
            )
        for split in ("train", "test"):
            if split not in given:
                raise DataError(f"no utterance has the split {split}: add some, or give no splits")
        method = "as given"
        if "valid" not in given:
            utterances = hold_out(utterances, seed)
            method += "; valid: a tenth of the speakers of train"
        facts = {"splits": {"method": method}}
    return utterances, {**facts, "overlap": overlap(utterances)}


def overlap(utterances: Iterable[Utterance]) -> dict[str, dict[str, int]]:
    """What the splits share, by pair: ``{"train-test": {"speakers": ..., ...}, ...}``.

    ``speakers`` and ``prompts`` stand in both splits of the pair; ``utterances`` is how many of the
    second one have such a speaker or such a prompt.
    """
    utterances = list(utterances)
    result = {}
    for one, other in combinations(SPLITS, 2):
        first, second = ([u for u in utterances if u.split == name] for name in (one, other))
        speakers = {u.speaker for u in first} & {u.speaker for u in second}
        prompts = {_prompt(u) for u in first} & {_prompt(u) for u in second}
        result[f"{one}-{other}"] = {
            "speakers": len(speakers),
            "prompts": len(prompts),
            "utterances": sum(u.speaker in speakers or _prompt(u) in prompts for u in second),
        }
    return result


def _prompt(utterance: Utterance) -> str:
    return normalize(utterance.meaning)


def _count(utterances: list[Utterance]) -> tuple[csr_array, dict[str, int], dict[str, int]]:
    """Utterances per speaker and prompt (S, P), and the row and column of each by name."""
    texts = [_prompt(utterance) for utterance in utterances]
    speakers = {name: i for i, name in enumerate(sorted({u.speaker for u in utterances}))}
    prompts = {text: i for i, text in enumerate(sorted(set(texts)))}
    cells = ([speakers[u.speaker] for u in utterances], [prompts[text] for text in texts])
    shape = (len(speakers), len(prompts))
    counts = csr_array((np.ones(len(utterances), dtype=int), cells), shape=shape)
    return counts, speakers, prompts


def _components(
    counts: csr_array, shares: dict[str, float], rng: random.Random
) -> tuple[list[str], list[str]] | None:
    """The split of each speaker and prompt if whole components fit the shares, else None.

    They fit if `test` and `valid` get at least half of their share and no more than all of it.
    """
    n_speakers, n_prompts = counts.shape
    speaker, prompt = counts.nonzero()
    size = n_speakers + n_prompts
    edges = csr_array((np.ones(len(speaker)), (speaker, prompt + n_speakers)), shape=(size, size))
    number, labels = connected_components(edges, directed=False)
    sizes = np.bincount(labels[:n_speakers], weights=counts.sum(axis=1), minlength=number)
    order = rng.sample(range(number), number)
    splits = ["train"] * number
    for split in HELD_OUT:
        wanted = shares[split] * sizes.sum()
        room = wanted
        for component in order:
            if splits[component] == "train" and sizes[component] <= room:
                splits[component] = split
                room -= sizes[component]
        if room > wanted / 2:
            return None
    by_node = [splits[label] for label in labels]
    return by_node[:n_speakers], by_node[n_speakers:]


def _speakers_then_prompts(
    counts: csr_array, shares: dict[str, float], rng: random.Random
) -> tuple[list[str], list[str]]:
    """The split of each speaker and of each prompt; see `assign`."""
    of_speaker = _draw_speakers(counts, shares, rng)
    # kept[split][prompt]: utterances that are kept if the prompt goes to the split
    kept = {
        split: counts[[i for i, own in enumerate(of_speaker) if own == split]].sum(axis=0)
        for split in ("train", "test", "valid")  # the first wins where two keep as many
    }
    order = rng.sample(range(counts.shape[1]), counts.shape[1])
    of_prompt = [max(kept, key=lambda split: kept[split][prompt]) for prompt in range(len(order))]
    for split in HELD_OUT:
        own = kept[split]
        missing = shares[split] * own.sum() - sum(
            own[prompt] for prompt in order if of_prompt[prompt] == split
        )
        # What it costs to move a prompt here, in utterances dropped per utterance gained
        movable = [prompt for prompt in order if own[prompt] and of_prompt[prompt] == "train"]
        for prompt in sorted(movable, key=lambda prompt: kept["train"][prompt] / own[prompt]):
            if missing <= 0:
                break
            of_prompt[prompt] = split
            missing -= own[prompt]
    return of_speaker, of_prompt


def _draw_speakers(
    counts: csr_array, shares: dict[str, float], rng: random.Random
) -> list[str]:
    """The split of each speaker: one is drawn, then those who share most of their prompts."""
    n_speakers = counts.shape[0]
    order = rng.sample(range(n_speakers), n_speakers)
    of_speaker = ["train"] * n_speakers
    for split in HELD_OUT:
        read = np.zeros(counts.shape[1], dtype=int)  # 1: by a speaker of this split
        for _ in range(max(1, round(shares[split] * n_speakers))):
            common = counts @ read / counts.sum(axis=1)
            free = [speaker for speaker in order if of_speaker[speaker] == "train"]
            chosen = max(free, key=lambda speaker: common[speaker])
            of_speaker[chosen] = split
            read[counts[[chosen]].nonzero()[1]] = 1
    return of_speaker
