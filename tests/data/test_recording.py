"""The reader: what phones and streams write is read, what is cut or on another scale is named."""

import av
import kaldiio
import numpy as np
import pytest
import soundfile

from l2dual.data.recording import Unusable, decode
from tests.data.faults import record
from tests.recordings import RATE, compress, cut, film, noise, pcm, samples_of, tone, unknown_length

PHONES = {
    "a.m4a": ("mp4", "aac"),
    "a.3gp": ("3gp", "aac"),
    "a.mov": ("mov", "aac"),
    "a.aac": ("adts", "aac"),
    "a.webm": ("webm", "libopus"),
    "a.mka": ("matroska", "libopus"),
    "a.opus": ("ogg", "libopus"),
}


@pytest.mark.parametrize("name", PHONES)
def test_what_phones_and_browsers_record(tmp_path, name):
    compress(tmp_path / name, *PHONES[name])
    samples = samples_of(tmp_path / name)
    assert len(samples) == pytest.approx(2 * RATE, abs=1100)  # ADTS keeps the encoder's padding
    assert np.argmax(np.abs(np.fft.rfft(samples))) / len(samples) * RATE == pytest.approx(440, abs=1)
    assert np.abs(samples[8000:24000]).max() == pytest.approx(0.3, abs=0.03)
    cut(tmp_path / name)
    with pytest.raises(Unusable, match="truncated"):
        samples_of(tmp_path / name)


def test_tags_in_another_encoding_do_no_harm(tmp_path):
    path = tmp_path / "a.m4a"
    with av.open(str(path), "w", format="mp4") as file:
        file.metadata["title"] = "TITLETITLE"
        track = file.add_stream("aac", rate=RATE)
        samples = np.stack([noise()] * 2).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="stereo")
        frame.sample_rate, frame.pts = RATE, 0
        for packet in [*track.encode(frame), *track.encode(None)]:
            file.mux(packet)
    content = path.read_bytes()
    assert content.count(b"TITLETITLE") == 1
    path.write_bytes(content.replace(b"TITLETITLE", "한국어에요".encode("cp949")))
    assert decode(str(path)).channels == 2


def test_a_video_without_sound_is_named(tmp_path):
    film(tmp_path / "a.mp4")
    with pytest.raises(Unusable, match="there is no audio track in it"):
        samples_of(tmp_path / "a.mp4")


def test_flac_of_unknown_length(tmp_path):
    soundfile.write(tmp_path / "a.flac", tone(1.0), RATE, subtype="PCM_16")
    whole = samples_of(tmp_path / "a.flac")
    unknown_length(tmp_path / "a.flac")
    assert soundfile.info(tmp_path / "a.flac").frames > 2**62
    np.testing.assert_array_equal(samples_of(tmp_path / "a.flac"), whole)


def test_pcm_that_begins_like_aac_is_pcm(tmp_path):
    samples = tone(0.5)
    samples[0] = -3585 / 32768  # the bytes ff f1
    pcm(tmp_path / "a.pcm", samples)
    assert (tmp_path / "a.pcm").read_bytes()[:2] == b"\xff\xf1"
    assert len(samples_of(tmp_path / "a.pcm")) == 8000


@pytest.mark.parametrize("name", ["a.wav", "a.aiff", "a.au", "a.w64", "a.rf64", "a.caf", "a.mp3"])
def test_half_a_file_is_truncated(tmp_path, name):
    soundfile.write(tmp_path / name, noise(), RATE, format=name[2:].upper())
    assert decode(str(tmp_path / name)).frames == RATE
    cut(tmp_path / name)
    assert "truncated" in decode(str(tmp_path / name))


@pytest.mark.parametrize(
    "samples, is_used",
    [
        (tone(1.0) * 30000, False),
        (np.concatenate([np.zeros(15000), noise(0.05) * 32768]), False),  # a word in silence
        (tone(1.0) * 5, False),
        (tone(1.0) * 3.4, True),  # a limiter's peaks: 1.02
        (noise() * 3.5, True),  # full scale is 2.9 standard deviations
    ],
)
def test_floats_on_another_scale_are_not_clipped(tmp_path, samples, is_used):
    soundfile.write(tmp_path / "a.wav", samples, RATE, subtype="FLOAT")
    if is_used:
        assert np.abs(samples_of(tmp_path / "a.wav")).max() == 1.0
    else:
        with pytest.raises(Unusable, match="where 1 is full scale: divide them"):
            samples_of(tmp_path / "a.wav")


def test_arks_hold_floats_or_wav(tmp_path):
    samples = noise().astype(np.float32)
    kaldiio.save_ark(str(tmp_path / "f.ark"), {"a": samples, "b": samples[:800].astype(float)})
    soundfile.write(tmp_path / "a.wav", samples, 8000)
    wav = (tmp_path / "a.wav").read_bytes()
    (tmp_path / "w.ark").write_bytes(b"a " + wav + b"b " + wav)
    np.testing.assert_array_equal(samples_of(f"{tmp_path}/f.ark:2"), samples)
    place = 2 + 10 + 4 * len(samples) + 2
    assert decode(f"{tmp_path}/f.ark:{place}").frames == 800
    second = decode(f"{tmp_path}/w.ark:{len(wav) + 4}")
    assert (second.rate, second.frames) == (8000, RATE)


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
    cut(tmp_path / f"a.{kind}")
    assert "truncated" in decode(str(tmp_path / f"a.{kind}"))
    assert decode("cat a.wav |").startswith("a pipe")


def test_a_wav_of_unknown_length_from_a_pipe_is_read(tmp_path):
    record(tmp_path / "a.wav")
    header = (tmp_path / "a.wav").read_bytes()
    place = header.index(b"data") + 4
    (tmp_path / "a.wav").write_bytes(header[:place] + b"\xff" * 4 + header[place + 4 :])
    assert decode(str(tmp_path / "a.wav")).frames == 32000
