"""Audio: formats agree, speed and rate are as asked, bad files are named."""

from copy import deepcopy

import numpy as np
import pytest
import soundfile

from l2dual.data import recording
from l2dual.data.audio import BAD_AUDIO, describe, format_audio, write_audio
from l2dual.data.datadir import UNKNOWN, DataDir, read_table
from l2dual.data.filter import filter_data
from l2dual.data.repair import repair
from l2dual.data.speech import batches
from l2dual.data.speed import perturb_speed
from l2dual.data.validate import validate
from l2dual.errors import DataError
from tests.commands import python_m
from tests.recordings import RATE, cut, film, noise, pcm, samples_of, tone


@pytest.fixture
def data(tmp_path):
    """Three recordings: 16-bit WAV, stereo at 44.1 kHz, and FLAC as wanted; a space in the path."""
    folder = tmp_path / "my audio"
    folder.mkdir()
    soundfile.write(folder / "a.wav", tone(1.0), RATE)
    soundfile.write(folder / "b.wav", np.stack([tone(0.5, 44100)] * 2, axis=1), 44100)
    soundfile.write(folder / "c.flac", tone(0.7), RATE, subtype="PCM_16")
    paths = {f"s-{name[0]}": str(folder / name) for name in ("a.wav", "b.wav", "c.flac")}
    tables = {name: dict.fromkeys(paths, "x") for name in DataDirTables}
    return DataDir(tmp_path, tables | {"wav.scp": paths}, {"corpus": "c"})


DataDirTables = ("text.surface", "text.meaning", "text.canonical", "utt2spk", "utt2l1")


def load(data, tmp_path, audio_format):
    out = tmp_path / f"{audio_format}.tmp"
    format_audio(data, out, audio_format, RATE, nj=2)
    out.rename(tmp_path / audio_format)
    formatted = DataDir.load(tmp_path / audio_format)
    return formatted, {
        utt: wave[: int(length)].numpy()
        for utts, waves, lengths in batches(formatted, 2)
        for utt, wave, length in zip(utts, waves, lengths, strict=True)
    }


def test_flac_wav_and_ark_hold_the_same_samples(data, tmp_path):
    copies = [
        load(DataDir(data.path, dict(data.tables), dict(data.info)), tmp_path, audio_format)
        for audio_format in ("flac", "wav", "ark")
    ]
    for _, waves in copies:
        assert {u: len(w) for u, w in waves.items()} == {"s-a": 16000, "s-b": 8000, "s-c": 11200}
        for utt, wave in waves.items():
            np.testing.assert_array_equal(wave, copies[0][1][utt])
    np.testing.assert_allclose(copies[0][1]["s-a"], tone(1.0), atol=2 / 32768)
    source = soundfile.read(data["wav.scp"]["s-a"], dtype="float32")[0]  # of 16 bits: nothing is lost
    np.testing.assert_array_equal(copies[0][1]["s-a"], source)


@pytest.mark.parametrize("audio_format", ["flac", "wav", "ark"])
def test_sixteen_bits_keep_every_value(tmp_path, audio_format):
    values = np.arange(-32768, 32768).astype(np.int16)
    kind = "WAV" if audio_format == "flac" else "FLAC"  # what is as wanted would stay where it lies
    soundfile.write(tmp_path / "a", values, RATE, format=kind, subtype="PCM_16")
    tables = {name: {"s-a": "x"} for name in DataDirTables} | {"wav.scp": {"s-a": str(tmp_path / "a")}}
    (wave,) = load(DataDir(tmp_path, tables, {"corpus": "c"}), tmp_path, audio_format)[1].values()
    np.testing.assert_array_equal(wave * 32768, values)


def test_a_file_that_is_as_wanted_is_not_copied(data, tmp_path):
    source = data["wav.scp"]["s-c"]
    formatted, _ = load(data, tmp_path, "flac")
    assert formatted["wav.scp"]["s-c"] == source
    assert formatted["utt2dur"]["s-c"] == "0.7000"


def test_speed_changes_duration_and_pitch(data, tmp_path):
    before = deepcopy(data)
    faster = perturb_speed(data, [1.0, 1.25])
    assert faster["utt2spk"]["sp1.25-s-a"] == "sp1.25-x"
    given = deepcopy(faster)
    _, waves = load(faster, tmp_path, "flac")
    assert (data, faster) == (before, given)  # neither stage changes what it is given
    wave = waves["sp1.25-s-a"]
    assert len(wave) == 12800
    assert np.argmax(np.abs(np.fft.rfft(wave))) * RATE / len(wave) == pytest.approx(550, abs=2)


@pytest.mark.parametrize(
    "content, fault",
    [
        (b"not audio", "unreadable audio"),
        (None, "no such audio file"),
        ("empty", "no samples"),
        ("slow", "sampled at 8000 Hz, the recipe needs 16000"),
    ],
)
def test_bad_audio_is_named_with_its_utterance(tmp_path, content, fault):
    path = tmp_path / "x.wav"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content == "empty":
        soundfile.write(path, np.zeros(0), RATE)
    elif content == "slow":
        soundfile.write(path, tone(0.1, 8000), 8000)
    with pytest.raises(recording.Unusable, match=fault) as error:
        samples_of(path)
    line = describe(path, "utt7", error.value)
    assert "utt7" in line and str(path) in line and "\n" not in line
    assert content != "slow" or line.endswith("with --fs 8000 (not with a pretrained encoder, which takes 16000)")


@pytest.mark.parametrize("tail", [b"", b"\x01"])
def test_pcm_is_16_kHz_without_header(tmp_path, tail):
    pcm(tmp_path / "a.pcm", tone(0.5), tail)
    samples = samples_of(tmp_path / "a.pcm")
    np.testing.assert_allclose(samples, tone(0.5), atol=2 / 32768)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.pcm"])
def test_a_segment_is_that_part_of_the_file(tmp_path, name):
    ramp = np.linspace(-0.5, 0.5, 2 * RATE)
    if name == "a.pcm":
        pcm(tmp_path / name, ramp)
    else:
        soundfile.write(tmp_path / name, ramp, RATE)
    samples = samples_of(tmp_path / name, (0.25, 1.0))
    np.testing.assert_allclose(samples, ramp[4000:16000], atol=2 / 32768)


def test_a_segment_may_end_a_rounding_after_the_file(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(1.0), RATE)
    assert len(samples_of(tmp_path / "a.wav", (0.5, 1.05))) == 8000


@pytest.mark.parametrize("segment", [(0.5, 1.5), (1.2, 1.25), (0.5, 0.5), (-0.1, 0.5), (1.0, 1.05)])
def test_a_segment_outside_the_file_is_named(tmp_path, segment):
    soundfile.write(tmp_path / "a.wav", tone(1.0), RATE)
    with pytest.raises(recording.Unusable, match="not within its 1.000 s: correct utt2segment"):
        samples_of(tmp_path / "a.wav", segment)


@pytest.mark.parametrize("audio_format", ["flac", "ark"])
def test_segments_are_cut_and_their_table_goes(data, tmp_path, audio_format):
    data.tables["utt2segment"] = {"s-a": "0.250 0.750", "s-b": UNKNOWN, "s-c": "0.000 0.350"}
    faster = perturb_speed(data, [1.0, 1.25])
    assert faster["utt2segment"]["sp1.25-s-a"] == "0.250 0.750"
    formatted, waves = load(faster, tmp_path, audio_format)
    assert "utt2segment" not in formatted.tables
    assert {utt: len(wave) for utt, wave in waves.items()} == {
        "s-a": 8000, "s-b": 8000, "s-c": 5600, "sp1.25-s-a": 6400, "sp1.25-s-b": 6400,
        "sp1.25-s-c": 4480,
    }  # fmt: skip
    np.testing.assert_allclose(waves["s-a"], tone(1.0)[4000:12000], atol=3 / 32768)
    assert formatted["wav.scp"]["s-c"] != data["wav.scp"]["s-c"]


def test_pcm_becomes_flac(data, tmp_path):
    path = tmp_path / "a.pcm"
    pcm(path, tone(1.0), b"\x00")
    data.tables["wav.scp"]["s-a"] = str(path)
    formatted, waves = load(data, tmp_path, "flac")
    assert formatted["wav.scp"]["s-a"].endswith("s-a.flac") and len(waves["s-a"]) == 16000


def test_a_segment_that_is_no_numbers_is_named(data, tmp_path):
    data.tables["utt2segment"] = {"s-a": "0.25", "s-b": UNKNOWN, "s-c": UNKNOWN}
    with pytest.raises(DataError, match="utt2segment: '0.25' is not `start end` in seconds .utterance s-a"):
        format_audio(data, tmp_path / "out", "flac", RATE, nj=1)


@pytest.mark.parametrize("speed", ["fast", "nan", "0", "-1", "inf", ""])
def test_a_speed_that_is_no_number_is_named(data, tmp_path, speed):
    data.tables["utt2speed"] = {"s-a": "1.1", "s-b": speed, "s-c": "1.0"}
    with pytest.raises(DataError, match=f"utt2speed: utterance s-b has '{speed}', not a number"):
        format_audio(data, tmp_path / "out", "flac", RATE, nj=1)


FACTS = {"corpus": "c", "language": "en", "convention": "heard"}
FACTS |= {"surface_unit": "char", "meaning_unit": "char"}


@pytest.fixture
def faulty(tmp_path):
    """Two good recordings, and one of each kind that can't be used, in a directory of stage 1."""
    folder = tmp_path / "audio"
    folder.mkdir()

    def write(name, samples, rate=RATE, **options):
        soundfile.write(folder / name, samples, rate, **options)

    def once(value, place=8000):
        samples = noise(2.0)
        samples[place] = value
        return samples

    write("good.wav", noise(2.0), subtype="PCM_16")
    write("good2.flac", noise(2.0), subtype="PCM_16")
    write("nan.wav", once(np.nan), subtype="FLOAT")
    write("inf.wav", once(np.inf), subtype="FLOAT")
    write("segment.wav", once(np.nan), subtype="FLOAT")
    write("zeros.flac", np.zeros(2 * RATE), subtype="PCM_16")  # as stage 3 wants it
    write("empty.wav", np.zeros(0))
    write("slow.wav", noise(2.0, 8000), 8000)
    write("scale.wav", noise(2.0) * 32768, subtype="FLOAT")
    write("short.wav", noise(2.0))
    for name in ("cut.wav", "cut.mp3", "cut.ogg", "cut.flac"):
        write(name, noise(2.0))
        cut(folder / name)
    film(folder / "film.mp4")
    (folder / "text.wav").write_text("not audio")
    files = sorted(folder.iterdir())
    tables = {name: {f"s-{f.name}": "x y z" for f in files} for name in DataDirTables}
    tables["utt2spk"] = {f"s-{f.name}": "s" for f in files}
    tables["wav.scp"] = {f"s-{f.name}": str(f) for f in files}
    tables["utt2segment"] = dict.fromkeys(tables["wav.scp"], UNKNOWN)
    tables["utt2segment"] |= {"s-segment.wav": "0.2 1.2", "s-short.wav": "1.0 3.0"}
    DataDir(tmp_path / "data", tables, FACTS).write(tmp_path / "data")
    return tmp_path / "data"


@pytest.mark.parametrize("audio_format", ["flac", "wav", "ark"])
def test_stages_3_and_4_drop_what_the_validator_drops(faulty, tmp_path, capfd, audio_format):
    directory, found = validate(faulty)
    _, dropped = repair(directory, found)
    format_audio(DataDir.load(faulty), tmp_path / "out", audio_format, RATE, nj=1)
    said = capfd.readouterr().err
    filtered = filter_data(tmp_path / "out", True, 0.1, 20, 25)
    assert set(filtered.data["wav.scp"]) == {"s-good.wav", "s-good2.flac"}
    assert set(filtered.dropped) == set(dropped) == set(read_table(tmp_path / "out" / BAD_AUDIO))
    assert len(dropped) == 14
    for utt, reason in filtered.dropped.items():
        assert f"(utterance {utt}): " in said
        assert reason.startswith("wav.scp: the recording can't be used: ") and len(reason) > 45


def test_nothing_but_faulty_recordings_is_an_error(faulty, tmp_path):
    data = DataDir.load(faulty).subset(["s-nan.wav", "s-zeros.flac"])
    with pytest.raises(DataError, match="no recording can be used: .*nan.wav: samples that are no"):
        format_audio(data, tmp_path / "out", "flac", RATE, nj=1)


def test_all_missing_recordings_are_listed_before_any_is_read(data, tmp_path, capfd):
    for utt in ("s-a", "s-c"):
        data.tables["wav.scp"][utt] = f"/nowhere/{utt}.wav"
    with pytest.raises(DataError, match="s-a.wav: no such audio file .utterance s-a.*and 1 more"):
        format_audio(data, tmp_path / "out", "flac", RATE, nj=1)
    assert capfd.readouterr().err.count("no such audio file") == 2
    assert not (tmp_path / "out").exists()


def test_a_recording_of_many_segments_is_decoded_once(data, tmp_path, monkeypatch):
    path, log = data["wav.scp"]["s-a"], tmp_path / "log"
    data.tables["wav.scp"] |= {"s-c": path}
    data.tables["utt2segment"] = {"s-a": "0.0 0.5", "s-b": UNKNOWN, "s-c": "0.5 1.0"}
    opened = recording.open_audio

    def counted(source):
        with log.open("a") as stream:  # a worker process reads
            stream.write(f"{source}\n")
        return opened(source)

    monkeypatch.setattr(recording, "open_audio", counted)
    format_audio(data, tmp_path / "out", "flac", RATE, nj=1)
    assert log.read_text().splitlines().count(path) == 1


@pytest.mark.parametrize("audio_format", ["wav", "ark"])
def test_a_pipe_runs_only_where_it_is_allowed(data, tmp_path, capfd, audio_format):
    source = data["wav.scp"]["s-a"]
    data.tables["wav.scp"]["s-a"] = pipe = f"touch '{tmp_path}/ran'; cat '{source}' |"
    with pytest.raises(DataError, match="a pipe .utterance s-a.: .*--allow_pipes true"):
        format_audio(data, tmp_path / "out", audio_format, RATE, nj=1)
    assert not (tmp_path / "ran").exists()
    format_audio(data, tmp_path / "out", audio_format, RATE, nj=1, allow_pipes=True)
    assert (tmp_path / "ran").exists()
    assert f"running the command of wav.scp: {pipe.removesuffix(' |')}\n" in capfd.readouterr().err
    formatted = DataDir.load(tmp_path / "out")
    assert "|" not in formatted["wav.scp"]["s-a"] and formatted["utt2dur"]["s-a"] == "1.0000"
    assert str(tmp_path / "out") in formatted["wav.scp"]["s-a"]


def test_a_command_that_fails_is_named(data, tmp_path, capfd):
    data.tables["wav.scp"]["s-a"] = "echo oh no >&2; exit 3 |"
    format_audio(data, tmp_path / "out", "flac", RATE, nj=1, allow_pipes=True)
    assert "its command fails with status 3: oh no (utterance s-a)" in capfd.readouterr().err
    assert set(DataDir.load(tmp_path / "out")["wav.scp"]) == {"s-b", "s-c"}


def test_the_validator_reads_a_pipe_where_it_is_allowed(faulty):
    data = DataDir.load(faulty).subset(["s-good.wav"])
    data.tables["wav.scp"]["s-good.wav"] = f"cat {data['wav.scp']['s-good.wav']} |"
    data.write(faulty)
    command = ["l2dual", "validate", faulty]
    refused = python_m(*command)
    assert refused.returncode == 1 and "--allow_pipes true" in refused.stdout
    allowed = python_m(*command, "--allow_pipes", "true")
    assert allowed.returncode == 0 and "running the command of wav.scp: cat" in allowed.stderr


@pytest.mark.parametrize("factors", ["nan", "0.9 inf", "0", "-1", "", "fast"])
def test_a_speed_is_a_number_above_0(data, tmp_path, factors):
    data.write(tmp_path / "in")
    options = ["--data", tmp_path / "in", f"--factors={factors}", "--out", tmp_path / "out"]
    done = python_m("l2dual.bin.perturb_speed", *options)
    assert done.returncode == 1
    assert f"--speed_factors '{factors}': give numbers" in done.stderr


def test_a_full_disk_is_named(tmp_path):
    (tmp_path / "a.flac").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left") as error:
        write_audio(tmp_path / "a.flac", np.zeros(16000, dtype=np.int16), 16000)
    assert error.value.filename == str(tmp_path / "a.flac")
