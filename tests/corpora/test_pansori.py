"""Pansori TEDxKR: the layout, what is left out, the splits; and the corpus itself, if at hand."""

from collections import Counter
from pathlib import Path

import pytest

from l2dual.corpora import Request
from l2dual.corpora.pansori import prepare
from l2dual.data.utterance import SPLITS
from l2dual.errors import DataError
from l2dual.text.cleaning import plain
from tests.mac import check_a_copy_from_a_mac

REQUEST = Request("ko", "pronounced")
README = """### TEDxBusan: The true owner of land

- Speaker: 남기업
- Gender: {gender}
- Corpus Length: 6:43 (155 fragments)
- Place: Busan
- Year: 2012
- Reviewer:

---
"""
NAMES = "가나다라마바사아자차"


@pytest.fixture
def corpus(tmp_path):
    """A copy of the corpus in its layout: ten talks with three usable texts each."""
    db = tmp_path / "pansori tedxkr"
    for number, name in enumerate(NAMES):
        talk = f"64Ko{number}/lvI_-{number}"
        folder = db / "data" / talk
        folder.mkdir(parents=True)
        prefix = talk.replace("/", "-")
        texts = [
            f"{name}에 오신 분들에게, 질문 드리겠습니다.",
            f"{name} 땅은 누구의 것입니까?",
            f"{name} 또 있습니다",
            f"{number}년 전입니다",
            "DSLR이라고 부르는",
        ]
        lines = [f"{prefix}-{line:04d} {text}" for line, text in enumerate(texts, 1)]
        (folder / f"{prefix}.trans.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        (folder / "README.md").write_text(
            README.format(gender="M, F" if number == 0 else "F"), encoding="utf-8"
        )
        for line in range(1, 6):
            (folder / f"{prefix}-{line:04d}.flac").touch()
    (db / "data/64Ko3/lvI_-3/64Ko3-lvI_-3-0323.flac").touch()  # without text
    return db


def test_utterance(corpus):
    utterances, _ = prepare(corpus, REQUEST)
    first = next(u for u in utterances if u.id == "64Ko0-lvI_-0-0001")
    assert first.speaker == "64Ko0" and first.l1 == "korean"
    assert first.meaning == "가에 오신 분들에게 질문 드리겠습니다"
    assert first.surface is None and first.canonical is None
    assert first.audio == corpus / "data/64Ko0/lvI_-0/64Ko0-lvI_-0-0001.flac"
    assert first.facts == {"gender": "M, F", "location": "Busan", "year": "2012"}


def test_a_copy_from_a_mac(corpus):
    check_a_copy_from_a_mac(prepare, corpus, REQUEST)


def test_what_is_left_out_is_counted(corpus):
    utterances, info = prepare(corpus, REQUEST)
    assert info["left_out"] == {"digits or Latin letters in the text": 20, "no text": 1}
    assert info["talks"] == 10 and "CC BY-NC-ND 4.0" in info["licence"]
    assert len(utterances) == 30


def test_splits_share_neither_speakers_nor_prompts(corpus):
    utterances, _ = prepare(corpus, REQUEST)
    for field in ("speaker", "meaning"):
        values = [{getattr(u, field) for u in utterances if u.split == name} for name in SPLITS]
        assert all(values)
        assert sum(map(len, values)) == len(set.union(*values))


def test_seed_decides_the_split(corpus):
    def test_speakers(seed):
        utterances, _ = prepare(corpus, Request("ko", "heard", seed))
        return frozenset(u.speaker for u in utterances if u.split == "test")

    assert len({test_speakers(seed) for seed in range(6)}) > 1
    assert prepare(corpus, REQUEST) == prepare(corpus, REQUEST)


@pytest.mark.parametrize(
    "text, cleaned",
    [
        ("그래요?  네, “맞습니다”…\t네", "그래요 네 맞습니다 네"),
        ("\u1112\u1161\u11ab", "한"),
        ("I don’t 'think' so -- 3.5%!", "i don't think so 3.5%"),
        ("a_b. (c)/", "a b c"),
    ],
)
def test_plain(text, cleaned):
    assert plain(text) == cleaned


def test_a_talk_without_readme_has_no_facts(corpus):
    (corpus / "data/64Ko1/lvI_-1/README.md").unlink()
    utterances, _ = prepare(corpus, REQUEST)
    assert Counter(len(u.facts) for u in utterances) == {3: 27, 0: 3}


def break_audio(db):
    (db / "data/64Ko1/lvI_-1/64Ko1-lvI_-1-0002.flac").unlink()


def break_transcript(db):
    path = db / "data/64Ko1/lvI_-1/64Ko1-lvI_-1.trans.txt"
    text = path.read_text(encoding="utf-8").replace("64Ko1-lvI_-1-0002", "남기업-0002")
    path.write_text(text, encoding="utf-8")


def break_path(db):
    (db / "data").rename(db / "talks")


@pytest.mark.parametrize(
    "spoil, message",
    [
        (break_audio, "0002.flac: missing, but its text is line 2 of 64Ko1-lvI_-1.trans.txt; get"),
        (break_transcript, "trans.txt, line 2: '남기업-0002' is not an utterance of 64Ko1, talk lvI_-1;"),
        (break_path, "pansori tedxkr: no data/SPEAKER/TALK/*.trans.txt; give"),
    ],
)
def test_bad_input_is_one_line(corpus, spoil, message):
    spoil(corpus)
    with pytest.raises(DataError) as caught:
        prepare(corpus, REQUEST)
    assert message in str(caught.value) and "\n" not in str(caught.value)


REAL = Path(__file__).parents[3] / "shared" / "corpora" / "pansori-tedxkr"


@pytest.mark.skipif(not REAL.is_dir(), reason="no copy of the corpus beside the repository")
def test_the_corpus_itself():
    """The copy at hand has 21 of the 41 talks."""
    utterances, info = prepare(REAL, REQUEST)
    assert info["talks"] == 21 == len({u.speaker for u in utterances})
    assert info["left_out"] == {"digits or Latin letters in the text": 127, "no text": 1}
    assert {name for u in utterances for name in u.facts} == {"gender", "location", "year"}
    speakers = {name: {u.speaker for u in utterances if u.split == name} for name in SPLITS}
    assert all(speakers.values()) and len(speakers["test"]) >= 5
    assert sum(map(len, speakers.values())) == 21
    assert not any(sum(pair.values()) for pair in info["overlap"].values())
