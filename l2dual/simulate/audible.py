"""The audible gate: a rule whose two sides an engine renders alike is not used with that engine.

A language module offers ``contrasts() -> dict[str, list[tuple[Speech, Speech]]]``: for every rule
of its YAML file, by name (native rules too), pairs of words as they are said, the first without
the rule and the second with the rule applied once; three to eight pairs of unlike words.
``python -m l2dual.bin.simulator measure --language LANGUAGE --engine ENGINE`` measures them and
writes ``rules/audible.<language>.<engine>.json``; the module asks ``audible_rules(language, engine)``
which names to use.

How it is measured. Both are said with the same voice, rate and pitch; the log-mel spectra (20
bands, wide enough to hide a high voice's harmonics, 25 ms windows every 10 ms, floor 40 dB under
the louder peak: lower energy is lost in a corpus's noise) are aligned by dynamic time warping,
so that a mere change of duration counts nothing. The distance is the greatest mean over 50 ms of
the path (a short phone) of the root mean square difference in dB. The unit is the same distance
between two renderings of the *first* word at pitches 45 and 55 of 100, less than speakers of a
corpus differ by: a change that is not clearly bigger cannot be learned from many voices. A rule is
audible if the median of this ratio over pairs and voices reaches the engine's threshold:

espeak: in a gap of the data. Pairs that it renders alike give 0 (Korean ㅅ/ㅆ; English k'A:t/k'0t)
    or less than 1.1 (car with a separate r, which it merges into the vowel); the weakest change of
    the rules gives 2.2.
kokoro: its samples played 2.5 % slower and faster are the unit. Whatever changes in its input
    changes the whole rendering a little: the same phonemes with a full stop after them, or said 3 %
    faster, give 0.7 to 2.1 (median 1.3; 30 pairs). The median of three such ratios stays under 1.65
    in 95 of 100 draws. There is no gap: a rule just below may be heard in other words.
"""

import json
from collections.abc import Callable, Hashable
from functools import cache
from itertools import product
from pathlib import Path
from statistics import median

import librosa
import numpy as np

from l2dual.errors import DataError
from l2dual.files import atomic_write
from l2dual.simulate import engines, phonology

FOLDER = Path(__file__).parent / "rules"
VOICES = {
    "espeak": {"en": ("", "f2", "m3"), "ko": ("", "f2", "m3")},
    "kokoro": {"en": ("af_heart",), "ko": ("jf_alpha",)},
}
PAIRS = {"espeak": 8, "kokoro": 3}  # at most; Kokoro is slow
THRESHOLDS = {"espeak": 1.5, "kokoro": 1.65}
FLOOR = 40.0  # dB
SPAN = 5  # path steps of 10 ms


@cache
def audible_rules(language: str, engine: str = "espeak") -> frozenset[str]:
    """Names of the rules that may be used with ``engine``."""
    return frozenset(name for name, row in measured_rules(language, engine).items() if row["audible"])


def measured_rules(language: str, engine: str = "espeak") -> dict[str, dict]:
    """``rules/audible.<language>.<engine>.json``: per rule its ratio, number of pairs, verdict."""
    path = rules_file(language, engine)
    try:
        return json.loads(path.read_text(encoding="utf-8"))["rules"]
    except FileNotFoundError:
        raise DataError(
            f"{path} is missing; run python -m l2dual.bin.simulator measure"
            f" --language {language} --engine {engine}"
        ) from None


def write_rules(language: str, engine: str) -> dict[str, dict]:
    """Measure the rules and write what `measured_rules` reads; return it."""
    rules = measure(language, phonology(language).contrasts(), engine)
    facts = {"engine": engines.load(engine).version(), "threshold": THRESHOLDS[engine]}
    with atomic_write(rules_file(language, engine)) as stream:
        json.dump(facts | {"rules": rules}, stream, indent=1, ensure_ascii=False)
        stream.write("\n")
    return rules


def rules_file(language: str, engine: str) -> Path:
    return FOLDER / f"audible.{language}.{engine}.json"


def measure(
    language: str, contrasts: dict[str, list[tuple]], engine: str = "espeak"
) -> dict[str, dict]:
    """Per rule: {"ratio": median over pairs and voices, "pairs": how many, "audible": verdict}."""
    say = engines.load(engine).say

    @cache
    def spectrum(speech, voice: str, pitch: int) -> np.ndarray:
        return log_mel(*say(language, speech, voice, words_per_minute=120, pitch=pitch))

    table = {}
    for name, pairs in sorted(contrasts.items()):
        if not pairs:
            raise DataError(f"rule {name}: no word of the lexicon shows it; add one, or drop it")
        pairs = pairs[: PAIRS[engine]]
        ratios = [
            ratio(lambda speech, pitch, voice=voice: spectrum(speech, voice, pitch), *pair)
            for pair, voice in product(pairs, VOICES[engine][language])
        ]
        value = round(median(ratios), 2)
        audible = value >= THRESHOLDS[engine]
        table[name] = {"ratio": value, "pairs": len(pairs), "audible": audible}
    return table


def ratio(spectrum: Callable[[Hashable, int], np.ndarray], plain, changed) -> float:
    """Distance of what is said, in units of the effect of a small change of pitch.

    ``spectrum(speech, pitch)`` is the log-mel spectrogram of ``speech`` in one voice.
    """
    change = distance(spectrum(changed, 50), spectrum(plain, 50))
    return change / distance(spectrum(plain, 45), spectrum(plain, 55))


def distance(one: np.ndarray, other: np.ndarray) -> float:
    """Greatest mean difference, in dB, of two mel spectrograms (bands, frames) in dB, over 50 ms
    of the path that dynamic time warping aligns them by."""
    floor = max(one.max(), other.max()) - FLOOR
    one, other = np.maximum(one, floor).T, np.maximum(other, floor).T
    cost = np.sqrt(((one[:, None] - other[None]) ** 2).mean(axis=2))  # (frames, frames)
    _, path = librosa.sequence.dtw(C=cost)  # pairs of frames, (steps, 2)
    along = cost[tuple(path.T)]
    return float(np.convolve(along, np.ones(SPAN) / SPAN, mode="valid").max())


def log_mel(samples: np.ndarray, rate: int) -> np.ndarray:
    """Log-mel spectrogram (bands, frames) in dB of ``samples`` (T,) at ``rate`` Hz."""
    samples = engines.resample(samples, rate)
    mel = librosa.feature.melspectrogram(
        y=samples, sr=16000, n_fft=512, win_length=400, hop_length=160, n_mels=20
    )
    return librosa.power_to_db(mel, top_db=None)
