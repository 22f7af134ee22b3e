"""The table of baselines, by texts whose errors can be counted."""

import json

import numpy as np
import pytest

from l2dual.bin import baselines
from l2dual.data.datadir import write_datadir, write_table
from l2dual.data.utterance import Utterance
from l2dual.errors import DataError
from l2dual.scoring.agreement import error_rates
from l2dual.text.lexicon import Lexicon

SAID = "S IH NG K S OW"


@pytest.fixture
def data(tmp_path):
    texts = SAID, "think so", "TH IH NG K S OW"
    utterances = [
        Utterance(f"s{n}-1", "test", f"s{n}", tmp_path / "a.wav", *texts, l1="mandarin") for n in range(3)
    ]
    info = {"corpus": "x", "language": "en", "convention": "pronounced"}
    info |= {"surface_unit": "phone", "meaning_unit": "char"}
    write_datadir(tmp_path / "test", utterances, info)
    return tmp_path


def decoded(data, run, **texts):
    folder = data / run / "decode/test"
    folder.mkdir(parents=True)
    for output, own in texts.items():
        write_table(folder / f"text.{output}", {f"s{n}-1": text for n, text in enumerate(own)})
    return folder


def call(monkeypatch, data, *words):
    out = data / "baselines.json"
    command = ["baselines", *words, "--data", data / "test", "--out", out]
    monkeypatch.setattr("sys.argv", list(map(str, command)))
    baselines.main()
    return {(row["system"], row["measure"]): row for row in json.loads(out.read_text())}


def test_whisper_on_another_test_set(data, monkeypatch):
    folder = decoded(data, "do.seed1", meaning=["think so"] * 3)
    write_table(data / "text.meaning", {"s9-1": "Sink so."})
    with pytest.raises(DataError, match="text.meaning: s9-1 is not in"):
        call(monkeypatch, data, folder, "--zero_shot", data / "text.meaning")


def test_the_table(data, monkeypatch, capsys):
    folders = [
        decoded(data, "do.seed1", meaning=["think so", "think no", "think so"], surface=[SAID] * 3),
        decoded(data, "do.seed2", meaning=["think so"] * 3, surface=[SAID, SAID, "S IH NG K S"]),
        decoded(data, "so_surface.seed1", surface=["S", SAID, SAID]),
    ]
    write_table(data / "text.meaning", {"s1-1": "Sink so."})
    rows = call(monkeypatch, data, *folders, "--zero_shot", data / "text.meaning")
    assert {name: (row["utterances"], row["seeds"], f"{100 * row['value']:.1f}") for name, row in rows.items()} == {
        (baselines.WHISPER, "meaning, WER"): (1, 1, "50.0"),  # without capitals and full stops
        ("do", "meaning, WER"): (3, 2, "8.3"),
        ("do", "meaning of Whisper's utterances, WER"): (1, 2, "25.0"),
        ("do", "surface, PER"): (3, 2, "2.8"),
        ("do", "phones of the meaning, PER"): (3, 2, "19.4"),  # TH for S three times, and once N for S
        ("do", "surface − phones of the meaning, PER"): (3, 2, "-16.7"),
        ("so_surface", "surface, PER"): (3, 1, "27.8"),
    }
    assert "| do | surface, PER | 3 | 2 | 2.8 |" in capsys.readouterr().out


def test_the_phones_of_a_meaning_are_those_of_the_runs_lexicon(data, monkeypatch):
    folder = decoded(data, "do.seed1", meaning=["think so"] * 3)
    Lexicon(words={"think": ("S", "IH", "NG", "K")}).save(data / "do.seed1")
    assert call(monkeypatch, data, folder)["do", "phones of the meaning, PER"]["value"] == 0.0


def test_a_test_set_without_a_surface_has_the_meaning_alone(data, monkeypatch):
    folder = decoded(data, "do.seed1", meaning=["think so"] * 3, surface=[SAID] * 3)
    facts = data / "test/corpus.yaml"
    facts.write_text(facts.read_text() + "surface: none\n")
    (data / "test/text.surface").unlink()
    assert [*call(monkeypatch, data, folder)] == [("do", "meaning, WER")]


def test_korean_has_characters(data, monkeypatch):
    facts = data / "test/corpus.yaml"
    facts.write_text(facts.read_text().replace("language: en", "language: ko") + "surface: none\n")
    write_table(data / "test/text.meaning", {f"s{n}-1": "안녕 하세요" for n in range(3)})
    folder = decoded(data, "so_meaning.seed1", meaning=["안녕 하세요", "안녕 하세오", "안녕하세요"])
    write_table(data / "text.meaning", {"s1-1": "안녕, 하세요!"})
    rows = call(monkeypatch, data, folder, "--zero_shot", data / "text.meaning")
    assert {name: f"{100 * row['value']:.1f}" for name, row in rows.items()} == {
        (baselines.WHISPER, "meaning, CER"): "0.0",
        ("so_meaning", "meaning, CER"): "11.1",  # 2 of 18
        ("so_meaning", "meaning of Whisper's utterances, CER"): "16.7",
    }


def test_nothing_is_decoded(data, monkeypatch):
    with pytest.raises(DataError, match="has no text.meaning and no text.surface: decode first"):
        call(monkeypatch, data, data / "do.seed1/decode/test")


def test_the_interval_of_an_error_rate():
    rng = np.random.default_rng(0)
    errors, sizes, speakers = rng.integers(0, 4, (2, 60)), rng.integers(4, 9, 60), np.repeat(np.arange(12), 5)
    found = error_rates(errors, sizes, speakers)
    drawn = [np.concatenate([np.flatnonzero(speakers == s) for s in rng.integers(0, 12, 12)]) for _ in range(2000)]
    assert found.value == pytest.approx(errors.mean(0).sum() / sizes.sum())
    values = [errors.mean(0)[draw].sum() / sizes[draw].sum() for draw in drawn]
    assert np.allclose(found.interval, np.percentile(values, [2.5, 97.5]), atol=0.01)
