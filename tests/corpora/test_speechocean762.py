import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from l2dual.corpora import Request
from l2dual.corpora.speechocean762 import prepare, pronounced, transcribe_word
from l2dual.errors import DataError

REQUEST = Request(language="en", convention="pronounced")
SENTENCE = {"accuracy": 8, "completeness": 10.0, "fluency": 9, "prosodic": 9, "total": 8}
SPEAKERS = {"train": ["0001", "0002", "0003", "0004"], "test": ["0100", "0101"]}


def word(text, phones, mispronunciations=(), insertions=()):
    phones = phones.split()
    entry = {"text": text, "phones": phones, "mispronunciations": list(mispronunciations)}
    entry |= {"accuracy": 9, "stress": 10, "total": 9, "phones-accuracy": [1.8] * len(phones)}
    if insertions:
        entry["insertions"] = list(insertions)
    return entry


def mark(index, canonical, said):
    return {"index": index, "canonical-phone": canonical, "pronounced-phone": said}


def insertion(index, phone):
    return {"index": index, "inserted-phone": phone, "raters": 2}


@pytest.fixture
def corpus(tmp_path):
    """A copy of the corpus in its layout: five utterances of each of six speakers."""
    db = tmp_path / "so 762"
    scores = {}
    for split, speakers in SPEAKERS.items():
        tables = {"text": [], "utt2spk": [], "wav.scp": []}
        tables["spk2age"] = [f"{speaker}\t{6 if speaker < '0003' else 20}" for speaker in speakers]
        tables["spk2gender"] = [f"{speaker}\t{'fm'[int(speaker) % 2]}" for speaker in speakers]
        for speaker in speakers:
            for number in range(5):
                utterance = f"{speaker}0{number}"
                name = f"WAVE/SPEAKER{speaker}/{utterance}.WAV"
                (db / name).parent.mkdir(parents=True, exist_ok=True)
                (db / name).with_suffix(".opus").touch()
                words = [word("THE", "DH AH0"), word("THEME", "TH IY1 M", [mark(0, "TH", "S")])]
                scores[utterance] = {"text": "THE THEME", "words": words, **SENTENCE}
                text = "THE  THEME" if number == 0 else f"PROMPT {number} OF {speaker}"
                tables["text"].append(f"{utterance}\t{text}")
                tables["utt2spk"].append(f"{utterance}\t{speaker}")
                tables["wav.scp"].append(f"{utterance}\t{name}")
        (db / split).mkdir()
        for file, lines in tables.items():
            (db / split / file).write_text("\n".join(lines) + "\n")
    (db / "resource").mkdir()
    write_scores(db, scores)
    return db


def write_scores(db, scores):
    (db / "resource" / "scores.json").write_text(json.dumps(scores))


def write_detail(db, utterances):
    """The five raters' marks, as the corpus's README shows them."""
    five = {name: [value] * 5 for name, value in SENTENCE.items()}
    marks = ["(TH) IY1 [L] M"] * 4 + ["TH {IY1} M"]
    words = [
        {"text": "THE", "ref-phones": "DH AH0", "phones": ["DH AH0"] * 5},
        {"text": "THEME", "ref-phones": "TH IY1 M", "phones": marks},
    ]
    words = [word | {name: [9.0] * 5 for name in ("accuracy", "stress", "total")} for word in words]
    detail = {utterance: {"text": "THE THEME", **five, "words": words} for utterance in utterances}
    (db / "resource" / "scores-detail.json").write_text(json.dumps(detail))


def read_scores(db):
    return json.loads((db / "resource" / "scores.json").read_text())


def by_split(utterances):
    return {
        split: [u for u in utterances if u.split == split] for split in ("train", "valid", "test")
    }


@pytest.mark.parametrize(
    "annotation, canonical, phones",
    [
        ("S", "TH", ["S"]),
        ("AH0", "IY", ["AH"]),
        ("<unk>", "TH", ["<err>"]),
        ("<DEL>", "TH", []),
        ("<del>", "TH", []),
        ("IH R", "ER", ["IH", "R"]),
        ("L*", "R", ["L"]),
        ("R*", "R", ["<err>"]),
        ("IY1", "IY", ["<err>"]),
        ("QQ", "R", ["<err>"]),
        ("", "R", ["<err>"]),
    ],
)
def test_annotated_phone(annotation, canonical, phones):
    assert pronounced(annotation, canonical) == phones


def test_word_with_every_kind_of_error():
    entry = word(
        "CONTROLLED",
        "K AH0 N T R OW1 L D",
        [mark(1, "AH", "AA"), mark(4, "R", "<unk>"), mark(6, "L", "<DEL>")],
        [insertion(0, "S"), insertion(4, "AH0"), insertion(8, "IH"), insertion(9, "D")],
    )
    canonical, surface = transcribe_word(entry)
    assert " ".join(canonical) == "K AH N T R OW L D"
    assert " ".join(surface) == "S K AA N T AH <err> OW D IH D"


def test_phones_may_be_one_string():
    entry = {"text": "WE", "phones": "W IY0", "mispronunciations": []}
    assert transcribe_word(entry) == (["W", "IY"], ["W", "IY"])


def test_utterance(corpus):
    utterances, _ = prepare(corpus, REQUEST)
    first = next(u for u in utterances if u.id == "0100-010000")
    assert (first.split, first.speaker, first.l1) == ("test", "0100", "mandarin")
    assert first.meaning == "the theme"
    assert first.canonical == "DH AH TH IY M"
    assert first.surface == "DH AH S IY M"
    assert first.audio == corpus / "WAVE/SPEAKER0100/010000.opus"
    assert {k: v for k, v in first.facts.items() if k != "scores"} == {
        "age": "20",
        "gender": "f",
        "group": "adult",
    }
    assert json.loads(first.facts["scores"]) == {
        **SENTENCE,
        "words": [9, 9],
        "word_stress": [10, 10],
        "word_total": [9, 9],
        "phones": [[1.8, 1.8], [1.8, 1.8, 1.8]],
    }
    groups = {u.speaker: u.facts["group"] for u in utterances}
    assert [groups[speaker] for speaker in ("0001", "0002", "0003")] == ["child", "child", "adult"]


def test_raters(corpus):
    write_detail(corpus, read_scores(corpus))
    utterances, _ = prepare(corpus, REQUEST)
    raters = json.loads(utterances[0].facts["raters"])
    assert raters["accuracy"] == [8] * 5 and raters["words"] == [[9.0] * 5] * 2
    assert raters["phones"][1] == ["(TH) IY1 [L] M"] * 4 + ["TH {IY1} M"]
    assert "\n" not in utterances[0].facts["raters"]
    write_detail(corpus, list(read_scores(corpus))[1:])
    with pytest.raises(DataError, match="scores-detail.json: 000100 is missing"):
        prepare(corpus, REQUEST)


def test_splits_share_neither_speakers_nor_prompts(corpus):
    utterances, info = prepare(corpus, REQUEST)
    splits = by_split(utterances)
    assert [u.id for u in utterances] == sorted(u.id for u in utterances)
    for field in ("speaker", "meaning"):
        values = [{getattr(u, field) for u in some} for some in splits.values()]
        assert sum(map(len, values)) == len(set.union(*values))
    # One speaker of four is held out; "the theme" is each speaker's first prompt, in test too.
    assert {name: len(some) for name, some in splits.items()} == {
        "train": 12,
        "valid": 4,
        "test": 10,
    }
    assert info["dropped_for_shared_prompts"] == {"valid": 1, "train": 3}
    assert {shared for pair in info["overlap"].values() for shared in pair.values()} == {0}


def test_seed_decides_the_split(corpus):
    requests = [replace(REQUEST, seed=seed) for seed in (1, 2, 3, 4, 5, 6)]
    held_out = {by_split(prepare(corpus, one)[0])["valid"][0].speaker for one in requests}
    assert len(held_out) > 1
    assert prepare(corpus, requests[2]) == prepare(corpus, requests[2])


def test_wav_is_preferred_as_named(corpus):
    wav = corpus / "WAVE/SPEAKER0100/010000.WAV"
    wav.touch()
    utterances, _ = prepare(corpus, REQUEST)
    assert next(u for u in utterances if u.id == "0100-010000").audio == wav


def break_path(db):
    shutil.rmtree(db)


def break_scores(db):
    (db / "resource" / "scores.json").unlink()


def break_json(db):
    (db / "resource" / "scores.json").write_text("{")


def break_entry(db):
    scores = read_scores(db)
    del scores["000103"]
    write_scores(db, scores)


def break_phones(db):
    scores = read_scores(db)
    del scores["000103"]["words"][1]["phones"]
    write_scores(db, scores)


def break_canonical(db):
    scores = read_scores(db)
    scores["000103"]["words"][1]["mispronunciations"] = [mark(0, "S", "T")]
    write_scores(db, scores)


def break_index(db):
    scores = read_scores(db)
    scores["000103"]["words"][1]["mispronunciations"] = [mark(3, "M", "N")]
    write_scores(db, scores)


def break_audio(db):
    (db / "WAVE/SPEAKER0001/000103.opus").unlink()


def break_speakers(db):
    path = db / "train" / "utt2spk"
    path.write_text(path.read_text().replace("000103\t0001\n", ""))


def break_table(db):
    (db / "test" / "text").unlink()


def break_line(db):
    (db / "test" / "text").write_text("010000\n")


def break_age(db):
    path = db / "test" / "spk2age"
    path.write_text(path.read_text().replace("0101\t20", "0101\tsix"))


def break_score(db):
    scores = read_scores(db)
    del scores["000103"]["fluency"]
    write_scores(db, scores)


@pytest.mark.parametrize(
    "spoil, message",
    [
        (break_table, "test/text: missing; --db"),
        (break_line, "test/text, line 1: no `<key> <value>`; --db must"),
        (break_age, "test/spk2age: speaker 0101: the age 'six' is not a number; correct"),
        (break_score, "scores.json: utterance 000103: 'fluency' is missing; get"),
        (break_path, "so 762: no such directory; give"),
        (break_scores, "scores.json: missing; --db"),
        (break_json, "scores.json: not JSON"),
        (break_entry, "scores.json: utterance 000103 of text is missing; get"),
        (break_phones, "utterance 000103, word THEME: 'phones' is missing; correct"),
        (break_canonical, "utterance 000103, word THEME: phone 0 is TH, its annotation says S;"),
        (break_index, "utterance 000103, word THEME: mispronunciation at 3, but it has 3 phones;"),
        (break_audio, "000103.WAV: the audio of utterance 000103 is missing"),
        (break_speakers, "utt2spk: 000103 is missing; get"),
    ],
)
def test_bad_input_is_one_line(corpus, spoil, message):
    spoil(corpus)
    with pytest.raises(DataError) as caught:
        prepare(corpus, REQUEST)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


# Of seed 1; egs2/l2_en/RESULTS.md has results on this split.
VALID = "0056 0145 0560 1203 2244 2380 2430 3046 5218 7551 9070 9609".split()
DROPPED = {"valid": 0, "train": 45}
REAL = Path(__file__).parents[3] / "shared" / "corpora" / "speechocean762"


@pytest.mark.skipif(not REAL.is_dir(), reason="no copy of the corpus beside the repository")
@pytest.mark.slow
def test_the_corpus_itself():
    utterances, info = prepare(REAL, REQUEST)
    splits = by_split(utterances)
    assert len(splits["test"]) == 1240
    assert len(splits["train"]) + len(splits["valid"]) == 2500 - sum(
        info["dropped_for_shared_prompts"].values()
    )
    assert info["dropped_for_shared_prompts"] == DROPPED
    assert sorted({u.speaker for u in splits["valid"]}) == VALID
    groups = {u.speaker: u.facts["group"] for u in utterances}
    assert sorted(groups.values()).count("child") == 89
    lines = {u.id: u for u in utterances}
    theme = lines["0001-000010113"]
    assert "TH IY M" in theme.canonical and "TH <err> M" in theme.surface
    phones = {phone for u in utterances for phone in u.surface.split()}
    assert len(phones) == 40 and "<err>" in phones
