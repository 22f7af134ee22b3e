"""The filter of stage 4: what is dropped, and why."""

import pytest

from l2dual.datadir import DataDir
from l2dual.filter import filter_data

GOOD = {"text.surface": "i sink", "text.meaning": "i think", "utt2dur": "2.0"}
FAULTS = {
    "empty surface": ({"text.surface": ""}, "text.surface is empty"),
    "empty meaning": ({"text.meaning": ""}, "text.meaning is empty"),
    "very short": ({"utt2dur": "0.05"}, "shorter than 0.1 s"),
    "short": ({"utt2dur": "0.35"}, "shorter than 0.4 s"),
    "long": ({"utt2dur": "31"}, "longer than 20 s"),
    "dense": ({"text.meaning": "abcdefghij" * 6}, "text.meaning is too long"),
    "repeating": ({"text.surface": "a" * 26}, "text.surface is too long"),
}


@pytest.fixture
def data(tmp_path):
    utterances = {"good": GOOD} | {name: GOOD | change for name, (change, _) in FAULTS.items()}
    names = ("wav.scp", "text.surface", "text.meaning", "text.canonical", "utt2spk", "utt2dur")
    tables = {n: {u: fields.get(n, "x") for u, fields in utterances.items()} for n in names}
    return DataDir(tmp_path, tables, {"surface_unit": "char", "meaning_unit": "char"})


def test_each_fault_is_dropped_from_training_for_its_reason(data):
    kept, dropped = filter_data(data, True, 0.4, 20, 25)
    assert set(kept["text.surface"]) == {"good"}
    assert set(dropped) == set(FAULTS)
    for name, (_, reason) in FAULTS.items():
        assert dropped[name].startswith(reason)


def test_a_test_set_loses_only_what_cannot_be_scored(data):
    _, dropped = filter_data(data, False, 0.4, 20, 25)
    assert set(dropped) == {"empty surface", "empty meaning", "very short"}


def test_phones_are_counted_as_phones(data):
    data.tables["text.surface"]["good"] = "DH " * 30
    data.info["surface_unit"] = "phone"
    kept, _ = filter_data(data, True, 0.4, 20, 29.5)  # 30 phones and 29 repeats in 59 frames
    assert "good" in kept["wav.scp"]
    kept, _ = filter_data(data, True, 0.4, 20, 29.0)
    assert "good" not in kept["wav.scp"]
