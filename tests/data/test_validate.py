"""The validator: each planted fault is found once, where it is."""

from pathlib import Path

import kaldiio
import numpy as np
import pytest
import soundfile

from l2dual.data.audio import format_audio
from l2dual.data.datadir import DataDir, read_table
from l2dual.data.findings import CHECKS
from l2dual.data.recording import decode
from l2dual.data.repair import repair
from l2dual.data.validate import Options, validate
from tests.data.faults import (
    ALONE,
    FAULTS,
    append,
    command,
    edit,
    expected,
    make_directory,
    places,
    remove,
    value,
    whole,
)


@pytest.mark.parametrize("surface", ["annotated", "none"])
def test_a_good_directory_has_no_finding(tmp_path, options, surface):
    path = make_directory(tmp_path / "x", surface=surface)
    directory, found = validate(path, options)
    assert found == []
    assert repair(directory, found)[0].tables == DataDir.load(path).tables


@pytest.mark.parametrize("check", FAULTS)
def test_one_fault_is_one_finding(good, options, check):
    FAULTS[check][0](good)
    _, found = validate(good, options)
    assert len(found) == 1 and places(found) == expected([check])
    assert "\n" not in found[0].describe(good)


def test_every_check_has_a_fault():
    assert set(FAULTS) | ALONE == set(CHECKS)


def test_all_faults_at_once_are_each_found_once(good, options):
    for plant, _ in FAULTS.values():
        plant(good)
    _, found = validate(good, options)
    assert len(FAULTS) >= 20 and len(found) == len(FAULTS)
    assert places(found) == expected(FAULTS)


def test_a_pipe_is_for_the_user_to_correct(good):
    edit(good / "wav.scp", 3, value(f"cat {good}/audio/s1-03.wav |"))
    before = (good / "wav.scp").read_bytes()
    [found] = validate(good)[1]
    assert (found.check, found.line, found.fix) == ("pipe", 3, "manual")
    done = command(good, "--fix")
    assert done.returncode == 1 and "run with --allow_pipes true" in done.stderr
    assert (good / "wav.scp").read_bytes() == before
    assert validate(good, Options(allow_pipes=True))[1] == []


def test_segments_are_checked_as_in_stage_3(good, tmp_path):
    samples, rate = soundfile.read(good / "audio/s1-03.wav")
    samples[rate // 2 : rate] = 0
    soundfile.write(good / "audio/s1-03.wav", samples, rate)
    parts = {"s1-01": "0 2.05", "s1-02": "1", "s1-03": "0.5 1.0", "s1-04": "2.0 2.05", "s1-05": "-1 1"}
    data = DataDir.load(good)
    data.tables["utt2segment"] = dict.fromkeys(data["wav.scp"], "unknown") | parts
    data.write(good)
    found = {f.utterance: f.detail for f in validate(good)[1] if f.check == "segment"}
    assert found.keys() == {"s1-02", "s1-03", "s1-04", "s1-05"} and "no sound" in found["s1-03"]
    data["utt2segment"]["s1-02"] = "0 1"  # stage 3 stops at what is no segment
    format_audio(data, tmp_path / "out", "flac", 16000, nj=1)
    left_out = read_table(tmp_path / "out/bad_audio")
    assert left_out.keys() == found.keys() - {"s1-02"} and "no sound" in left_out["s1-03"]


def test_a_surface_that_corpus_yaml_denies(good):
    edit(good / "corpus.yaml", 4, lambda _: b"surface: none")
    _, found = validate(good)
    assert places(found) == {"unexpected": ("text.canonical", None, None)}
    assert [f.file for f in found] == ["text.surface", "text.canonical"]


@pytest.mark.parametrize("name, line", [("text.meaning", 33), ("utt2l1", 33)])
def test_an_utterance_that_stands_in_one_table_is_one_finding(good, name, line):
    append(good / name, "s5-01 가\n")
    directory, found = validate(good)
    assert [(f.check, f.file, f.line, f.utterance) for f in found] == [
        ("missing", name, line, "s5-01")
    ]
    assert repair(directory, found)[0].tables == {
        name: {utt: row.value for utt, row in rows.items() if utt != "s5-01"}
        for name, rows in directory.tables.items()
    }


@pytest.mark.parametrize("name", ["wav.scp", "utt2spk", "utt2dur"])
def test_an_utterance_that_one_table_lacks_is_one_finding(good, name):
    (good / "spk2utt").unlink()
    remove(good / name, "s2-05")
    _, found = validate(good)
    assert places(found) == {"missing": (name, None, "s2-05")} and len(found) == 1


def test_a_speed_that_is_no_number(good):
    utts = DataDir.load(good)["wav.scp"]
    (good / "utt2speed").write_text("".join(f"{utt} 1.0\n" for utt in utts))
    edit(good / "utt2speed", 3, value("fast"))
    _, found = validate(good)
    assert places(found) == {"number": ("utt2speed", 3, "s1-03")}


def test_a_table_in_another_encoding_names_every_line(good):
    whole(good / "text.meaning", lambda c: c.decode().encode("cp949"))
    _, found = validate(good)
    assert {f.check for f in found} == {"encoding"} and len(found) == 24  # the rest is ASCII


def test_paths_with_spaces_reach_espnet(good, tmp_path):
    from espnet2.train.dataset import ESPnetDataset

    FAULTS["path"][0](good)
    dataset = ESPnetDataset([(str(good / "wav.scp"), "speech", "sound")])
    assert dataset["s2-08"][1]["speech"].shape == (32000,)
    ark, scp = str(tmp_path / "a b.ark"), str(tmp_path / "a b.scp")
    kaldiio.save_ark(ark, {"s2-08": np.ones(320, dtype=np.float32)}, scp=scp)
    dataset = ESPnetDataset([(scp, "speech", "kaldi_ark")])
    assert dataset["s2-08"][1]["speech"].shape == (320,)
    assert decode(scp_path := Path(scp).read_text().split(maxsplit=1)[1].strip()).frames == 320
    assert " " in scp_path
