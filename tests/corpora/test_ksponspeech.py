"""KsponSpeech: dual transcription, tags, the official split; on a fixture in its layout."""

import numpy as np
import pytest

from l2dual.corpora import Request
from l2dual.corpora.ksponspeech import prepare, read_dual
from l2dual.data.audio import format_audio
from l2dual.data.datadir import DataDir, write_datadir
from l2dual.errors import DataError
from tests.mac import check_a_copy_from_a_mac
from tests.recordings import samples_of

REQUEST = Request("ko", "heard")
LINES = {
    "train": {
        "KsponSpeech_01/KsponSpeech_0001/KsponSpeech_000001": "아/ 몬 소리야, 그건 또. b/",
        "KsponSpeech_01/KsponSpeech_0001/KsponSpeech_000002": "(70%)/(칠십 퍼센트) 확률이라니 n/",
        "KsponSpeech_05/KsponSpeech_0623/KsponSpeech_622000": "b/ u/",
        "KsponSpeech_05/KsponSpeech_0623/KsponSpeech_622001": "(내가/(내) 짖지 마",
    },
    "dev": {"KsponSpeech_05/KsponSpeech_0623/KsponSpeech_622545": "그럼 (20년)/(이십 년) 전+ 전처럼"},
    "eval_clean": {"KsponSpeech_eval/eval_clean/KsponSpeech_E00001": "어/ 일단은 억지로"},
    "eval_other": {"KsponSpeech_eval/eval_other/KsponSpeech_E03001": "o/ 그거* 뭐였지? l/"},
}


@pytest.fixture
def corpus(tmp_path):
    """One to four utterances of each official set; recordings of an odd number of bytes."""
    db = tmp_path / "한국어 음성"
    (db / "KsponSpeech_scripts").mkdir(parents=True)
    for name, lines in LINES.items():
        for path in lines:
            audio = db / f"{path}.pcm"
            audio.parent.mkdir(parents=True, exist_ok=True)
            audio.write_bytes(np.arange(1600, dtype="<i2").tobytes() + b"\x00")
            audio.with_suffix(".txt").write_text(lines[path], encoding="cp949")
        (db / "KsponSpeech_scripts" / f"{name}.trn").write_text(
            "".join(f"{path}.pcm :: {text}\n" for path, text in lines.items()), encoding="utf-8"
        )
    return db


@pytest.mark.parametrize(
    "text, meaning, surface",
    [
        ("b/ 아/ (뭐+ 뭔)/(모+ 몬) 소리야", "아 뭐 뭔 소리야", "아 모 몬 소리야"),
        ("(100%)/(백 프로)가 왜 안돼?", "100%가 왜 안돼", "백 프로가 왜 안돼"),
        ("(3.5)/(삼 점 오) (SRT)/ (에스알티)", "3.5 srt", "삼 점 오 에스알티"),
        ("n/소통하면 되잖아. l/", "소통하면 되잖아", "소통하면 되잖아"),
        ("어/ (1/3)/(삼 분의 일) 정도", "어 1/3 정도", "어 삼 분의 일 정도"),
        ("(2024.2.14)/(이월 십사일) 에 봐", "2024.2.14 에 봐", "이월 십사일 에 봐"),
        ("그게 (1,000원)/(천 원) 이래", "그게 1000원 이래", "그게 천 원 이래"),
        ("(1+1)/(원 플러스 원) 전+전처럼 어/몰라", "1 1 전 전처럼 어 몰라", "원 플러스 원 전 전처럼 어 몰라"),
        ("그거* 뭐 음/ 응/", "그거 뭐 음 응", "그거 뭐 음 응"),
        ("o/ u/ b/", "", ""),
    ],
)
def test_dual_transcription(text, meaning, surface):
    assert read_dual(text) == (meaning, surface)


@pytest.mark.parametrize("text", ["(내가/(내) 짖지", "(70%)(칠십 퍼센트)", "칠십) 퍼센트"])
def test_parentheses_without_a_pair_are_no_transcript(text):
    assert read_dual(text) is None


def test_official_split(corpus):
    utterances, info = prepare(corpus, REQUEST)
    assert [(u.id, u.split, u.facts["set"]) for u in utterances] == [
        ("KsponSpeech_000001-train", "train", "train"),
        ("KsponSpeech_000002-train", "train", "train"),
        ("KsponSpeech_622545-dev", "valid", "dev"),
        ("KsponSpeech_E00001-eval_clean", "test", "eval_clean"),
        ("KsponSpeech_E03001-eval_other", "test", "eval_other"),
    ]
    assert info["shared_prompts"] == {"train-valid": 0, "train-test": 0, "valid-test": 0}
    assert info["left_out"] == {"no words": 1, "malformed (spelling)/(pronunciation)": 1}


def test_a_copy_from_a_mac(corpus):
    check_a_copy_from_a_mac(prepare, corpus, REQUEST)


def test_utterance(corpus):
    second = prepare(corpus, REQUEST)[0][1]
    assert second.meaning == "70% 확률이라니"
    assert second.surface == second.canonical == "칠십 퍼센트 확률이라니"
    assert second.l1 == "korean" and second.speaker == "KsponSpeech_000002"
    assert len(samples_of(second.audio)) == 1600


def test_stages_1_and_3(corpus, tmp_path):
    utterances, info = prepare(corpus, REQUEST)
    write_datadir(tmp_path / "data", utterances, info)
    format_audio(DataDir.load(tmp_path / "data"), tmp_path / "flac", "flac", 16000, nj=1)
    formatted = DataDir.load(tmp_path / "flac")
    assert set(formatted["utt2dur"].values()) == {"0.1000"}
    assert formatted["utt2set"]["KsponSpeech_622545-dev"] == "dev"
    assert all(path.endswith(".flac") for path in formatted["wav.scp"].values())


def test_evaluation_folders_may_lie_at_the_top(corpus):
    (corpus / "KsponSpeech_eval/eval_clean").rename(corpus / "eval_clean")
    paths = [str(u.audio.relative_to(corpus)) for u in prepare(corpus, REQUEST)[0]]
    assert "eval_clean/KsponSpeech_E00001.pcm" in paths


def test_scripts_in_cp949(corpus):
    for script in (corpus / "KsponSpeech_scripts").iterdir():
        script.write_text(script.read_text(encoding="utf-8"), encoding="cp949")
    assert prepare(corpus, REQUEST)[0][0].meaning == "아 몬 소리야 그건 또"


def break_script(db):
    (db / "KsponSpeech_scripts/eval_other.trn").unlink()


def break_line(db):
    (db / "KsponSpeech_scripts/dev.trn").write_text("KsponSpeech_622545.pcm 그럼\n")


def break_audio(db):
    (db / "KsponSpeech_eval/eval_clean/KsponSpeech_E00001.pcm").unlink()


def break_encoding(db):
    (db / "KsponSpeech_scripts/train.trn").write_bytes(b"a.pcm :: \xff\xff\n")


@pytest.mark.parametrize(
    "spoil, message",
    [
        (break_script, "eval_other.trn: missing; --db must have KsponSpeech_scripts"),
        (break_line, "dev.trn, line 1: no `path :: text`; get"),
        (break_audio, "eval_clean.trn, line 1: "),
        (break_encoding, "train.trn: neither UTF-8 nor CP949; get"),
    ],
)
def test_bad_input_is_one_line(corpus, spoil, message):
    spoil(corpus)
    with pytest.raises(DataError) as caught:
        prepare(corpus, REQUEST)
    assert message in str(caught.value) and "\n" not in str(caught.value)
