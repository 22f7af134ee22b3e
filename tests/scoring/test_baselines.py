"""The table of baselines, by texts whose errors can be counted."""

import sys

import numpy as np
import pytest

from l2dual.bin import baselines
from l2dual.data.datadir import write_datadir, write_table
from l2dual.data.utterance import Utterance
from l2dual.scoring.agreement import error_rate


@pytest.fixture
def data(tmp_path):
    texts = "S IH NG K S OW", "think so", "TH IH NG K S OW"
    utterances = [
        Utterance(f"s{n}-1", "test", f"s{n}", tmp_path / "a.wav", *texts, l1="mandarin") for n in range(3)
    ]
    info = {"corpus": "x", "language": "en", "convention": "pronounced"}
    info |= {"surface_unit": "phone", "meaning_unit": "char"}
    write_datadir(tmp_path / "test", utterances, info)
    write_table(tmp_path / "text.meaning", {"s0-1": "think so", "s1-1": "think no", "s2-1": "think so"})
    write_table(tmp_path / "text.surface", {f"s{n}-1": "S IH NG K S OW" for n in range(3)})
    (tmp_path / "zero").mkdir()
    write_table(tmp_path / "zero/text.meaning", {"s1-1": "Sink so."})
    return tmp_path


def test_the_table(data, monkeypatch, capsys):
    words = ["baselines", "--data", data / "test", "--decode", data, "--zero_shot", data / "zero"]
    monkeypatch.setattr(sys, "argv", list(map(str, words)))
    baselines.main()
    rows = {row[1].strip(): row[2:4] for row in (line.split("|") for line in capsys.readouterr().out.splitlines())}
    assert {name: (int(n), rate.split()[0]) for name, (n, rate) in list(rows.items())[2:]} == {
        "meaning, WER": (3, "16.7"),
        "Whisper zero-shot, WER": (1, "50.0"),  # without capitals and full stops
        "meaning, the same utterances, WER": (1, "50.0"),
        "surface, PER": (3, "0.0"),
        "free ride: phones of the meaning, PER": (3, "22.2"),  # TH for S three times, and N for S
    }


def test_the_interval_of_an_error_rate():
    rng = np.random.default_rng(0)
    errors, sizes, speakers = rng.integers(0, 4, 60), rng.integers(4, 9, 60), np.repeat(np.arange(12), 5)
    found = error_rate(errors, sizes, speakers)
    drawn = [np.concatenate([np.flatnonzero(speakers == s) for s in rng.integers(0, 12, 12)]) for _ in range(2000)]
    assert found.value == errors.sum() / sizes.sum()
    values = [errors[draw].sum() / sizes[draw].sum() for draw in drawn]
    assert np.allclose(found.interval, np.percentile(values, [2.5, 97.5]), atol=0.01)
