"""Audio: formats agree, speed and rate are as asked, bad files are named."""

import numpy as np
import pytest
import soundfile

from l2dual.audio import format_audio, read_audio
from l2dual.bin.perturb_speed import perturb_speed
from l2dual.datadir import UNKNOWN, DataDir
from l2dual.errors import DataError
from l2dual.speech import batches

RATE = 16000


def tone(seconds: float, rate: int = RATE, hertz: float = 440.0) -> np.ndarray:
    return 0.3 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * rate)) / rate)


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
        for utt, wave, length in zip(utts, waves, lengths)
    }


def test_flac_wav_and_ark_hold_the_same_samples(data, tmp_path):
    copies = [
        load(DataDir(data.path, dict(data.tables), dict(data.info)), tmp_path, audio_format)
        for audio_format in ("flac", "wav", "ark")
    ]
    for _, waves in copies:
        assert {u: len(w) for u, w in waves.items()} == {"s-a": 16000, "s-b": 8000, "s-c": 11200}
        for utt, wave in waves.items():
            np.testing.assert_allclose(wave, copies[0][1][utt], atol=2 / 32768)
    np.testing.assert_allclose(copies[0][1]["s-a"], tone(1.0), atol=2 / 32768)


def test_a_file_that_is_as_wanted_is_not_copied(data, tmp_path):
    source = data["wav.scp"]["s-c"]
    formatted, _ = load(data, tmp_path, "flac")
    assert formatted["wav.scp"]["s-c"] == source
    assert formatted["utt2dur"]["s-c"] == "0.7000"


def test_speed_changes_duration_and_pitch(data, tmp_path):
    faster = perturb_speed(data, [1.0, 1.25])
    assert faster["utt2spk"]["sp1.25-s-a"] == "sp1.25-x"
    _, waves = load(faster, tmp_path, "flac")
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
    with pytest.raises(DataError, match=fault) as error:
        read_audio(path, "utt7", RATE)
    assert "utt7" in str(error.value) and str(path) in str(error.value)
    assert "\n" not in str(error.value)


def pcm(path, samples: np.ndarray, tail: bytes = b""):
    """A file as KsponSpeech has them: 16 bits, little-endian, no header."""
    path.write_bytes((samples * 32768).astype("<i2").tobytes() + tail)


@pytest.mark.parametrize("tail", [b"", b"\x01"])
def test_pcm_is_16_kHz_without_header(tmp_path, tail):
    pcm(tmp_path / "a.pcm", tone(0.5), tail)
    samples = read_audio(tmp_path / "a.pcm", "utt", RATE)
    np.testing.assert_allclose(samples, tone(0.5), atol=2 / 32768)


@pytest.mark.parametrize("name", ["a.wav", "a.flac", "a.pcm"])
def test_a_segment_is_that_part_of_the_file(tmp_path, name):
    ramp = np.linspace(-0.5, 0.5, 2 * RATE)
    if name == "a.pcm":
        pcm(tmp_path / name, ramp)
    else:
        soundfile.write(tmp_path / name, ramp, RATE)
    samples = read_audio(tmp_path / name, "utt", RATE, segment=(0.25, 1.0))
    np.testing.assert_allclose(samples, ramp[4000:16000], atol=2 / 32768)


def test_a_segment_may_end_a_rounding_after_the_file(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(1.0), RATE)
    assert len(read_audio(tmp_path / "a.wav", "utt", RATE, segment=(0.5, 1.05))) == 8000


@pytest.mark.parametrize("segment", [(0.5, 1.5), (1.2, 1.25), (0.5, 0.5), (-0.1, 0.5), (1.0, 1.05)])
def test_a_segment_outside_the_file_is_named(tmp_path, segment):
    soundfile.write(tmp_path / "a.wav", tone(1.0), RATE)
    with pytest.raises(DataError, match="not within its 1.000 s .*: correct utt2segment") as error:
        read_audio(tmp_path / "a.wav", "utt7", RATE, segment=segment)
    assert "utt7" in str(error.value) and "a.wav" in str(error.value)


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
    with pytest.raises(DataError, match="utt2segment: utterance s-a has '0.25', not `start end`"):
        format_audio(data, tmp_path / "out", "flac", RATE, nj=1)
