"""Splits that share neither speakers nor prompts, and the overlap of those that do.

Two utterances share a prompt if their meanings are equal but for case, punctuation and spaces
(`l2dual.text.cleaning.prompt`).
"""

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from itertools import combinations

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from l2dual.corpora.common.edits import erring
from l2dual.data.datadir import MIN_CLUSTERS
from l2dual.data.utterance import SPLITS, Utterance
from l2dual.errors import DataError
from l2dual.text import cleaning

SHARE = 0.1  # of the speakers, in valid and in test
TRIES = 12  # sizes of a test set that has too few speakers with errors
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
    speaker and prompt lie in different splits is dropped. Where `test` has fewer than MIN_CLUSTERS
    speakers with errors, it gets more, up to a third of all.

    Args:
        utterances: their order and present splits do not matter.
        seed: of the choice of components or speakers.
        valid, test: shares, of the utterances (components) or of the speakers.

    Returns:
        The utterances that are kept, sorted by id, and how it was done: ``method``, and
        ``dropped`` with the number of utterances dropped and why.

    Raises:
        DataError: fewer than three speakers, or too few prompts to give each split one.
    """
    utterances = sorted(utterances, key=lambda utterance: utterance.id)
    number = len({utterance.speaker for utterance in utterances})
    if number < 3:
        raise DataError(
            f"{number} speaker(s), but train, valid and test need one each: "
            "add speakers, or give the splits yourself"
        )
    sizes = range(max(1, round(test * number)), number // 3 + 1)[:TRIES]
    best, reached = None, -1
    for size in sizes or [1]:
        shares = {"test": max(test, size / number), "valid": valid}
        found = _assign(utterances, seed, shares, test)
        enough = min(MIN_CLUSTERS, _testable(found[0]))
        if best is None or (enough, len(found[0])) > (reached, len(best[0])):
            best, reached = found, enough
        if size == sizes[0] and enough == MIN_CLUSTERS:
            break
    kept, method = best
    for split in SPLITS:
        if all(utterance.split != split for utterance in kept):
            prompts = len({prompt_of(utterance) for utterance in utterances})
            raise DataError(
                f"{number} speakers share {prompts} prompt(s): no utterance is left "
                f"for {split} when splits share no prompt; give the splits yourself"
            )
    dropped = len(utterances) - len(kept)
    why = "speaker and prompt in different splits"
    return kept, {"method": method, "dropped": {why: dropped} if dropped else {}}


def _testable(utterances: list[Utterance]) -> int:
    """How many speakers of `test` have errors; how many it has, where there is no surface."""
    test = [utterance for utterance in utterances if utterance.split == "test"]
    if all(utterance.surface is None for utterance in test):
        return len({utterance.speaker for utterance in test})
    return len(erring(test))


def _assign(
    utterances: list[Utterance], seed: int, shares: dict[str, float], prompts_of_test: float
) -> tuple[list[Utterance], str]:
    """The utterances that are kept, with their splits, and the method.

    ``shares`` of the speakers; of the prompts, `test` gets ``prompts_of_test``.
    """
    counts, speakers, prompts = _count(utterances)
    rng = random.Random(seed)
    choice = _components(counts, shares, rng)
    method = "whole groups of speakers and prompts"
    if choice is None:
        choice = _speakers_then_prompts(counts, shares, rng, shares | {"test": prompts_of_test})
        method = "speakers, then prompts"
    of_speaker, of_prompt = choice
    kept = [
        replace(utterance, split=of_speaker[speakers[utterance.speaker]])
        for utterance in utterances
        if of_speaker[speakers[utterance.speaker]] == of_prompt[prompts[prompt_of(utterance)]]
    ]
    return kept, method


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
            "add speakers, or name utterances of `valid`"
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
        gone = {u.id for u in own if prompt_of(u) in taken}
        dropped[split] = len(gone)
        utterances = [u for u in utterances if u.split != split or u.id not in gone]
        taken |= {prompt_of(u) for u in own}
    return utterances, {split: dropped[split] for split in ("valid", "train")}


def settle(utterances: Iterable[Utterance], seed: int) -> tuple[list[Utterance], dict]:
    """Keep the splits that the utterances have, or assign them where none has one ("").

    Where the splits given lack `valid`, a tenth of the speakers of `train` is held out. If all
    utterances are of `test`, the corpus is for testing systems trained on other data.

    Returns:
        The utterances and the facts ``splits`` (its ``method``), ``overlap`` and, where they were
        assigned, ``dropped``.

    Raises:
        DataError: some utterances have a split and some not, or `train` or `test` is empty.
    """
    utterances = list(utterances)
    given = Counter(utterance.split for utterance in utterances)
    if set(given) == {"test"}:
        facts = {"splits": {"method": "as given; test only"}}
    elif set(given) <= {""}:
        utterances, how = assign(utterances, seed)
        facts = {"splits": {"method": how["method"]}, "dropped": how["dropped"]}
    else:
        if "" in given:
            lacking = [u.id for u in utterances if not u.split]
            raise DataError(
                f"utterance {lacking[0]}: it has no split, but others have (of {given['']} "
                f"utterances of {len(utterances)}): give all or none"
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

    ``speakers`` and ``prompts`` are in both splits of the pair; ``utterances`` is how many of the
    second one have such a speaker or such a prompt.
    """
    utterances = list(utterances)
    result = {}
    for one, other in combinations(SPLITS, 2):
        first, second = ([u for u in utterances if u.split == name] for name in (one, other))
        speakers = {u.speaker for u in first} & {u.speaker for u in second}
        prompts = {prompt_of(u) for u in first} & {prompt_of(u) for u in second}
        result[f"{one}-{other}"] = {
            "speakers": len(speakers),
            "prompts": len(prompts),
            "utterances": sum(u.speaker in speakers or prompt_of(u) in prompts for u in second),
        }
    return result


def prompt_of(utterance: Utterance) -> str:
    """What an utterance's prompt is known by; of the canonical text where there is no meaning."""
    meaning = utterance.canonical if utterance.meaning is None else utterance.meaning
    return cleaning.prompt(meaning)


def _count(utterances: list[Utterance]) -> tuple[csr_array, dict[str, int], dict[str, int]]:
    """Utterances per speaker and prompt (S, P), and the row and column of each by name."""
    texts = [prompt_of(utterance) for utterance in utterances]
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
    counts: csr_array, shares: dict[str, float], rng: random.Random, of_prompts: dict[str, float]
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
        missing = of_prompts[split] * own.sum() - sum(
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
