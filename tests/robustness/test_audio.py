"""Hostile values of wav.scp at every place that reads recordings: one line each, nothing runs."""

import json
import os
import pickle
import struct
import sys
from functools import partial

import av
import kaldiio
import numpy as np
import pytest
import soundfile
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from l2dual.__main__ import main as l2dual_main
from l2dual.bin import collect_stats, format_audio
from l2dual.data.datadir import DataDir
from l2dual.data.recording import Recording, decode
from l2dual.data.speech import batches
from l2dual.errors import DataError, run
from l2dual.models import features
from l2dual.report.examples import embed_audio


class Payload:
    """What a pickle of a stranger may do when it is loaded."""

    def __reduce__(self):
        return os.system, ("touch canary",)


def pickled_array() -> bytes:
    """An entry that kaldiio writes and reads as NumPy's format, with objects in it."""
    content = b"\x93NUMPY\x01\x00" + struct.pack("<H", 54)
    content += b"{'descr': '|O', 'fortran_order': False, 'shape': (1,)}".ljust(54)
    content += pickle.dumps([Payload()])
    return b"NPY\x04" + struct.pack("<i", len(content)) + content


def flac_of(path, samples: int) -> None:
    """A FLAC file of half a second whose header claims ``samples``."""
    soundfile.write(path, np.linspace(-0.5, 0.5, 8000), 16000, format="FLAC", subtype="PCM_16")
    content = bytearray(path.read_bytes())
    content[21] = content[21] & 0xF0 | samples >> 32
    content[22:26] = (samples & 0xFFFFFFFF).to_bytes(4, "big")
    path.write_bytes(content)


HOSTILE = {
    "touch canary |": "a pipe",
    "touch canary|": "a pipe",
    "touch canary |:0": "a pipe",
    "touch canary |:0[0:1]": "a pipe",
    "| touch canary; echo x.ark:": "a pipe",
    "|touch canary": "a pipe",
    "touch canary; cat good.ark: |:0": "a pipe",
    "a.wav|": "a pipe",
    "$(touch canary).wav": "no such audio file",
    "`touch canary`": "no such audio file",
    "a.wav; touch canary": "no such audio file",
    "pickle.ark:0": "no vector or matrix of floats",
    "object.ark:0": "no vector or matrix of floats",
    "text.ark:0": "no vector or matrix of floats",
    "good.ark:3": "no vector or matrix of floats",
    "good.ark:x": "the offset in the ark is 'x', not a number",
    "good.ark:-1": "the offset in the ark is '-1', not a number",
    "good.ark:": "the offset in the ark is '', not a number",
    "good.ark:" + "9" * 5000: "not a number",
    "good.ark:99999999": "is after the end of the ark",
    "good.ark:2[0:2]": "no such audio file",
    "good.ark": "unreadable audio",
    "huge.ark:0": "the ark ends before its values do",
    "huge_matrix.ark:0": "the ark ends before its values do",
    "negative.ark:0": "a damaged ark",
    "short.ark:0": "truncated",
    "cut_wav.ark:0": "truncated: the ark ends within the WAV file",
    "huge.flac": "truncated: it claims 68719476735 samples",
    "playlist.m4a": "unreadable audio",
    "a.raw": "does not say its rate and format",
    "None": "no such audio file",
    "-": "no such audio file",
    "/dev/zero": "no such audio file",
    "folder": "no such audio file",
    "fifo": "no such audio file",
    "http://127.0.0.1:9/a.m4a": "no such audio file",
    "concat:a.wav|a.wav": "no such audio file",
    "n" * 5000: "no such audio file",
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where the hostile values find what they name; ``canary`` there means that one ran."""
    monkeypatch.chdir(tmp_path)
    wave = np.linspace(-0.5, 0.5, 8000, dtype=np.float32)
    soundfile.write("a.wav", wave, 16000)
    kaldiio.save_ark("good.ark", {"x": wave})
    flac_of(tmp_path / "huge.flac", 2**36 - 1)
    head = b"\0BFV \x04"
    files = {
        "pickle.ark": b"PKL" + pickle.dumps(Payload()),
        "object.ark": pickled_array(),
        "text.ark": b"[ 0.1 0.2 ]\n",
        "huge.ark": head + struct.pack("<i", 2**31 - 1) + bytes(64),
        "huge_matrix.ark": b"\0BFM \x04" + struct.pack("<ibi", 2**31 - 1, 4, 2**31 - 1) + bytes(64),
        "negative.ark": head + struct.pack("<i", -1) + bytes(64),
        "short.ark": head,
        "cut_wav.ark": (tmp_path / "a.wav").read_bytes()[:8000],
        "playlist.m4a": b"#EXTM3U\n#EXTINF:1,\na.wav\n#EXT-X-ENDLIST\n",
        "a.raw": bytes(32000),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "folder").mkdir()
    os.mkfifo("fifo")
    return tmp_path


def write_data(path, places, audio_format=None) -> DataDir:
    utts = {f"s-{number:02d}": place for number, place in enumerate(places)}
    tables = {name: dict.fromkeys(utts, "x") for name in ("text.surface", "text.meaning")}
    tables |= {"text.canonical": tables["text.surface"], "wav.scp": utts}
    tables |= {"utt2spk": dict.fromkeys(utts, "s"), "utt2l1": dict.fromkeys(utts, "x")}
    tables["utt2dur"] = dict.fromkeys(utts, "0.5")
    info = {"corpus": "c", "language": "en", "convention": "heard"}
    info |= {"surface_unit": "char", "meaning_unit": "char", "sampling_rate": 16000}
    info |= {"audio_format": audio_format} if audio_format else {}
    DataDir(path, tables, info).write(path)
    (path / "utts").write_text("".join(f"{utt}\n" for utt in sorted(utts)))
    return DataDir(path, tables, info)


def failing(main, monkeypatch, capsys, *arguments) -> str:
    """Run a command that must end with status 1 and no traceback; return what it prints."""
    monkeypatch.setattr(sys, "argv", ["l2dual", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        run(main)
    printed = "".join(capsys.readouterr())
    assert ended.value.code == 1 and "Traceback" not in printed
    assert not os.path.exists("canary")
    return printed


def test_validate_names_each(folder, monkeypatch, capsys):
    write_data(folder / "data", HOSTILE)
    printed = failing(l2dual_main, monkeypatch, capsys, "validate", "--format", "json", "data")
    findings = json.loads(printed)[0]["findings"]
    found = {f["utterance"]: f for f in findings if f["check"] in ("audio", "pipe")}
    assert len(found) == len(HOSTILE)
    for number, (place, why) in enumerate(HOSTILE.items()):
        finding = found[f"s-{number:02d}"]
        assert why in (finding["detail"] or finding["problem"]), place


@pytest.mark.parametrize("audio_format", ["flac", "ark"])
def test_stage_3_names_all_that_it_cant_find(folder, monkeypatch, capsys, audio_format):
    write_data(folder / "data", HOSTILE)
    arguments = ("--data", "data", "--out", "out.tmp", "--format", audio_format)
    printed = failing(format_audio.main, monkeypatch, capsys, *arguments)
    for place, why in HOSTILE.items():
        if why in ("a pipe", "no such audio file") or "offset" in why:
            lines = [x for x in printed.splitlines() if x.startswith(f"error: {place}: ")]
            assert len(lines) == 1 and why in lines[0]
    assert not (folder / "out.tmp").exists()


@pytest.mark.parametrize("audio_format", ["flac", "ark"])
def test_stage_3_leaves_out_what_it_cant_decode(folder, monkeypatch, capsys, audio_format):
    where = ("a pipe", "no such audio file")
    places = [p for p, why in HOSTILE.items() if why not in where and "offset" not in why]
    places = [place for place in places if len(place) < 99 and place != "good.ark:99999999"]
    write_data(folder / "data", [*places, "a.wav"])
    arguments = ["--data", "data", "--out", "out.tmp", "--format", audio_format]
    monkeypatch.setattr(sys, "argv", ["format_audio", *arguments])
    run(format_audio.main)
    printed = capsys.readouterr().err
    assert len(DataDir.load("out.tmp")["wav.scp"]) == 1
    for place in places:
        assert f"left out: {place}: " in printed and HOSTILE[place] in printed
    assert not os.path.exists("canary")


@pytest.mark.parametrize("audio_format", ["ark", "flac", "features"])
def test_decoding_and_caching_open_files_only(folder, audio_format):
    for place, why in HOSTILE.items():
        data = write_data(folder / "data", [place], audio_format)
        for read in (
            lambda data=data: list(batches(data, 2)),
            partial(features._cache, data, ["s-00"], 0, folder, "cpu"),
            partial(embed_audio, place, 16000),
        ):
            with pytest.raises(DataError) as error:
                read()
            assert why in str(error.value) and "\n" not in str(error.value)
        assert not os.path.exists("canary")


@pytest.mark.parametrize("audio_format", ["ark", "flac"])
@pytest.mark.parametrize("place", ["touch canary |", "pickle.ark:0", "| touch canary; echo x.ark:"])
def test_statistics_open_files_only(folder, root, monkeypatch, capsys, place, audio_format):
    for split in ("train", "valid"):
        write_data(folder / "data" / split, [place], audio_format)
    config = yaml.safe_load((root / "conf/train/tiny.yaml").read_text())
    (folder / "train.yaml").write_text(yaml.safe_dump(config | {"num_workers": 0}))
    arguments = ("--train_config", "train.yaml", "--data", "data", "--out", "stats")
    printed = failing(collect_stats.main, monkeypatch, capsys, *arguments)
    assert f"utterance s-00: {place}: {HOSTILE[place]}" in printed


KINDS = ("wav", "flac", "ogg", "mp3", "aiff", "w64", "m4a", "ark")
DAMAGE = st.tuples(st.integers(0, 5000), st.integers(0, 40), st.binary(max_size=20))


@pytest.fixture(scope="module")
def sound_files(tmp_path_factory):
    """The content of a good recording of a quarter of a second in each format."""
    folder = tmp_path_factory.mktemp("good")
    wave = 0.1 * np.random.default_rng(0).standard_normal(4000).astype(np.float32)
    for kind in KINDS[:-2]:
        soundfile.write(folder / f"a.{kind}", wave, 16000, format=kind.upper())
    kaldiio.save_ark(str(folder / "a.ark"), {"": wave})
    with av.open(str(folder / "a.m4a"), "w", format="mp4") as file:
        track = file.add_stream("aac", rate=16000)
        track.layout = "mono"
        frame = av.AudioFrame.from_ndarray(wave[None], format="fltp", layout="mono")
        frame.sample_rate, frame.pts = 16000, 0
        for packet in [*track.encode(frame), *track.encode(None)]:
            file.mux(packet)
    return {kind: (folder / f"a.{kind}").read_bytes() for kind in KINDS}


@example(kind="m4a", damages=[(2711, 0, b"\x00")])  # a track of an unknown codec
@settings(max_examples=300, suppress_health_check=list(HealthCheck))
@given(kind=st.sampled_from(KINDS), damages=st.lists(DAMAGE, max_size=4))
def test_a_damaged_file_is_read_or_refused(sound_files, tmp_path, kind, damages):
    content = sound_files[kind]
    for place, removed, new in damages:  # half of them hit the header
        place = place % len(content) if place % 2 else place % 128
        content = content[:place] + new + content[place + removed :]
    path = tmp_path / f"a.{kind}"
    path.write_bytes(content)
    found = decode(f"{path}:1" if kind == "ark" else str(path))
    if not damages:
        assert isinstance(found, Recording) and found.frames >= 4000
    elif isinstance(found, str):
        assert found and "\n" not in found
