"""Repair: what is safe is mended, what is not is dropped or refused, and a copy is kept."""

import unicodedata
from pathlib import Path

import pytest

from l2dual.data.datadir import DataDir
from l2dual.data.findings import CHECKS, LEFT
from l2dual.data.repair import repair
from l2dual.data.validate import validate
from l2dual.errors import DataError
from tests.data.faults import FAULTS, command, places, whole


@pytest.mark.slow
def test_fix_repairs_drops_and_keeps_a_copy(good, options):
    checks = [check for check in FAULTS if check != "facts"]
    for check in checks:
        FAULTS[check][0](good)
    before = {file.name: file.read_bytes() for file in good.iterdir() if file.is_file()}
    tokens = str(options.tokens["surface"])
    choices = ["--tokens", f"surface={tokens}", "--tokens", f"meaning={tokens}"]
    choices += ["--frames_per_second", "25"]
    done = command(good, "--fix", *choices)
    assert done.returncode == 0, done.stderr
    for check in checks:
        if CHECKS[check].fix != LEFT:
            file, line, utt = FAULTS[check][1]
            start = f"{CHECKS[check].fix}: {good / file}" + (f", line {line}" if line else "")
            start += f", utterance {utt}" if utt else ""
            assert f"{start}: {CHECKS[check].severity}: {CHECKS[check].problem}" in done.stdout
    backup = good.with_name("train.backup1")
    assert {file.name: file.read_bytes() for file in backup.iterdir()} == before
    left = {check for check in checks if CHECKS[check].fix == LEFT}
    _, found = validate(good, options)
    assert {f.check for f in found} == left and len(found) == len(left)
    again = command(good, "--fix", *choices)
    assert "nothing to repair" in again.stdout and not good.with_name("train.backup2").exists()
    data = DataDir.load(good)
    dropped = sum(CHECKS[check].fix == "dropped" for check in checks)
    assert len(data["wav.scp"]) == 32 - dropped
    assert data["utt2spk"]["x2-s2-02"] == "x2" and data["utt2l1"]["s2-04"] == "unknown"
    assert data["text.surface"]["s1-05"] == "생각" and data["utt2dur"]["s3-06"] == "2.0000"
    assert data["text.meaning"]["s1-04"].endswith(" a")


def test_a_new_name_is_not_that_of_another_utterance(good):
    for file in (good / name for name in ("wav.scp", "text.surface", "text.meaning")):
        whole(file, lambda c: c.replace(b"s1-02 ", b"02 "))
    for name in ("text.canonical", "utt2spk", "utt2l1", "utt2dur"):
        whole(good / name, lambda c: c.replace(b"s1-02 ", b"02 "))
    for file in filter(Path.is_file, good.iterdir()):
        whole(file, lambda c: c.replace(b"s1-03 ", b"s1-02 "))
    directory, found = validate(good)
    data, dropped = repair(directory, found)
    assert not dropped and len(data["wav.scp"]) == 32 and "02" in data["wav.scp"]


def test_a_name_that_can_not_be_repaired_is_left(good):
    for file in filter(Path.is_file, good.iterdir()):
        whole(file, lambda c: c.replace(b"s1-02 ", b"02 ").replace(b"s1-03 ", b"s1-02 "))
    assert command(good, "--fix").returncode == 0
    again = command(good, "--fix")
    assert "left, since no new name is free and valid" in again.stdout and "nothing to repair" in again.stdout
    assert not good.with_name("train.backup2").exists()


def test_ids_in_parts_are_written_whole(good):
    parts = unicodedata.normalize("NFD", "가")
    for file in filter(Path.is_file, good.iterdir()):
        name = parts if file.name == "wav.scp" else "가"
        whole(file, lambda c, name=name: c.replace(b"s1-02 ", f"s1-{name} ".encode()))
    directory, found = validate(good)
    data, dropped = repair(directory, found)
    assert not dropped and "s1-가" in data["wav.scp"] and "nfc" in {one.check for one in found}


def test_fix_leaves_alone_what_a_stage_made(good):
    FAULTS["empty"][0](good)
    stamp = good.parent.with_name(f".{good.parent.name}.stamp")
    stamp.write_text("x")
    try:
        done = command(good, "--fix")
    finally:
        stamp.unlink()
    assert done.returncode == 1 and "a stage made it" in done.stderr
    assert not good.with_name("train.backup1").exists()


@pytest.mark.parametrize(
    "fault, check, file",
    [
        (lambda d: (d / "text.meaning").unlink(), "table", "text.meaning"),
        (lambda d: (d / "wav.scp").unlink(), "table", "wav.scp"),
        (lambda d: (d / "text.surface").write_text(""), "table", "text.surface"),
        (lambda d: (d / "corpus.yaml").unlink(), "facts", "corpus.yaml"),
        (lambda d: (d / "corpus.yaml").write_text("a: [1"), "facts", "corpus.yaml"),
        (lambda d: (d / "corpus.yaml").write_text("just words"), "facts", "corpus.yaml"),
    ],
)
def test_what_only_the_user_can_mend_stops_a_repair(good, fault, check, file):
    fault(good)
    directory, found = validate(good)
    assert [(f.check, f.file) for f in found] == [(check, file)]
    with pytest.raises(DataError, match=file):
        repair(directory, found)


def test_a_missing_utt2l1_is_one_finding_and_filled(good):
    (good / "utt2l1").unlink()
    directory, found = validate(good)
    assert places(found) == {"fact": ("utt2l1", None, None)} and len(found) == 1
    assert set(repair(directory, found)[0]["utt2l1"].values()) == {"unknown"}


def test_all_utterances_dropped_is_refused_and_nothing_written(good):
    whole(good / "text.surface", lambda c: b"".join(x.split()[0] + b"\n" for x in c.splitlines()))
    directory, found = validate(good)
    assert len(found) == 32
    with pytest.raises(DataError, match="no utterance is left"):
        repair(directory, found)
