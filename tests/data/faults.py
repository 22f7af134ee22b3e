"""A good data directory, and each fault that the validator can find."""

import unicodedata
from pathlib import Path

import numpy as np
import soundfile
import yaml

from tests.commands import python_m
from tests.recordings import cut

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
    "audio": (lambda d: cut(d / "audio/s3-01.wav"), ("wav.scp", 17, "s3-01")),
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


def command(*arguments):
    return python_m("l2dual", "validate", *arguments)


def places(findings):
    return {f.check: (f.file, f.line, f.utterance) for f in findings}


def expected(checks):
    return {check: FAULTS[check][1] for check in checks}
