"""The audible gate: a rule whose two sides espeak-ng renders alike is not used with it.

A language module offers ``contrasts() -> dict[str, list[tuple[str, str]]]``: for every rule of its
YAML file, by name (native rules too), pairs of espeak-ng phoneme strings, words or short phrases,
the first without the rule and the second with the rule applied once; three to eight pairs of unlike
words. ``python -m l2dual.bin.measure_rules --language LANGUAGE`` measures them and writes
``rules/audible.<language>.json``; the module asks ``audible_rules(language)`` which names to use.

How it is measured. Both strings are synthesized with the same voice, rate and pitch; the log-mel
spectra (20 bands, wide enough to hide a high voice's harmonics, 25 ms windows every 10 ms, floor
40 dB under the louder peak: what lies lower is lost in a corpus's noise) are aligned by dynamic
time warping, so that a mere change of duration counts nothing. The distance is the greatest mean
over 50 ms of the path (a short phone) of the root mean square difference in dB. The unit is the
same distance between two renderings of the *first* string at pitches 45 and 55 of espeak's 100,
less than speakers of a corpus differ by: a change that is not clearly bigger cannot be learned
from many voices. A rule is audible if the median of this ratio over pairs and voices reaches
THRESHOLD, which lies in a gap of the data: pairs that espeak-ng renders alike give 0 (Korean ㅅ/ㅆ;
English k'A:t/k'0t) or less than 1.1 (car with a separate r, which it merges into the vowel); the
weakest change of the rules gives 2.2.
"""

import json
from functools import cache
from itertools import product
from pathlib import Path
from statistics import median

import librosa
import numpy as np

from l2dual import synth
from l2dual.errors import DataError

FOLDER = Path(__file__).parent / "rules"
VARIANTS = ("", "+f2", "+m3")
THRESHOLD = 1.5
FLOOR = 40.0  # dB
SPAN = 5  # path steps of 10 ms


@cache
def audible_rules(language: str) -> frozenset[str]:
    """Names of the rules that may be used with espeak-ng."""
    return frozenset(name for name, row in read_table(language).items() if row["audible"])


def read_table(language: str) -> dict[str, dict]:
    """``rules/audible.<language>.json``: per rule its ratio, number of pairs, and verdict."""
    path = FOLDER / f"audible.{language}.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))["rules"]
    except FileNotFoundError:
        raise DataError(
            f"{path} is missing; make it: python -m l2dual.bin.measure_rules --language {language}"
        ) from None


def measure(voice: str, contrasts: dict[str, list[tuple[str, str]]]) -> dict[str, dict]:
    """Per rule: {"ratio": median over pairs and voices, "pairs": how many, "audible": verdict}."""
    table = {}
    for name, pairs in sorted(contrasts.items()):
        if not pairs:
            raise DataError(f"rule {name}: no word of the lexicon shows it; add one, or drop it")
        ratios = [ratio(voice + variant, *pair) for pair, variant in product(pairs, VARIANTS)]
        value = round(median(ratios), 2)
        table[name] = {"ratio": value, "pairs": len(pairs), "audible": value >= THRESHOLD}
    return table


def ratio(voice: str, plain: str, changed: str) -> float:
    """Distance of the two renderings, in units of the effect of a small change of pitch."""
    change = distance(_say(plain, voice), _say(changed, voice))
    return change / distance(_say(plain, voice, pitch=45), _say(plain, voice, pitch=55))


def distance(one: np.ndarray, other: np.ndarray) -> float:
    """Greatest mean difference, in dB, of two mel spectrograms (bands, frames) in dB, over 50 ms
    of the path that dynamic time warping aligns them by."""
    floor = max(one.max(), other.max()) - FLOOR
    one, other = np.maximum(one, floor).T, np.maximum(other, floor).T
    cost = np.sqrt(((one[:, None] - other[None]) ** 2).mean(axis=2))  # (frames, frames)
    along = [cost[i, j] for i, j in _path(cost)]
    return float(np.convolve(along, np.ones(SPAN) / SPAN, mode="valid").max())


def _path(cost: np.ndarray) -> list[tuple[int, int]]:
    """The cheapest monotonic path through ``cost`` from corner to corner."""
    total = np.full((cost.shape[0] + 1, cost.shape[1] + 1), np.inf).tolist()
    total[0][0] = 0.0
    for i, row in enumerate(cost.tolist()):
        above, here = total[i], total[i + 1]
        for j, value in enumerate(row):
            here[j + 1] = value + min(above[j], above[j + 1], here[j])
    i, j = cost.shape
    path = [(i - 1, j - 1)]
    while (i, j) != (1, 1):
        steps = ((i - 1, j - 1), (i - 1, j), (i, j - 1))
        i, j = min(steps, key=lambda step: total[step[0]][step[1]])
        path.append((i - 1, j - 1))
    return path


def _say(phonemes: str, voice: str, pitch: int = 50) -> np.ndarray:
    samples = synth.resample(*synth.say(phonemes, voice, words_per_minute=120, pitch=pitch))
    mel = librosa.feature.melspectrogram(
        y=samples, sr=16000, n_fft=512, win_length=400, hop_length=160, n_mels=20
    )
    return librosa.power_to_db(mel, top_db=None)
