"""Simulated learners: prompts, pronunciation errors by L1, and espeak-ng saying what comes of them.

A speaker has a voice, a base pitch and rate, an L1, an error scale (the rules' rates times this:
how proficient they are) and a level and colour of noise; each utterance jitters pitch, rate and
noise a little. Splits share no speaker, no voice and no prompt. Every utterance has a random
generator of its own, from the seed and its id: the number of jobs changes nothing, and both
conventions describe the same audio.
"""

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import Pool
from pathlib import Path
from zlib import crc32

import numpy as np
import soundfile
from scipy.fft import next_fast_len

from l2dual import phonology, synth
from l2dual.corpora import SPLITS, Utterance
from l2dual.errors import UsageError
from l2dual.phonology.audible import read_table

SAMPLING_RATE = 16000
PER_SPLIT = ("utterances", "speakers", "voices")
# Ranges [lowest, highest] that speakers are drawn from, and what the values must lie between.
RANGES = {
    "error_scale": (0.01, 10),  # log-uniform; 1: an average learner
    "words_per_minute": (80, 450),
    "pitch": (0, 100),  # espeak's scale: 50 is the voice's own
    "snr": (-10, 100),  # dB
}
PITCH_JITTER, RATE_JITTER, SNR_JITTER = 2.0, 0.04, 1.0  # half-widths: espeak's scale, share, dB
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
class Task:
    """All that a worker needs for one utterance."""

    id: str
    split: str
    speaker: Speaker
    text: str
    language: str
    convention: str
    seed: int
    write_to: Path
    audio: Path


def prepare(
    language: str,
    preset: dict,
    convention: str,
    out_dir: Path,
    audio_dir: Path,
    nj: int,
    seed: int,
    preset_file: str = "preset",
) -> tuple[Iterator[Utterance], dict]:
    """Utterances, made as they are drawn, and the facts for ``corpus.yaml``.

    Audio is written as 16 kHz 16-bit FLAC files to a folder of ``out_dir`` with the name of
    ``audio_dir``; the utterances say that it lies in ``audio_dir``, where ``out_dir`` will be
    once it is renamed. ``preset``: the content of conf/simulated_*.yaml. Raises UsageError, naming
    ``preset_file`` and the key, if the preset is not right.
    """
    check_preset(preset, preset_file)
    module = phonology.load(language)
    prompts = module.sentences(seed)
    held_out = preset["utterances"]["test"] + preset["utterances"]["valid"]
    if held_out >= len(prompts):
        raise UsageError(
            f"{preset_file}: utterances: valid and test need {held_out} prompts, but {language} has"
            f" {len(prompts)} and train needs some; ask for fewer"
        )
    write_to = out_dir / audio_dir.name
    write_to.mkdir(parents=True, exist_ok=True)
    tasks = [
        Task(name, split, speaker, text, language, convention, seed, write_to, audio_dir)
        for split in SPLITS
        for name, speaker, text in _cast(split, preset, module.L1S, prompts, seed)
    ]
    measured = read_table(language)
    used = {l1: [rule.name for rule in module.rules(l1)] for l1 in module.L1S}
    facts = {
        "corpus": "simulated",
        "language": language,
        "convention": convention,
        "surface_unit": "phone" if (language, convention) == ("en", "pronounced") else "char",
        "meaning_unit": "char",
        "engine": synth.version(),
        "seed": seed,
        "settings": preset,
        "prompts": len(prompts),
        "rules": used,
        "inaudible_rules": sorted(name for name, row in measured.items() if not row["audible"]),
    }
    return _run(tasks, nj), facts


def check_preset(preset: dict, file: str) -> None:
    """Raise a UsageError that names ``file`` and the key if ``preset`` is not right."""
    for key in sorted(preset.keys() ^ {*PER_SPLIT, *RANGES}):
        state = "unknown: remove it" if key in preset else "missing: add it"
        raise UsageError(f"{file}: the key '{key}' is {state}")
    for key in PER_SPLIT:
        value = preset[key]
        if not isinstance(value, dict) or set(value) != set(SPLITS):
            raise UsageError(f"{file}: {key}: give a value for each of {', '.join(SPLITS)}")
    for key in ("utterances", "speakers"):
        for split, number in preset[key].items():
            if type(number) is not int or number < 1:
                raise UsageError(f"{file}: {key}: {split}: {number} is not a whole number above 0")
    voices = []
    for split, names in preset["voices"].items():
        if preset["speakers"][split] > preset["utterances"][split]:
            raise UsageError(f"{file}: speakers: {split} has more speakers than utterances")
        if not isinstance(names, list) or not names:
            raise UsageError(f"{file}: voices: {split}: give a list of voice variants")
        voices += names
    for name in voices:
        if name not in synth.variants():
            raise UsageError(f"{file}: voices: espeak-ng has no variant '{name}'; remove it")
        if voices.count(name) > 1:
            raise UsageError(f"{file}: voices: '{name}' stands twice; splits share no voice")
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


def _cast(
    split: str, preset: dict, l1s: tuple[str, ...], prompts: list[str], seed: int
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
    speakers = _speakers(split, preset, l1s, seed)
    for number in range(preset["utterances"][split]):
        speaker = speakers[number % len(speakers)]
        name = f"{speaker.name}-{number:05d}"
        yield name, speaker, prompts[first + number % (last - first)]


def _speakers(split: str, preset: dict, l1s: tuple[str, ...], seed: int) -> list[Speaker]:
    """The speakers of one split: L1s and voices in equal shares, error scales spread evenly."""
    number = preset["speakers"][split]
    voices = preset["voices"][split]
    rng = _generator(seed, split)
    shuffled_l1s, shuffled_voices, ranks = (rng.permutation(number) for _ in range(3))
    speakers = []
    for i in range(number):
        name = f"{split}{i:03d}"
        rng = _generator(seed, name)
        low, high = preset["error_scale"]
        speakers.append(
            Speaker(
                name=name,
                voice=voices[shuffled_voices[i] % len(voices)],
                l1=l1s[shuffled_l1s[i] % len(l1s)],
                error_scale=low * (high / low) ** ((ranks[i] + rng.random()) / number),
                words_per_minute=rng.uniform(*preset["words_per_minute"]),
                pitch=rng.uniform(*preset["pitch"]),
                snr=rng.uniform(*preset["snr"]),
                noise_slope=rng.uniform(0, 2),
            )
        )
    return speakers


def _run(tasks: list[Task], nj: int) -> Iterator[Utterance]:
    """The utterances in the order of ``tasks``, with a line on stderr every few seconds."""
    shown = time.monotonic()
    with Pool(nj) as pool:
        for number, utterance in enumerate(pool.imap(_make, tasks, chunksize=8), 1):
            if time.monotonic() - shown > REPORT_EVERY or number == len(tasks):
                shown = time.monotonic()
                print(f"progress: synthesized {number} of {len(tasks)} utterances", file=sys.stderr)
            yield utterance


def _make(task: Task) -> Utterance:
    """Say and write one utterance."""
    module = phonology.load(task.language)
    speaker = task.speaker
    rng = _generator(task.seed, task.id)
    standard = module.canonical(task.text)
    rules = module.rules(speaker.l1)
    speech = module.mispronounce(standard, rules, speaker.error_scale, rng)
    samples = _record(module.phonemes(speech), f"{module.VOICE}+{speaker.voice}", speaker, rng)
    _write_flac(task.write_to / f"{task.id}.flac", samples)
    if task.convention == "heard":
        surface, canonical = module.heard(task.text, speech), task.text
    else:
        surface, canonical = module.pronounced(speech), module.pronounced(standard)
    return Utterance(
        id=task.id,
        split=task.split,
        speaker=speaker.name,
        audio=task.audio / f"{task.id}.flac",
        surface=surface,
        meaning=task.text,
        canonical=canonical,
        l1=speaker.l1,
    )


def _record(phonemes: str, voice: str, speaker: Speaker, rng: np.random.Generator) -> np.ndarray:
    """Samples (T,) at 16 kHz of the phonemes in the speaker's way, with pauses and noise."""
    rate = speaker.words_per_minute * (1 + rng.uniform(-RATE_JITTER, RATE_JITTER))
    pitch = speaker.pitch + rng.uniform(-PITCH_JITTER, PITCH_JITTER)
    clean = synth.resample(
        *synth.say(
            phonemes,
            voice,
            words_per_minute=round(max(80, rate)),
            pitch=round(np.clip(pitch, 0, 100)),
            seed=int(rng.integers(1, 2**31)),
        ),
        SAMPLING_RATE,
    )
    power = np.mean(clean**2)
    pauses = [round(rng.uniform(*PAUSE) * SAMPLING_RATE) for _ in range(2)]
    clean = np.pad(clean, pauses)
    noise = coloured_noise(len(clean), speaker.noise_slope, rng)
    snr = speaker.snr + rng.uniform(-SNR_JITTER, SNR_JITTER)
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


def _write_flac(path: Path, samples: np.ndarray) -> None:
    temporary = path.with_suffix(".tmp")
    soundfile.write(temporary, samples, SAMPLING_RATE, format="FLAC", subtype="PCM_16")
    temporary.replace(path)
