import unicodedata
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l2dual.text.units import align, distance, normalize, pad, tokens, width


def test_normalize_joins_jamo_lowers_and_collapses_space():
    decomposed = unicodedata.normalize("NFD", "한국 사람")
    assert normalize(f"  {decomposed}\t A\u00a0B ") == "한국 사람 a b"
    assert normalize("İ") == normalize(normalize("İ"))


def test_tokens_of_each_unit():
    assert tokens("a b", "char") == ["a", " ", "b"]
    assert tokens("a b", "word") == tokens("a b", "phone") == ["a", "b"]
    assert tokens("", "char") == tokens("", "word") == []


def test_an_unknown_token_is_one_token_and_one_error():
    assert tokens("<unk> a<unk>", "char") == ["<unk>", " ", "a", "<unk>"]
    assert align("found", "fou<unk>d", "char") == [
        ("f", "f"), ("o", "o"), ("u", "u"), ("n", "<unk>"), ("d", "d")
    ]  # fmt: skip
    assert distance("found", "fou<unk>d", "char") == distance("found", "fou<unk>d", "word") == 1
    assert distance("n", "<unk>", "char") == distance("n", "<unk>", "phone") == 1
    assert tokens("a <b> <un", "char") == list("a <b> <un")


def test_align_marks_each_kind_of_edit():
    assert align("abc", "axc", "char") == [("a", "a"), ("b", "x"), ("c", "c")]
    assert align("ah b", "ah", "phone") == [("ah", "ah"), ("b", None)]
    assert align("", "ab", "char") == [(None, "a"), (None, "b")]
    assert align("", "", "char") == []
    assert align("ab", "bc", "char") == [("a", None), ("b", "b"), (None, "c")]  # keeps the b


@pytest.mark.parametrize(
    "one, other, unit, edits",
    [
        ("think", "sink", "char", 2),
        ("th ih ng k", "s ih ng k", "phone", 1),
        ("같이", "가치", "char", 2),
        ("a b", "", "char", 3),
        ("kitten", "sitting", "char", 3),
    ],
)
def test_distance(one, other, unit, edits):
    assert distance(one, other, unit) == distance(other, one, unit) == edits


def test_hangul_takes_two_columns():
    assert width("한a") == 3
    assert width("Ａ") == 2  # full width
    assert pad("한", 4) == "한  "


@given(st.text("abc", max_size=5), st.text("abc", max_size=5))
def test_an_alignment_has_the_fewest_edits_and_of_those_the_fewest_substitutions(one, other):
    pairs = align(one, other, "char")
    assert "".join(left or "" for left, _ in pairs) == one
    assert "".join(right or "" for _, right in pairs) == other
    edits = [pair for pair in pairs if pair[0] != pair[1]]
    substitutions = sum(None not in pair for pair in edits)
    assert (len(edits), substitutions) == fewest(one, other)


@cache
def fewest(one: str, other: str) -> tuple[int, int]:
    """Edits and substitutions of the best alignment, by trying all."""
    if not one or not other:
        return len(one) + len(other), 0
    if one[-1] == other[-1]:
        both = fewest(one[:-1], other[:-1])
    else:
        edits, substitutions = fewest(one[:-1], other[:-1])
        both = edits + 1, substitutions + 1
    gaps = [fewest(one[:-1], other), fewest(one, other[:-1])]
    return min(both, *((edits + 1, substitutions) for edits, substitutions in gaps))
