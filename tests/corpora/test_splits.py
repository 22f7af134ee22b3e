import random
from dataclasses import replace
from pathlib import Path

import pytest

from l2dual.corpora.common.splits import assign, drop_shared_prompts, hold_out, overlap, settle
from l2dual.data.utterance import SPLITS, Utterance
from l2dual.errors import DataError


def make(cells, split=""):
    """An utterance for each (speaker, prompt) of ``cells``."""
    return [
        Utterance(f"{speaker}-{number:04d}", split, speaker, Path("a.wav"), None, prompt, None)
        for number, (speaker, prompt) in enumerate(cells)
    ]


def grid(n_speakers, n_prompts):
    """Everyone reads everything."""
    return make((f"s{i:02d}", f"prompt {j}") for i in range(n_speakers) for j in range(n_prompts))


def sizes(utterances):
    return {split: sum(u.split == split for u in utterances) for split in SPLITS}


def disjoint(utterances):
    return all(set(shared.values()) == {0} for shared in overlap(utterances).values())


def test_whole_groups_are_moved_and_nothing_is_lost():
    # Twenty classes of three, each with ten prompts of its own.
    cells = [(f"c{c:02d}s{s}", f"{c} {p}") for c in range(20) for s in range(3) for p in range(10)]
    kept, facts = assign(make(cells), seed=1)
    assert disjoint(kept)
    assert sizes(kept) == {"train": 480, "valid": 60, "test": 60}
    assert facts == {"method": "whole groups of speakers and prompts", "dropped": {}}


def test_everyone_reads_the_same_prompts():
    kept, facts = assign(grid(20, 50), seed=1)
    assert disjoint(kept)
    # A tenth of the prompts each and of the speakers for valid; six speakers for test.
    assert sizes(kept) == {"train": 12 * 40, "valid": 2 * 5, "test": 6 * 5}
    assert facts["dropped"] == {"speaker and prompt in different splits": 1000 - 520}


def test_a_few_common_prompts_cost_only_themselves():
    own = [(f"s{i:02d}", f"{i} {j}") for i in range(20) for j in range(9)]
    kept, facts = assign(make([*own, *((f"s{i:02d}", "hello") for i in range(20))]), seed=1)
    assert disjoint(kept)
    # "hello" stays with the 12 speakers of train.
    assert sizes(kept) == {"train": 120, "valid": 18, "test": 54}
    assert sum(facts["dropped"].values()) == 8


def test_speakers_of_one_prompt_list_stay_together():
    """Ten lists that one prompt links: whole lists are drawn, not speakers of many lists."""
    cells = [(f"l{k}s{s}", f"{k} {p}") for k in range(10) for s in range(4) for p in range(12)]
    cells += [(f"l{k}s{s}", "hello") for k in range(10) for s in range(4)]
    kept, facts = assign(make(cells), seed=1)
    assert disjoint(kept)
    assert sum(facts["dropped"].values()) == 12  # "hello" of the twelve held-out speakers
    assert {u.speaker[:2] for u in kept if u.split == "test"}.isdisjoint(
        u.speaker[:2] for u in kept if u.split != "test"
    )


def test_prompts_are_compared_normalized():
    cells = [(f"s{i}", "Hello  there" if i % 2 else "hello there") for i in range(9)]
    cells += [(f"s{i}", f"own {i}") for i in range(9)]
    kept, _ = assign(make(cells), seed=1)
    assert disjoint(kept)
    assert {u.split for u in kept if u.meaning.lower().startswith("hello")} == {"train"}


@pytest.mark.parametrize("forms", [("very good", "Very  good."), ("don't", "Don’t!"), ("1,000", "1000")])
def test_two_ways_to_write_a_sentence_are_one_prompt(forms):
    one, other = make([("a", forms[0])], "train"), make([("b", forms[1])], "test")
    assert overlap([*one, *other])["train-test"]["prompts"] == 1


@pytest.mark.parametrize("with_errors, expected", [(30, 6), (12, None), (3, None)])
def test_the_test_set_has_six_speakers_with_errors_where_there_are_as_many(with_errors, expected):
    """With their own prompts each; else as many as a third of the speakers gives."""
    utterances = [
        replace(u, surface="x" if int(u.speaker[1:]) < with_errors else "y", canonical="y")
        for u in make((f"s{i:02d}", f"{i} {j}") for i in range(30) for j in range(5))
    ]
    kept, facts = assign(utterances, seed=1)
    found = len({u.speaker for u in kept if u.split == "test" and u.surface == "x"})
    assert found == expected if expected else 0 < found < 7
    assert disjoint(kept) and facts["dropped"] == {}
    assert len({u.speaker for u in kept if u.split == "test"}) <= 10


def test_the_seed_decides_and_the_order_does_not():
    utterances = grid(12, 20)
    shuffled = random.Random(0).sample(utterances, len(utterances))
    marked = [replace(u, split="train") for u in shuffled]
    assert assign(utterances, 1) == assign(marked, 1)
    chosen = {
        frozenset(u.speaker for u in assign(utterances, seed)[0] if u.split == "test")
        for seed in range(6)
    }
    assert len(chosen) > 1


def test_shares_can_be_asked_for():
    kept, _ = assign(make((f"s{i}", f"{i} {j}") for i in range(10) for j in range(6)), 1, 0.2, 0.3)
    assert sizes(kept) == {"train": 30, "valid": 12, "test": 18}


@pytest.mark.parametrize("n_speakers, n_prompts", [(2, 9), (5, 2), (5, 1)])
def test_too_few(n_speakers, n_prompts):
    with pytest.raises(DataError, match="speaker.*give the splits yourself"):
        assign(grid(n_speakers, n_prompts), seed=1)


def test_three_speakers_and_three_prompts_suffice():
    kept, _ = assign(grid(3, 3), seed=1)
    assert sizes(kept) == {"train": 1, "valid": 1, "test": 1}


def test_hold_out():
    utterances = [*make((f"s{i:02d}", "a") for i in range(20)), *make([("t1", "b")], "test")]
    utterances = [replace(u, split=u.split or "train") for u in utterances]
    held_out = hold_out(utterances, seed=1)
    assert sizes(held_out) == {"train": 18, "valid": 2, "test": 1}
    assert hold_out(utterances[::-1], seed=1) == held_out[::-1]
    assert any(hold_out(utterances, seed=seed) != held_out for seed in (2, 3, 4))
    with pytest.raises(DataError, match="1 speaker.* in train"):
        hold_out(utterances[-2:], seed=1)


def test_overlap_and_its_removal():
    utterances = [
        *make([("a", "one"), ("a", "two"), ("b", "Three"), ("b", "four")], "train"),
        *make([("c", "one"), ("c", "five")], "valid"),
        *make([("b", "six"), ("d", "three"), ("d", "five"), ("d", "seven")], "test"),
    ]
    assert overlap(utterances) == {
        "train-valid": {"speakers": 0, "prompts": 1, "utterances": 1},
        "train-test": {"speakers": 1, "prompts": 1, "utterances": 2},
        "valid-test": {"speakers": 0, "prompts": 1, "utterances": 1},
    }
    utterances = [replace(u, id=f"{u.id}{u.split}") for u in utterances]
    kept, dropped = drop_shared_prompts(utterances)
    assert dropped == {"valid": 1, "train": 2}
    assert [u.meaning for u in kept if u.split == "train"] == ["two", "four"]


def test_settle_keeps_the_splits_given():
    utterances = [*make([("a", "x"), ("b", "y")], "train"), *make([("c", "x")], "test")]
    settled, facts = settle(utterances, seed=1)
    assert sizes(settled) == {"train": 1, "valid": 1, "test": 1}
    assert facts["splits"]["method"].startswith("as given; valid")
    assert sum(pair["prompts"] for pair in facts["overlap"].values()) == 1
    settled, facts = settle(grid(10, 10), seed=1)
    assert facts["dropped"] and disjoint(settled)


def test_a_corpus_for_testing_only():
    utterances = make([("a", "x"), ("b", "y")], "test")
    settled, facts = settle(utterances, seed=1)
    assert settled == utterances and facts["splits"] == {"method": "as given; test only"}


@pytest.mark.parametrize(
    "splits, message",
    [
        (("train", "", "test"), "utterance s01-0001: it has no split"),
        (("train", "train", "valid"), "no utterance has the split test"),
        (("test", "valid", "valid"), "no utterance has the split train"),
    ],
)
def test_settle_refuses(splits, message):
    utterances = [replace(u, split=s) for u, s in zip(grid(3, 1), splits, strict=True)]
    with pytest.raises(DataError, match=message):
        settle(utterances, seed=1)
