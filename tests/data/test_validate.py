"""The validator: each planted fault is found once, where it is, and --fix repairs what it can."""

import json
import os
import subprocess
import sys
import unicodedata
from pathlib import Path

import kaldiio
import numpy as np
import pytest
import soundfile
import yaml

from l2dual.data.audio import format_audio
from l2dual.data.datadir import DataDir, read_table
from l2dual.data.findings import CHECKS, LEFT, Finding, markdown
from l2dual.data.frames import chain_of, encoder_frames
from l2dual.data.recording import decode
from l2dual.data.repair import repair
from l2dual.data.validate import Options, validate
from l2dual.errors import DataError
from l2dual.files import read_yaml

SECONDS = 2.0
TEXTS = ("나는 생각해요", "같이 가요", "학교에 가요", "i think so")


def make_directory(path, speakers=4, each=8, surface="annotated"):
    """A good data directory of noise: `s1-01`, ..., with every table that l2dual knows."""
    rng = np.random.default_rng(0)
    (path / "audio").mkdir(parents=True)
    tables = {name: [] for name in ("wav.scp", "text.meaning", "utt2spk", "utt2l1", "utt2dur")}
    spk2utt = []
    if surface != "none":
        tables |= {"text.surface": [], "text.canonical": []}
    for s in range(1, speakers + 1):
        for i in range(1, each + 1):
            utt, audio = f"s{s}-{i:02d}", path / f"audio/s{s}-{i:02d}.wav"
            soundfile.write(audio, 0.1 * rng.standard_normal(int(16000 * SECONDS)), 16000)
            text = TEXTS[i % len(TEXTS)]
            values = {"wav.scp": str(audio), "utt2spk": f"s{s}", "utt2l1": "eng"}
            values |= {"utt2dur": f"{SECONDS:.4f}", "text.meaning": text}
            values |= {"text.surface": text.replace("think", "sink"), "text.canonical": text}
            for name in tables:
                tables[name].append(f"{utt} {values[name]}\n")
        spk2utt.append(f"s{s} " + " ".join(f"s{s}-{i:02d}" for i in range(1, each + 1)) + "\n")
    for name, lines in (tables | {"spk2utt": spk2utt}).items():
        (path / name).write_text("".join(lines), encoding="utf-8")
    info = {"corpus": "c", "language": "ko", "convention": "heard", "surface": surface}
    info |= {"surface_unit": "char", "meaning_unit": "char"}
    (path / "corpus.yaml").write_text(yaml.safe_dump(info, sort_keys=False))
    return path


@pytest.fixture
def good(tmp_path):
    return make_directory(tmp_path / "train")


def edit(path, line, change):
    """Replace one line (from 1) of a file by ``change(line)``, bytes without the line's end."""
    lines = path.read_bytes().split(b"\n")
    lines[line - 1] = change(lines[line - 1])
    path.write_bytes(b"\n".join(lines))


def whole(path, change):
    path.write_bytes(change(path.read_bytes()))


def append(path, line):
    whole(path, lambda content: content + line.encode())


def remove(path, utt):
    whole(path, lambda c: b"".join(x for x in c.splitlines(True) if not x.startswith(utt.encode())))


def value(new):
    """Change a line's value."""
    new = new if isinstance(new, bytes) else new.encode()
    return lambda line: line.split(b" ")[0] + b" " + new


def record(path, seconds=SECONDS, rate=16000, channels=1):
    """Put another recording of noise in the place of one."""
    shape = (int(rate * seconds), channels)
    soundfile.write(path, 0.1 * np.random.default_rng(rate).standard_normal(shape), rate)


def truncate(path):
    whole(path, lambda content: content[: len(content) // 2])


def plant_segment(d):
    utts = [line.split()[0] for line in (d / "wav.scp").read_text().splitlines()]
    lines = (f"{utt} {'1.0 9.0' if utt == 's4-03' else 'unknown'}\n" for utt in utts)
    (d / "utt2segment").write_text("".join(lines))


def plant_order(d):
    lines = (d / "text.canonical").read_bytes().splitlines(True)
    lines[5], lines[6] = lines[6], lines[5]
    (d / "text.canonical").write_bytes(b"".join(lines))


def plant_id(d):
    for file in filter(Path.is_file, d.iterdir()):
        whole(file, lambda c: c.replace(b"s2-01 ", b"s2-0/1 "))


def plant_prefix(d):
    edit(d / "utt2spk", 10, value("x2"))
    edit(d / "spk2utt", 2, lambda line: line.replace(b" s2-02", b""))
    append(d / "spk2utt", "x2 s2-02\n")


def plant_path(d):
    (d / "audio/s2-08.wav").rename(d / "audio/s2  08.wav")
    edit(d / "wav.scp", 16, lambda line: line.replace(b"s2-08.wav", b"s2  08.wav"))


def plant_same_audio(d):
    (d / "audio/s3-05.wav").write_bytes((d / "audio/s1-01.wav").read_bytes())


def plant_short(d):
    record(d / "audio/s4-01.wav", 0.05)
    edit(d / "utt2dur", 25, value("0.0500"))


def plant_speed(d):
    record(d / "audio/s4-02.wav", 10.0)
    edit(d / "utt2dur", 26, value("10.0000"))
    edit(d / "text.meaning", 26, value("아"))


# check: how to plant it, and the file, line and utterance of its one finding
FAULTS = {
    "facts": (
        lambda d: edit(d / "corpus.yaml", 3, lambda _: b"convention: hard"),
        ("corpus.yaml", 3, None),
    ),
    "segment": (plant_segment, ("utt2segment", 27, "s4-03")),
    "encoding": (
        lambda d: edit(d / "text.surface", 2, value("가치".encode("cp949"))),
        ("text.surface", 2, "s1-02"),
    ),
    "bom": (lambda d: whole(d / "utt2spk", lambda c: b"\xef\xbb\xbf" + c), ("utt2spk", 1, None)),
    "blank": (lambda d: append(d / "utt2dur", "\n"), ("utt2dur", 33, None)),
    "control": (
        lambda d: edit(d / "text.meaning", 3, lambda line: line + "\u200b".encode()),
        ("text.meaning", 3, "s1-03"),
    ),
    "spaces": (
        lambda d: edit(d / "text.meaning", 4, lambda line: line + b"  a "),
        ("text.meaning", 4, "s1-04"),
    ),
    "nfc": (
        lambda d: edit(d / "text.surface", 5, value(unicodedata.normalize("NFD", "생각"))),
        ("text.surface", 5, "s1-05"),
    ),
    "order": (plant_order, ("text.canonical", 7, "s1-06")),
    "repeated": (lambda d: append(d / "utt2l1", "s4-08 eng\n"), ("utt2l1", 33, "s4-08")),
    "conflict": (
        lambda d: append(d / "text.surface", "s4-07 가\n"),
        ("text.surface", 33, "s4-07"),
    ),
    "id": (plant_id, ("wav.scp", 9, "s2-0/1")),
    "prefix": (plant_prefix, ("utt2spk", 10, "s2-02")),
    "missing": (lambda d: remove(d / "text.canonical", "s2-03"), ("text.canonical", None, "s2-03")),
    "fact": (lambda d: edit(d / "utt2l1", 12, value("")), ("utt2l1", None, "s2-04")),
    "line_ends": (
        lambda d: whole(d / "utt2l1", lambda c: c.replace(b"\n", b"\r\n")),
        ("utt2l1", 1, None),
    ),
    "speakers": (
        lambda d: edit(d / "spk2utt", 4, lambda line: line.replace(b" s4-08", b"")),
        ("spk2utt", 4, None),
    ),
    "empty": (lambda d: edit(d / "text.surface", 14, value("")), ("text.surface", 14, "s2-06")),
    "path": (plant_path, ("wav.scp", 16, "s2-08")),
    "audio": (lambda d: truncate(d / "audio/s3-01.wav"), ("wav.scp", 17, "s3-01")),
    "rate": (lambda d: record(d / "audio/s3-02.wav", rate=8000), ("wav.scp", 18, "s3-02")),
    "mixed_rates": (lambda d: record(d / "audio/s3-03.wav", rate=44100), ("wav.scp", 19, "s3-03")),
    "channels": (lambda d: record(d / "audio/s3-04.wav", channels=2), ("wav.scp", 20, "s3-04")),
    "same_audio": (plant_same_audio, ("wav.scp", 21, "s3-05")),
    "duration": (lambda d: edit(d / "utt2dur", 22, value("2.5")), ("utt2dur", 22, "s3-06")),
    "dense": (
        lambda d: edit(d / "text.surface", 23, value("가" * 40)),
        ("text.surface", 23, "s3-07"),
    ),
    "tokens": (
        lambda d: edit(d / "text.meaning", 24, value("나는 漢 가요")),
        ("text.meaning", 24, "s3-08"),
    ),
    "short": (plant_short, ("wav.scp", 25, "s4-01")),
    "speed": (plant_speed, ("text.meaning", 26, "s4-02")),
}
ALONE = {"table", "unexpected", "number", "link", "pipe"}  # these change too much to stand beside others


@pytest.fixture
def options(tmp_path):
    """Token lists as stage 5 writes them for jamo."""
    letters = sorted(set(unicodedata.normalize("NFD", "".join(TEXTS) + "가a")) - {" "})
    file = tmp_path / "tokens.txt"
    file.write_text("\n".join(["<blank>", "<unk>", "<space>", *letters, "<sos/eos>"]) + "\n")
    return Options(tokens={"surface": file, "meaning": file})


def places(findings):
    return {f.check: (f.file, f.line, f.utterance) for f in findings}


def expected(checks):
    return {check: FAULTS[check][1] for check in checks}


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


def test_fix_repairs_drops_and_keeps_a_copy(good, options):
    checks = [check for check in FAULTS if check != "facts"]
    for check in checks:
        FAULTS[check][0](good)
    before = {file.name: file.read_bytes() for file in good.iterdir() if file.is_file()}
    tokens = str(options.tokens["surface"])
    choices = ["--tokens", f"surface={tokens}", "--tokens", f"meaning={tokens}"]
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


def command(*arguments):
    line = [sys.executable, "-m", "l2dual", "validate", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True)


def test_command_line(good, tmp_path):
    done = command(good)
    assert done.returncode == 0 and done.stdout == f"{good}: 32 utterances: nothing found\n"
    FAULTS["path"][0](good)
    assert command(good).returncode == 0  # a warning
    FAULTS["empty"][0](good)
    done = command(good)
    lines = done.stdout.splitlines()
    assert done.returncode == 1 and lines[0].endswith("32 utterances: 1 error, 1 warning")
    assert lines[1].startswith("  1 error: empty: the utterance has no value: complete")
    assert lines[2].startswith("  1 warning: path: ")  # errors first
    where = f"  {good}/text.surface, line 14, utterance s2-06"
    assert lines[3:6] == ["", "empty (error):", where] and lines[7] == "path (warning):"
    done = command(good, good, "--format", "json")
    first, second = json.loads(done.stdout)
    assert done.returncode == 1 and first == second and first["utterances"] == 32
    assert [record["check"] for record in first["findings"]] == ["path", "empty"]
    assert first["findings"][1]["line"] == 14 and first["findings"][1]["severity"] == "error"
    failed = command(tmp_path / "nowhere")
    assert failed.returncode == 1 and "nowhere: no such directory" in failed.stderr
    failed = command(good, "--tokens", "surface=nowhere")
    assert failed.returncode == 1 and "nowhere: no readable token list" in failed.stderr


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


def test_frames_are_those_of_the_train_config(good, root):
    chain = chain_of(read_yaml(root / "conf/train/tiny.yaml"), 16000)
    most = encoder_frames(32000, 16000, chain)
    edit(good / "text.meaning", 3, value("ab" * (most // 2 + 1)))
    done = command(good, "--train_config", root / "conf/train/tiny.yaml")
    assert f"({most // 2 * 2 + 2} frames needed, {most} there)" in done.stdout
    failed = command(good, "--train_config", "conf/nowhere.yaml")
    assert failed.returncode == 1 and "nowhere.yaml: no such file" in failed.stderr


def test_a_report_is_a_summary_and_five_examples_of_a_kind(good):
    for line in range(1, 13):
        edit(good / "text.surface", line, value(""))
    done = subprocess.run(
        [sys.executable, "-m", "l2dual.bin.validate", good.parent / "nowhere", good, good],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and "nowhere: no such directory" in done.stderr
    assert done.stdout.count("12 errors: empty:") == 2  # each directory has its report
    assert done.stdout.count("utterance s1-") == 10 and done.stdout.count("and 7 more: --all") == 2
    every = command(good, "--all").stdout
    assert every.count("text.surface, line") == 12 and "more: --all" not in every
    done = command(good, "--fix")
    assert done.stdout.count("dropped: ") == 6 and "dropped: empty: and 7 more" in done.stdout


@pytest.mark.parametrize("encoding", ["euc-kr", "iso-8859-1", "ascii"])
def test_a_report_in_a_narrow_encoding(good, options, encoding):
    edit(good / "text.meaning", 24, value("나는 뷁 café 가요"))
    tokens = f"meaning={options.tokens['meaning']}"
    done = subprocess.run(
        [sys.executable, "-m", "l2dual", "validate", good, "--tokens", tokens],
        capture_output=True,
        env=os.environ | {"PYTHONIOENCODING": encoding},
    )
    assert done.returncode == 1 and b"utterance s3-08" in done.stdout and not done.stderr
    assert b"\\u0301" in done.stdout  # of é


def test_a_long_detail_keeps_its_ends(good):
    found = Finding("audio", "wav.scp", 1, "s1-01", "9" * 5000 + ": no such file")
    assert len(found.describe(good)) < 500 and "999: no such file): replace" in found.describe(good)


def test_what_a_directory_says_cannot_steer_the_terminal(good):
    edit(good / "utt2l1", 3, lambda line: b"s1-\x1b]0;x\x07\xff03 eng")
    assert "\x1b" not in command(good).stdout


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


def test_a_surface_that_corpus_yaml_denies(good):
    edit(good / "corpus.yaml", 4, lambda _: b"surface: none")
    _, found = validate(good)
    assert places(found) == {"unexpected": ("text.canonical", None, None)}
    assert [f.file for f in found] == ["text.surface", "text.canonical"]


def test_a_missing_utt2l1_is_one_finding_and_filled(good):
    (good / "utt2l1").unlink()
    directory, found = validate(good)
    assert places(found) == {"fact": ("utt2l1", None, None)} and len(found) == 1
    assert set(repair(directory, found)[0]["utt2l1"].values()) == {"unknown"}


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


def test_all_utterances_dropped_is_refused_and_nothing_written(good):
    whole(good / "text.surface", lambda c: b"".join(x.split()[0] + b"\n" for x in c.splitlines()))
    directory, found = validate(good)
    assert len(found) == 32
    with pytest.raises(DataError, match="no utterance is left"):
        repair(directory, found)


def test_a_table_in_another_encoding_names_every_line(good):
    whole(good / "text.meaning", lambda c: c.decode().encode("cp949"))
    _, found = validate(good)
    assert {f.check for f in found} == {"encoding"} and len(found) == 24  # the rest is ASCII


@pytest.mark.parametrize(
    "samples, problem",
    [
        (np.zeros(0), "no samples"),
        (np.zeros(1600), "nothing but zeros"),
        (np.full(1600, np.nan), "not finite numbers"),
    ],
)
def test_recordings_without_sound(tmp_path, samples, problem):
    soundfile.write(tmp_path / "a.wav", samples, 16000, subtype="FLOAT")
    assert problem in decode(str(tmp_path / "a.wav"))


@pytest.mark.parametrize("kind", ["wav", "flac", "ogg"])
def test_truncated_recordings(tmp_path, kind):
    record(tmp_path / f"a.{kind}")
    assert decode(str(tmp_path / f"a.{kind}")).frames == 32000
    truncate(tmp_path / f"a.{kind}")
    assert "truncated" in decode(str(tmp_path / f"a.{kind}"))
    assert decode("cat a.wav |").startswith("a pipe")


def test_a_wav_of_unknown_length_from_a_pipe_is_read(tmp_path):
    record(tmp_path / "a.wav")
    header = (tmp_path / "a.wav").read_bytes()
    place = header.index(b"data") + 4
    (tmp_path / "a.wav").write_bytes(header[:place] + b"\xff" * 4 + header[place + 4 :])
    assert decode(str(tmp_path / "a.wav")).frames == 32000


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


def test_the_page_has_every_check(root):
    assert markdown() in (root / "docs/validate.md").read_text(encoding="utf-8")
