"""Simulated learners: who says what, and how it is recorded."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from l2dual.errors import UsageError
from l2dual.files import read_yaml
from l2dual.simulate import learners
from l2dual.simulate.severity import Severity
from l2dual.training.runs import merge

CONF = Path(__file__).resolve().parents[2] / "conf/simulate"
SMALL = {
    "utterances": {"train": 9, "valid": 3, "test": 6},
    "speakers": {"train": 3, "valid": 1, "test": 2},
}


WORDS = "one two three four five six seven eight nine ten eleven twelve".split()
FLAT = Severity(0.0, 0.0, 0.0)


@pytest.fixture
def preset() -> dict:
    return merge(read_yaml(CONF / "tiny.yaml"), SMALL)


def make(preset, out, language="en", convention="heard", nj=1, seed=1, **options):
    utterances, facts = learners.prepare(
        language, preset, convention, out, out / "audio", nj, seed, preset_file="my.yaml", **options
    )
    return list(utterances), facts


def samples(utterances) -> list[bytes]:
    return [utterance.audio.read_bytes() for utterance in utterances]


@pytest.mark.slow
def test_the_number_of_jobs_changes_nothing(preset, tmp_path):
    one, facts = make(preset, tmp_path, nj=1)
    audio = samples(one)
    two, again = make(preset, tmp_path, nj=2)
    assert one == two and facts == again and audio == samples(two)


@pytest.mark.slow
def test_another_seed_gives_another_corpus(preset, tmp_path):
    one, _ = make(preset, tmp_path / "one")
    two, _ = make(preset, tmp_path / "two", seed=2)
    assert [u.meaning for u in one] != [u.meaning for u in two]


@pytest.mark.slow
def test_both_conventions_describe_the_same_audio(preset, tmp_path):
    heard, facts = make(preset, tmp_path / "heard")
    pronounced, other = make(preset, tmp_path / "pronounced", convention="pronounced")
    assert samples(heard) == samples(pronounced)
    assert facts == other
    for h, p in zip(heard, pronounced, strict=True):
        assert h.canonical == h.meaning == p.meaning
        assert (h.surface == h.canonical) == (p.surface == p.canonical)
        assert p.facts["heard"] == h.surface
    assert any(h.surface != h.canonical for h in heard)
    voices = {u.speaker: u.facts["voice"] for u in heard}
    assert set(voices.values()) <= {v for split in preset["voices"]["espeak"].values() for v in split}


def test_splits_share_no_speaker_voice_or_prompt(tmp_path):
    preset = read_yaml(CONF / "tiny.yaml")
    utterances, facts = make(preset, tmp_path, nj=2)
    speakers, prompts = {}, {}
    for u in utterances:
        assert u.id.startswith(f"{u.speaker}-")
        assert speakers.setdefault(u.speaker, u.split) == u.split
        assert prompts.setdefault(u.meaning, u.split) == u.split
    for split, number in preset["utterances"].items():
        assert sum(u.split == split for u in utterances) == number
        assert list(speakers.values()).count(split) == preset["speakers"][split]
    assert len({u.id for u in utterances}) == len(utterances)
    assert {u.l1 for u in utterances} == set(facts["rules"])


def test_train_repeats_prompts_but_takes_none_of_the_others(preset):
    prompts = [f"prompt {i}" for i in range(12)]
    texts = {
        split: [
            text
            for _, _, text in learners.cast(split, preset, "espeak", ("x",), prompts, FLAT, 1)
        ]
        for split in preset["utterances"]
    }
    assert len(set(texts["test"])) == 6 and len(set(texts["valid"])) == 3
    assert len(texts["train"]) == 9 and len(set(texts["train"])) == 3
    assert not set(texts["train"]) & {*texts["test"], *texts["valid"]}


def test_audio_is_16_khz_16_bit_mono_flac_where_it_will_be(preset, tmp_path):
    out, final = tmp_path / "data.tmp", tmp_path / "data"
    utterances, _ = learners.prepare("en", preset, "heard", out, final / "audio", 1, 1)
    first = next(iter(utterances))
    assert not final.exists() and first.audio == final / "audio" / f"{first.id}.flac"
    out.rename(final)
    info = soundfile.info(first.audio)
    assert (info.samplerate, info.channels, info.format) == (16000, 1, "FLAC")
    assert info.subtype == "PCM_16" and 1 < info.duration < 8
    assert not list(final.rglob("*.tmp"))


def test_korean(preset, tmp_path):
    utterances, _facts = make(preset, tmp_path, language="ko")
    assert len(samples(utterances)) == 18
    assert any(u.surface != u.meaning for u in utterances)


@pytest.mark.slow
def test_severity_changes_the_errors_and_nothing_else(preset, tmp_path):
    severities = ("none", "half", "triple")
    made = {name: make(preset, tmp_path / name, severity=name)[0] for name in severities}
    assert all(u.surface == u.meaning for u in made["none"])
    same = 0
    for none, half, triple in zip(*made.values(), strict=True):
        assert none.id == half.id == triple.id and none.meaning == triple.meaning
        assert (none.speaker, none.l1) == (triple.speaker, triple.l1)
        assert 0 == float(none.facts["error_scale"]) < float(half.facts["error_scale"])
        assert float(half.facts["error_scale"]) < float(triple.facts["error_scale"])
        assert half.surface == half.meaning or triple.surface != triple.meaning
        alike = none.audio.read_bytes() == half.audio.read_bytes()
        assert alike == (none.surface == half.surface)
        assert none.audio.read_bytes() != triple.audio.read_bytes()
        same += alike
    assert 3 <= same < len(made["none"])


@pytest.mark.slow
def test_errors_at_random_stand_where_the_rules_had_them(preset, tmp_path):
    rules, facts = make(preset, tmp_path / "rules", severity="double")
    random, other_facts = make(preset, tmp_path / "random", severity="double", errors="random")
    assert (facts["errors"], other_facts["errors"]) == ("rules", "random")
    wrong = [[u.surface != u.meaning for u in some] for some in (rules, random)]
    assert wrong[0] == wrong[1] and sum(wrong[0]) > 10
    assert sum(one.surface != other.surface for one, other in zip(rules, random, strict=False)) > 8
    right = [number for number, is_wrong in enumerate(wrong[0]) if not is_wrong]
    assert all(samples(rules)[number] == samples(random)[number] for number in right)


def test_the_user_may_bring_prompts(preset, tmp_path):
    own = [f"please call the number {word}" for word in WORDS] + ["We don't use TikTok!"]
    file = tmp_path / "mine.txt"
    file.write_text("\n".join(own), encoding="utf-8")
    utterances, facts = make(preset, tmp_path / "data", prompts=file)
    assert {u.meaning for u in utterances} == {*own[:-1], "we don't use tiktok"}
    assert facts["prompts_file"] == str(file) and facts["prompts"] == 13
    assert facts["guessed_words"] == ["tiktok"] and facts["words_without_errors"] == []
    file.write_text("\n".join(own[:9]), encoding="utf-8")
    with pytest.raises(UsageError, match="need 9 prompts, but .*mine.txt has 9"):
        make(preset, tmp_path / "few", prompts=file)


@pytest.mark.parametrize(
    "options, complaint",
    [
        ({"severity": "loud"}, "no severity 'loud'; choose from none, half, paper, double, triple"),
        ({"errors": "some"}, "no errors 'some'; choose from rules, random"),
        ({"engine": "hal"}, "hal"),
    ],
)
def test_an_unknown_option_is_named(preset, tmp_path, options, complaint):
    with pytest.raises(UsageError, match=complaint):
        make(preset, tmp_path, **options)


@pytest.mark.parametrize("slope", [0.0, 1.0, 2.0])
def test_noise_has_power_one_and_the_slope_asked_for(slope):
    noise = learners.coloured_noise(160001, slope, np.random.default_rng(0))
    assert len(noise) == 160001 and np.mean(noise**2) == pytest.approx(1)
    spectrum = np.abs(np.fft.rfft(noise)) ** 2
    frequencies = np.fft.rfftfreq(len(noise), 1 / 16000)
    low, high = (
        spectrum[(frequencies > f) & (frequencies < 1.1 * f)].mean() for f in (200, 3200)
    )
    assert np.log2(low / high) / 4 == pytest.approx(slope, abs=0.1)


@pytest.mark.slow
def test_the_noise_stands_at_the_snr_asked_for(preset, tmp_path):
    clean, _ = make(preset | {"snr": [90, 90]}, tmp_path / "clean")
    noisy, _ = make(preset | {"snr": [10, 10]}, tmp_path / "noisy")
    for one, other in zip(clean, noisy, strict=True):
        speech, mixed = soundfile.read(one.audio)[0], soundfile.read(other.audio)[0]
        scale = speech @ mixed / (speech @ speech)  # peaks are normalized apart
        noise = mixed - scale * speech
        snr = 10 * np.log10(np.mean((scale * speech) ** 2) / np.mean(noise**2))
        assert 6 < snr < 11.5  # the pauses, counted here and not there, cost a little


def voices(*of_splits):
    return {"voices": {"espeak": dict(zip(("train", "valid", "test"), of_splits, strict=False))}}


@pytest.mark.parametrize("name", ["mini", "measure", "tiny"])
def test_our_presets_are_right(name):
    preset = read_yaml(CONF / f"{name}.yaml")
    learners.check_preset(preset, name, "en", "espeak")
    assert name == "tiny" or preset["speakers"]["test"] >= 20


@pytest.mark.parametrize(
    "change, complaint",
    [
        ({"sizes": 1}, "'sizes' is unknown"),
        ({"snr": None}, "'snr' is missing"),
        ({"snr": [20, 10]}, "snr: "),
        ({"pitch": [0, 200]}, "pitch: "),
        ({"words_per_minute": "fast"}, "words_per_minute: "),
        ({"utterances": 100}, "utterances: give"),
        ({"utterances": {"train": 9, "valid": 0, "test": 6}}, "utterances: valid: 0"),
        ({"utterances": {"train": 9, "valid": 3, "test": 99999}}, "utterances: valid and test"),
        ({"speakers": {"train": 3, "valid": 1, "test": 7}}, "speakers: test"),
        ({"voices": {"train": ["m1"]}}, "voices: none for the engine 'espeak'"),
        ({"voices": {"espeak": {"train": ["m1"]}}}, "voices: give a value for each of"),
        (voices(["m1"], ["m1"], ["m2"]), "'m1' is a duplicate"),
        (voices(["m1"], ["nobody"], ["m2"]), "'nobody'"),
        (voices(["m1"], [], ["m2"]), "voices: valid"),
    ],
)
def test_a_bad_preset_is_named(preset, tmp_path, change, complaint):
    bad = {key: value for key, value in (preset | change).items() if value is not None}
    with pytest.raises(UsageError, match=complaint) as caught:
        make(bad, tmp_path)
    assert str(caught.value).startswith("my.yaml: ")
