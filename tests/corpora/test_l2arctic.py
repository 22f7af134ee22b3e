from dataclasses import replace

import numpy as np
import pytest
import soundfile
from praatio.utilities.constants import Interval

from l2dual.corpora import Request, l2arctic
from l2dual.corpora.l2arctic import prepare, transcribe
from l2dual.data.datadir import DataDir, write_datadir
from l2dual.errors import DataError
from tests.mac import check_a_copy_from_a_mac

REQUEST = Request(language="en", convention="pronounced")
# One speaker of each split, and one who is in no spontaneous recording.
COPY = ("ABA", "YBAA", "ZHAA", "SKA")


def item(number, name, intervals, end):
    lines = [
        f"    item [{number}]:",
        '        class = "IntervalTier" ',
        f'        name = "{name}" ',
        "        xmin = 0 ",
        f"        xmax = {end} ",
        f"        intervals: size = {len(intervals)} ",
    ]
    for index, (start, stop, label) in enumerate(intervals, 1):
        lines += [
            f"        intervals [{index}]:",
            f"            xmin = {start} ",
            f"            xmax = {stop} ",
            f'            text = "{label}" ',
        ]
    return lines


def write_grid(path, words, phones, comments=None):
    """A TextGrid in Praat's long text format; tiers of (start, end, label) in seconds."""
    end = max(words[-1][1], phones[-1][1])
    tiers = [("words", words), ("phones", phones)]
    tiers += [("IPA", comments)] if comments else []
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0 "]
    lines += [f"xmax = {end} ", "tiers? <exists> ", f"size = {len(tiers)} ", "item []: "]
    for number, (name, intervals) in enumerate(tiers, 1):
        lines += item(number, name, intervals, end)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def evenly(labels, start=0.0, step=0.1):
    """One interval after another."""
    return [
        (round(start + i * step, 3), round(start + (i + 1) * step, 3), label)
        for i, label in enumerate(labels)
    ]


def write_wav(path, seconds):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.zeros(int(seconds * 44100)), 44100)


THINK = ["", "AY1", "TH,S,s", "IH1", "NG", "K", "sil,AH,a", "S", "OW1,AO*,s", ""]
STORY_WORDS = [
    (0.0, 0.3, ""),
    (0.3, 0.5, "the"),
    (0.5, 0.8, "man"),
    (0.8, 1.1, "sil"),  # a short pause: the utterance goes on
    (1.1, 1.4, "walked"),
    (1.4, 2.0, ""),  # a long one: it ends
    (2.0, 2.4, "um"),
    (2.4, 3.0, ""),
    (3.0, 3.4, "<unk>"),
]
STORY_PHONES = [
    (0.3, 0.4, "DH,D,s"),
    (0.4, 0.5, "AH0"),
    (0.5, 0.6, "M"),
    (0.6, 0.7, "AE1"),
    (0.7, 0.8, "N"),
    (0.8, 1.1, "sil"),
    (1.1, 1.2, "W"),
    (1.2, 1.3, "AO1"),
    (1.3, 1.35, "K"),
    (1.35, 1.4, "T,sil,d"),
    (1.45, 1.55, "sil,AH,a"),  # behind the last word, before the middle of the pause
    (2.0, 2.2, "AH1"),
    (2.2, 2.4, "M"),
    (3.0, 3.4, "spn"),
]


@pytest.fixture
def corpus(tmp_path):
    """Four speakers with two annotated prompts and one that is not; two of them tell the story."""
    db = tmp_path / "l2arctic_release_v5.0"
    texts = {"arctic_a0001": "I think so.", "arctic_a0002": "Don't, he said", "arctic_b0003": "No"}
    for speaker in COPY:
        for name, text in texts.items():
            write_wav(db / speaker / "wav" / f"{name}.wav", 1.0)
            (db / speaker / "transcript").mkdir(exist_ok=True)
            (db / speaker / "transcript" / f"{name}.txt").write_text(text)
        grids = db / speaker / "annotation"
        words = [(0.0, 0.2, ""), (0.2, 1.0, "i")]
        comments = [(0.0, 1.0, 'a ""far"" front vowel,\noʊ, ə, ')]
        write_grid(grids / "arctic_a0001.TextGrid", words, evenly(THINK), comments)
        write_grid(grids / "arctic_a0002.TextGrid", words, evenly(["D", "OW1", "N,sil,d", "T"]))
    for speaker in ("aba", "zhaa"):  # the suitcase files are named in lower case
        write_wav(db / "suitcase_corpus" / "wav" / f"{speaker}.wav", 3.4)
        grid = db / "suitcase_corpus" / "annotation" / f"{speaker}.TextGrid"
        write_grid(grid, STORY_WORDS, STORY_PHONES)
    return db


@pytest.mark.parametrize(
    "label, canonical, surface",
    [
        ("TH", "TH", "TH"),
        ("AH0", "AH", "AH"),
        ("ax", "AH", "AH"),
        ("AH,AO*,s", "AH", "AO"),
        ("AH0,AH*,s", "AH", "<err>"),
        ("TH,err,s", "TH", "<err>"),
        ("TH,ERR*,s", "TH", "<err>"),
        ("T,sil,d", "T", ""),
        ("T, SIL ,d", "T", ""),
        ("sil,AH,a", "", "AH"),
        ("sp,err,a", "", "<err>"),
        (" er0 , eh ,s", "ER", "EH"),
        ("ER,EH R,s", "ER", "EH R"),
        ("V,V``,s", "V", "<err>"),
        ("W,V`,s", "W", "V"),
        ("AH,ER),s", "AH", "ER"),
        ("IH,IY_,s", "IH", "IY"),
        ("IH,IY,", "IH", "IY"),
        ("IH,IY", "IH", "IY"),
        ("IH,?,s", "IH", "<err>"),
        ("sil", "", ""),
        ("sp", "", ""),
    ],
)
def test_tags(label, canonical, surface):
    due, said = transcribe([Interval(0.0, 0.1, "K"), Interval(0.1, 0.2, label)])
    assert " ".join(due) == f"K {canonical}".strip()
    assert " ".join(said) == f"K {surface}".strip()


@pytest.mark.parametrize("label", ["spn", "err", "?,AO,s", "AH AO"])
def test_tags_without_a_canonical_phone(label):
    with pytest.raises(l2arctic.Unannotated, match="at 0.50 s: no canonical phone"):
        transcribe([Interval(0.0, 0.1, "K"), Interval(0.5, 0.6, label)])


def test_read_speech(corpus):
    utterances, info = prepare(corpus, REQUEST)
    lines = {u.id: u for u in utterances}
    first = lines["ABA-arctic_a0001"]
    assert (first.split, first.l1, first.segment) == ("train", "arabic", None)
    assert first.facts == {"gender": "m", "style": "read"}
    assert first.meaning == "i think so" and lines["ABA-arctic_a0002"].meaning == "don't he said"
    assert first.canonical == "AY TH IH NG K S OW"
    assert first.surface == "AY S IH NG K AH S AO"
    assert first.audio == corpus / "ABA" / "wav" / "arctic_a0001.wav"
    assert {u.speaker: u.split for u in utterances} == {
        "ABA": "train",
        "SKA": "train",
        "YBAA": "valid",
        "ZHAA": "test",
    }
    assert info["left_out"] == {"not annotated": 4, "unusable annotation": 2}
    assert info["overlap"]["train-test"] == {"speakers": 0, "prompts": 4, "utterances": 4}


def test_spontaneous_speech_is_cut_at_pauses(corpus):
    utterances, info = prepare(corpus, REQUEST)
    story = {u.id: u for u in utterances if u.facts["style"] == "spontaneous"}
    assert sorted(story) == [f"{s}-suitcase-00{n}" for s in ("ABA", "ZHAA") for n in (1, 2)]
    first, second = story["ABA-suitcase-001"], story["ABA-suitcase-002"]
    assert first.meaning == "the man walked" and second.meaning == "um"
    assert first.canonical == "DH AH M AE N W AO K T"
    assert first.surface == "D AH M AE N W AO K AH"
    assert first.segment == pytest.approx((0.2, 1.5))
    assert second.segment == pytest.approx((1.9, 2.5))
    assert first.audio.name == "aba.wav" and story["ZHAA-suitcase-001"].split == "test"
    assert info["styles"] == {"read": 8, "spontaneous": 4}
    assert info["unusable_annotations"] == [
        f"{speaker}-suitcase-003: the word at 3.00 s is <unk>" for speaker in ("ABA", "ZHAA")
    ]


def test_data_directories_can_be_written(corpus, tmp_path):
    utterances, info = prepare(corpus, REQUEST)
    for split in ("train", "valid", "test"):
        some = [u for u in utterances if u.split == split]
        write_datadir(tmp_path / "data" / split, some, info)
    data = DataDir.load(tmp_path / "data" / "test")
    assert data["utt2style"]["ZHAA-suitcase-002"] == "spontaneous"
    assert len(data["text.surface"]) == 4


def test_a_copy_from_a_mac(corpus):
    check_a_copy_from_a_mac(prepare, corpus, REQUEST)


def test_archives_unzipped_into_folders_of_their_name(corpus):
    before = prepare(corpus, REQUEST)[0]
    for name in ("ABA", "suitcase_corpus"):
        (corpus / name).rename(corpus / "moved")
        (corpus / name).mkdir()
        (corpus / "moved").rename(corpus / name / name)
    after = prepare(corpus, REQUEST)[0]
    assert [replace(u, audio=None) for u in after] == [replace(u, audio=None) for u in before]


def test_unusable_annotations_are_left_out_and_named(corpus):
    overlapping = corpus / "ABA" / "annotation" / "arctic_a0001.TextGrid"
    write_grid(overlapping, [(0.0, 1.0, "i")], [(0.0, 0.5, "AY1"), (0.4, 0.6, "TH")])
    (corpus / "SKA" / "annotation" / "arctic_a0001.TextGrid").write_text("not a grid")
    write_grid(
        corpus / "YBAA" / "annotation" / "arctic_a0001.TextGrid",
        [(0.0, 1.0, "i")],
        [(0.0, 1.0, "")],
    )
    utterances, info = prepare(corpus, REQUEST)
    kept = {u.id for u in utterances}
    reasons = info["unusable_annotations"]
    for speaker, reason in (("ABA", "overlap"), ("SKA", "not a TextGrid"), ("YBAA", "silence")):
        assert f"{speaker}-arctic_a0001" not in kept
        line = next(one for one in reasons if one.startswith(f"{speaker}/arctic_a0001.TextGrid"))
        assert reason in line and "\n" not in line


def test_published_speakers():
    speakers = l2arctic.SPEAKERS
    assert len(speakers) == 24
    assert sorted(gender for gender, _ in speakers.values()) == ["f"] * 12 + ["m"] * 12
    for some in (l2arctic.TEST, l2arctic.VALID):
        assert len({speakers[name][1] for name in some}) == len(some) == 6


@pytest.mark.parametrize(
    "spoil, message",
    [
        ("ABA/wav/arctic_a0001.wav", "arctic_a0001.wav: missing, but"),
        ("ABA/transcript/arctic_a0002.txt", "arctic_a0002.txt: missing, but"),
        ("suitcase_corpus/wav/aba.wav", "aba.TextGrid: no audio of a known speaker"),
    ],
)
def test_missing_file(corpus, spoil, message):
    (corpus / spoil).unlink()
    with pytest.raises(DataError, match=message):
        prepare(corpus, REQUEST)


def test_no_corpus(tmp_path):
    with pytest.raises(DataError, match="no directory of a speaker"):
        prepare(tmp_path, REQUEST)
