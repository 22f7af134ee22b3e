"""Token lists: every text comes back from its tokens."""

import pytest

from l2dual.data.tokens import build_tokenizer, tokens_to_text, unwritten, write_tokens
from l2dual.errors import DataError, UsageError

TEXTS = {
    "char": ["i sink so", "기무치 먹어요"],
    "jamo": ["기무치 먹어요", "닭이 i"],
    "word": ["i sink so", "i see"],
    "phn": ["AY S IH NG K <err>", "S OW"],
    "bpe": ["i sink so", "i think so too", "so i think it sank", "기무치 먹어요"],
}
LACKING = {  # a text, and what of it the list of TEXTS has not
    "char": ("i zink", "z"),
    "jamo": ("먼 i", "\u11ab"),
    "word": ("i zink", "zink"),
    "phn": ("AY Z", "Z"),
    "bpe": ("i zink", "z"),
}


@pytest.fixture(params=TEXTS)
def tokens(request, tmp_path):
    text = tmp_path / "text"
    lines = [f"utt{i} {line}\n" for i, line in enumerate(TEXTS[request.param])]
    text.write_text("".join(lines), encoding="utf-8")
    return request.param, write_tokens([text], request.param, tmp_path / "out", 40), tmp_path


def test_reserved_tokens_frame_the_list(tokens):
    kind, found, folder = tokens
    assert found[:2] == ["<blank>", "<unk>"] and found[-1] == "<sos/eos>"
    assert len(set(found)) == len(found)
    assert (folder / "out/tokens.txt").read_text(encoding="utf-8").splitlines() == found
    if kind == "phn":
        assert "<err>" in found


def test_a_text_comes_back_from_its_tokens(tokens):
    kind, found, folder = tokens
    model = str(folder / "out/bpe.model") if kind == "bpe" else None
    tokenizer = build_tokenizer(kind, model)
    for text in TEXTS[kind]:
        pieces = tokenizer.text2tokens(text)
        assert set(pieces) <= set(found)
        assert tokens_to_text(pieces, kind) == text


def test_what_a_list_can_not_write_is_named(tokens):
    kind, found, _ = tokens
    lacks, (text, lacking) = unwritten(found), LACKING[kind]
    assert lacks(text) == [lacking] and not any(map(lacks, TEXTS[kind]))


@pytest.mark.parametrize("letters, text, lacking", [("cat", "act", ""), ("cat", "cats", "s")])
def test_a_list_of_texts_of_one_word_is_one_of_letters(letters, text, lacking):
    assert unwritten(["<blank>", "<unk>", *letters, "<sos/eos>"])(text) == list(lacking)


@pytest.mark.parametrize(
    "kind, tokens",
    [
        ("char", ["a", "b", "<space>", "c", "<unk>", "d"]),
        ("jamo", ["a", "b", "<space>", "c", "<unk>", "d"]),
        ("bpe", ["▁ab", "▁c", "<unk>", "d"]),
        ("word", ["ab", "c<unk>d"]),
    ],
)
def test_an_unknown_token_is_written_as_one(kind, tokens):
    assert tokens_to_text(tokens, kind) == "ab c<unk>d"


def test_jamo_tell_onset_from_coda():
    assert build_tokenizer("jamo").text2tokens("각 a") == ["ᄀ", "ᅡ", "ᆨ", "<space>", "a"]


def test_one_list_for_both_outputs(tmp_path):
    for name, line in (("text.surface", "ab"), ("text.meaning", "bc")):
        (tmp_path / name).write_text(f"u {line}\n")
    texts = [tmp_path / "text.surface", tmp_path / "text.meaning"]
    assert write_tokens(texts, "char", tmp_path / "out")[2:-1] == ["b", "a", "c"]


def test_a_vocabulary_larger_than_the_text_allows_is_named(tmp_path):
    (tmp_path / "text").write_text("u i sink so\n")
    with pytest.raises(DataError, match="--nbpe 500 does not fit") as error:
        write_tokens([tmp_path / "text"], "bpe", tmp_path / "out", 500)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out/tokens.txt").exists()


def test_whispers_tokens_need_its_weights(tmp_path):
    (tmp_path / "text").write_text("u i sink so\n")
    with pytest.raises(UsageError, match="give a train_config with decoder: whisper"):
        write_tokens([tmp_path / "text"], "whisper", tmp_path / "out")
