"""Simulated learners: prompts, pronunciation errors by L1, and an engine that says the outcome.

A speaker has a voice, a base pitch and rate, an L1, an error scale (the rules' rates times this:
how proficient they are) and a level and colour of noise; each utterance jitters pitch, rate and
noise a little. Splits share no speaker, no voice and no prompt.

Severity (l2dual/simulate/severity.py) sets the speakers' error scales and nothing else.
Each utterance has two random generators, from the seed and its id: one for its errors, in which a
higher severity keeps every error of a lower one, and one for its recording. So an utterance without
errors is the same audio at every severity, the number of jobs changes nothing, and both conventions
describe the same audio.
"""

import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from zlib import crc32

import numpy as np
from scipy.fft import next_fast_len

from l2dual.data.audio import write_audio
from l2dual.data.utterance import SPLITS, Utterance
from l2dual.errors import UsageError
from l2dual.files import file_name
from l2dual.simulate import engines, phonology
from l2dual.simulate.audible import measured_rules
from l2dual.simulate.prompts import read_prompts
from l2dual.simulate.severity import Severity, load_severity

SAMPLING_RATE = 16000
PER_SPLIT = ("utterances", "speakers", "voices")
# Ranges [lowest, highest] that speakers are drawn from, and what the values must lie between.
RANGES = {
    "words_per_minute": (80, 450),
    "pitch": (0, 100),  # espeak's scale: 50 is the voice's own
    "snr": (-10, 100),  # dB
}
PITCH_JITTER, RATE_JITTER, SNR_JITTER = 2.0, 0.04, 1.0  # half-widths: espeak's scale, share, dB
ERRORS = ("rules", "random")
PAUSE = (0.1, 0.3)  # seconds before and after the speech
PEAK = 0.7
REPORT_EVERY = 5.0  # seconds


@dataclass(frozen=True)
class Speaker:
    """A learner; see the module's docstring."""

    name: str
    voice: str
    l1: str
    error_scale: float
    words_per_minute: float
    pitch: float
    snr: float
    noise_slope: float  # the noise's power falls with frequency to this power: 0 white, 2 brown


@dataclass(frozen=True)
class Settings:
    """What all utterances of a corpus have in common."""

    language: str
    convention: str
    seed: int
    errors: str
    engine: str
    write_to: Path
    audio: Path


@dataclass(frozen=True)
class Task:
    """All that a worker needs for one utterance."""

    id: str
    split: str
    speaker: Speaker
    text: str
    settings: Settings


def prepare(
    language: str,
    preset: dict,
    convention: str,
    out_dir: Path,
    audio_dir: Path,
    nj: int,
    seed: int,
    preset_file: str = "preset",
    severity: str = "paper",
    errors: str = "rules",
    engine: str = "espeak",
    prompts: Path | None = None,
) -> tuple[Iterator[Utterance], dict]:
    """Utterances, made as they are drawn, and the facts for ``corpus.yaml``.

    Audio is written as 16 kHz 16-bit FLAC files to a folder of ``out_dir`` with the name of
    ``audio_dir``; the utterances name ``audio_dir``, the place after ``out_dir`` is renamed.

    ``preset``: the content of conf/simulate/*.yaml. ``severity``: how far learners diverge.
    ``errors``: those of the L1s' "rules", or "random" sounds at the same places. ``prompts``: a
    file of sentences instead of ours. Raises UsageError if an option or the preset is wrong (it
    names ``preset_file`` and the key), and DataError if the prompts are (it names the line).
    """
    if errors not in ERRORS:
        raise UsageError(f"no errors '{errors}'; choose from {', '.join(ERRORS)}")
    check_preset(preset, preset_file, language, engine)
    module = phonology(language)
    texts = read_prompts(prompts, language, seed) if prompts else module.sentences(seed)
    held_out = preset["utterances"]["test"] + preset["utterances"]["valid"]
    if held_out >= len(texts):
        raise UsageError(
            f"{preset_file}: utterances: valid and test need {held_out} prompts, but"
            f" {prompts or language} has {len(texts)} and train needs some; ask for fewer"
        )
    scales = load_severity(language, engine, severity)
    write_to = out_dir / audio_dir.name
    write_to.mkdir(parents=True, exist_ok=True)
    settings = Settings(language, convention, seed, errors, engine, write_to, audio_dir)
    tasks = [
        Task(name, split, speaker, text, settings)
        for split in SPLITS
        for name, speaker, text in cast(split, preset, engine, module.L1S, texts, scales, seed)
    ]
    measured = measured_rules(language, engine)
    facts = module.caveats(texts) | {
        "engine": engines.load(engine).version(),
        "settings": preset,
        "severity": severity,
        "errors": errors,
        "prompts_file": str(prompts) if prompts else None,
        "prompts": len(texts),
        "rules": {l1: [rule.name for rule in module.rules(l1, engine)] for l1 in module.L1S},
        "inaudible_rules": sorted(name for name, row in measured.items() if not row["audible"]),
    }
    return _run(tasks, nj), facts


def check_preset(preset: dict, file: str, language: str, engine: str) -> None:
    """Raise a UsageError that names ``file`` and the key if ``preset`` is wrong."""
    for key in sorted(preset.keys() ^ {*PER_SPLIT, *RANGES}):
        state = "unknown: remove it" if key in preset else "missing: add it"
        raise UsageError(f"{file}: the key '{key}' is {state}")
    if not isinstance(preset["voices"], dict) or engine not in preset["voices"]:
        raise UsageError(f"{file}: voices: none for the engine '{engine}'; add the key")
    voices_of = preset["voices"][engine]
    for key in PER_SPLIT:
        value = voices_of if key == "voices" else preset[key]
        if not isinstance(value, dict) or set(value) != set(SPLITS):
            raise UsageError(f"{file}: {key}: give a value for each of {', '.join(SPLITS)}")
    for key in ("utterances", "speakers"):
        for split, number in preset[key].items():
            if type(number) is not int or number < 1:
                raise UsageError(f"{file}: {key}: {split}: {number} is not a whole number above 0")
    voices = []
    for split, names in voices_of.items():
        if preset["speakers"][split] > preset["utterances"][split]:
            raise UsageError(f"{file}: speakers: {split} has more speakers than utterances")
        if not isinstance(names, list) or not names:
            raise UsageError(f"{file}: voices: {split}: give a list of voices")
        voices += names
    known = engines.load(engine).voices(language)
    for name in voices:
        if name not in known:
            raise UsageError(f"{file}: voices: {engine} has no voice '{name}'; remove it")
        if voices.count(name) > 1:
            raise UsageError(f"{file}: voices: '{name}' is a duplicate; splits share no voice")
    for key, (lowest, highest) in RANGES.items():
        match preset[key]:
            case [int() | float() as low, int() | float() as high] if (
                lowest <= low <= high <= highest
            ):
                continue
        raise UsageError(
            f"{file}: {key}: {preset[key]} is not [low, high] between {lowest} and {highest}"
        )


def _generator(seed: int, name: str) -> np.random.Generator:
    return np.random.default_rng([seed, crc32(name.encode())])


def cast(
    split: str,
    preset: dict,
    engine: str,
    l1s: tuple[str, ...],
    prompts: list[str],
    severity: Severity,
    seed: int,
) -> Iterator[tuple[str, Speaker, str]]:
    """Utterance id, speaker and text of each utterance of one split.

    Prompts are dealt to test, valid and train in this order; train starts again when they run out.
    """
    n_valid, n_test = (preset["utterances"][name] for name in ("valid", "test"))
    first, last = {
        "test": (0, n_test),
        "valid": (n_test, n_test + n_valid),
        "train": (n_test + n_valid, len(prompts)),
    }[split]
    speakers = _speakers(split, preset, engine, l1s, severity, seed)
    for number in range(preset["utterances"][split]):
        speaker = speakers[number % len(speakers)]
        name = f"{speaker.name}-{number:05d}"
        yield name, speaker, prompts[first + number % (last - first)]


def _speakers(
    split: str, preset: dict, engine: str, l1s: tuple[str, ...], severity: Severity, seed: int
) -> list[Speaker]:
    """The speakers of one split: L1s and voices in equal shares, proficiency spread evenly."""
    number = preset["speakers"][split]
    voices = preset["voices"][engine][split]
    rng = _generator(seed, split)
    shuffled_l1s, shuffled_voices, ranks = (rng.permutation(number) for _ in range(3))
    speakers = []
    for i in range(number):
        name = f"{split}{i:03d}"
        rng = _generator(seed, name)
        speakers.append(
            Speaker(
                name=name,
                voice=voices[shuffled_voices[i] % len(voices)],
                l1=l1s[shuffled_l1s[i] % len(l1s)],
                error_scale=severity.scale((ranks[i] + rng.random()) / number),
                words_per_minute=rng.uniform(*preset["words_per_minute"]),
                pitch=rng.uniform(*preset["pitch"]),
                snr=rng.uniform(*preset["snr"]),
                noise_slope=rng.uniform(0, 2),
            )
        )
    return speakers


def _run(tasks: list[Task], nj: int) -> Iterator[Utterance]:
    """The utterances in the order of ``tasks``, with a line on stderr every few seconds."""
    say_text(tasks[0])  # reads the dictionaries once, before the workers are forked
    shown = time.monotonic()
    with ProcessPoolExecutor(nj, get_context("fork")) as pool:
        for number, utterance in enumerate(pool.map(_make, tasks, chunksize=8), 1):
            if time.monotonic() - shown > REPORT_EVERY or number == len(tasks):
                shown = time.monotonic()
                print(f"progress: synthesized {number} of {len(tasks)} utterances", file=sys.stderr)
            yield utterance


def say_text(task: Task):
    """What is said, and the surface and canonical texts of one utterance."""
    of = task.settings
    module = phonology(of.language)
    standard = module.canonical(task.text, of.engine)
    speech = module.mispronounce(
        standard,
        module.rules(task.speaker.l1, of.engine),
        task.speaker.error_scale,
        _generator(of.seed, f"{task.id} errors"),
        module.others(of.engine) if of.errors == "random" else None,
    )
    if of.convention == "heard":
        return speech, module.heard(task.text, speech), task.text
    return speech, module.pronounced(speech), module.pronounced(standard)


def _make(task: Task) -> Utterance:
    """Say and write one utterance."""
    of = task.settings
    speech, surface, canonical = say_text(task)
    samples = _record(speech, task.speaker, of, _generator(of.seed, task.id))
    name = file_name(task.id, ".flac")
    write_audio(of.write_to / name, samples, SAMPLING_RATE)
    facts = {"error_scale": f"{task.speaker.error_scale:.3f}", "voice": task.speaker.voice}
    if of.convention == "pronounced":  # which letters of the meaning were not said right
        facts["heard"] = phonology(of.language).heard(task.text, speech)
    return Utterance(
        id=task.id,
        split=task.split,
        speaker=task.speaker.name,
        audio=of.audio / name,
        surface=surface,
        meaning=task.text,
        canonical=canonical,
        l1=task.speaker.l1,
        facts=facts,
    )


def _record(speech, speaker: Speaker, of: Settings, rng: np.random.Generator) -> np.ndarray:
    """Samples (T,) at 16 kHz of the speech in the speaker's way, with pauses and noise.

    All that is drawn comes before the noise, whose length depends on what is said.
    """
    rate = speaker.words_per_minute * (1 + rng.uniform(-RATE_JITTER, RATE_JITTER))
    pitch = speaker.pitch + rng.uniform(-PITCH_JITTER, PITCH_JITTER)
    snr = speaker.snr + rng.uniform(-SNR_JITTER, SNR_JITTER)
    pauses = [round(rng.uniform(*PAUSE) * SAMPLING_RATE) for _ in range(2)]
    clean = engines.resample(
        *engines.load(of.engine).say(
            of.language,
            speech,
            speaker.voice,
            words_per_minute=round(max(80, rate)),
            pitch=round(np.clip(pitch, 0, 100)),
            seed=int(rng.integers(1, 2**31)),
        ),
        SAMPLING_RATE,
    )
    power = np.mean(clean**2)
    clean = np.pad(clean, pauses)
    noise = coloured_noise(len(clean), speaker.noise_slope, rng)
    noisy = clean + noise * np.sqrt(power / 10 ** (snr / 10))
    return PEAK * noisy / np.abs(noisy).max()


def coloured_noise(n_samples: int, slope: float, rng: np.random.Generator) -> np.ndarray:
    """Noise (n_samples,) of power 1 that falls with frequency f as f ** -slope above 50 Hz."""
    length = next_fast_len(n_samples, real=True)
    spectrum = np.fft.rfft(rng.standard_normal(length))
    frequencies = np.fft.rfftfreq(length, 1 / SAMPLING_RATE)
    noise = np.fft.irfft(spectrum * np.maximum(frequencies, 50) ** (-slope / 2), length)
    noise = noise[:n_samples]
    return noise / np.sqrt(np.mean(noise**2))
