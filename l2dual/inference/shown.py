"""Feedback for people and programs: a terminal's lines, JSON, and one page with everything in it."""

import base64
import io
import json
import math
from dataclasses import asdict

import numpy as np
import soundfile

from l2dual.inference.feedback import Feedback
from l2dual.inference.result import JudgedSound, JudgedWord
from l2dual.inference.tips import Tips
from l2dual.pages import fill
from l2dual.text.units import pad, width

COLUMNS = 100  # of a terminal
BARS = 250  # of the waveform
NOTHING = "–"


def as_json(told: Feedback) -> str:
    """All of it; fields are those of `Feedback`, but for the limits, ``wrong_below`` and ``unsure_below``."""
    content = asdict(told)
    wrong, unsure = content.pop("limits")
    content |= {"wrong_below": wrong, "unsure_below": unsure}
    return json.dumps(content, ensure_ascii=False, indent=1)


def as_text(told: Feedback, tips: Tips) -> str:
    """Lines for a terminal: what was meant and said, one below the other, and what to do."""
    phrases = tips.phrases
    lines = [f"{told.name}  {told.seconds:.1f} s", ""]
    lines += _columns(told, tips)
    lines += [f"! {note}" for note in told.notes]
    lines += [ratings(told, tips)] * bool(told.ratings)
    if not told.unheard:
        lines.append(phrases["errors"] if told.errors[0] else phrases["nothing"])
    first, rest = told.errors
    for number, word in enumerate(first, 1):
        score = phrases["score"].format(score=round(100 * word.score)) + word_rating(word, tips)
        lines.append(f" {number}. {word.text}  {word.start:.1f}-{word.end:.1f} s, {score}")
        lines += [f"    {sentence}" for sentence in word.sentences]
    if rest:
        lines.append(f"{phrases['more']}: {', '.join(word.text for word in rest)}")
    if told.unsure:
        lines.append(f"{phrases['unsure']}: {', '.join(word.text for word in told.unsure)}")
    return "\n".join(lines)


def ratings(told: Feedback, tips: Tips) -> str:
    """What raters would give to the whole, in a line; empty without a rater."""
    names = tips.phrases["rated"]
    scores = ", ".join(f"{names[name]} {score:.1f}" for name, score in told.ratings.items() if name in names)
    return tips.phrases["ratings"].format(scores=scores) if scores else ""


def word_rating(word: JudgedWord, tips: Tips) -> str:
    """What raters would give to a word, behind a comma; empty without a rater."""
    return tips.phrases["word_rating"].format(score=f"{word.ratings['total']:.1f}") if "total" in word.ratings else ""


def as_page(told: Feedback, tips: Tips, written: str, samples: np.ndarray, rate: int) -> str:
    """One HTML page with the recording (T,) in it; it needs no network."""

    def hear(word: JudgedWord) -> str:
        times = {"start": f"{word.start:.1f}", "end": f"{word.end:.1f}"}
        return tips.phrases["hear"].format(word=word.text, **times)

    first, rest = told.errors
    content = {
        "told": told,
        "phrases": tips.phrases,
        "written": written,
        "numbered": [*first, *rest],
        "first": len(first),
        "error": round(100 * told.limits.wrong),
        "unsure": round(100 * told.limits.unsure),
        "ratings": ratings(told, tips),
        "word_rating": lambda word: word_rating(word, tips),
        "symbol": tips.symbol,
        "heard": lambda sound: tips.symbol(_heard(sound)) if _heard(sound) else NOTHING,
        "hear": hear,
        "wave": waveform(samples),
        "audio": base64.b64encode(wav(samples, rate)).decode(),
    }
    return fill("l2dual.inference", "feedback.html", content)


def waveform(samples: np.ndarray) -> str:
    """Path of an SVG, 1000 wide and 100 high: one bar for each part of the recording."""
    parts = np.array_split(np.abs(samples), min(BARS, max(1, len(samples))))
    peaks = np.array([part.max(initial=0.0) for part in parts])
    peaks = peaks / max(peaks.max(initial=0.0), 1e-9)
    step = 1000 / len(peaks)
    bars = ((step * (i + 0.5), max(0.6, 46 * math.sqrt(peak))) for i, peak in enumerate(peaks))
    return "".join(f"M{x:.1f} {50 - half:.1f}v{2 * half:.1f}" for x, half in bars)


def wav(samples: np.ndarray, rate: int) -> bytes:
    """A WAV file of 16 bits, which every browser plays, and whose times are exact."""
    stream = io.BytesIO()
    soundfile.write(stream, samples, rate, format="WAV", subtype="PCM_16")
    return stream.getvalue()


def _heard(sound: JudgedSound) -> str:
    """What stands in the line of what was said: where it is not sure, what was due."""
    return sound.said if sound.verdict in ("wrong", "unheard") else sound.due


def _columns(told: Feedback, tips: Tips) -> list[str]:
    """Words with their sounds below, as many beside each other as the terminal holds."""
    names = [tips.phrases[name] for name in ("meant", "due", "said")]
    left = max(map(width, names)) + 2
    blocks: list[list[list[str]]] = [[]]
    used = left
    for word in told.words:
        cells = _cells(word, tips)
        size = max(map(width, cells)) + 2
        if used + size > COLUMNS and blocks[-1]:
            blocks.append([])
            used = left
        blocks[-1].append([pad(cell, size) for cell in cells])
        used += size
    lines = []
    for block in blocks:
        for row, name in enumerate(names):
            lines.append((pad(name, left) + "".join(cells[row] for cells in block)).rstrip())
        lines.append("")
    return lines


def _cells(word: JudgedWord, tips: Tips) -> list[str]:
    """A word, its sounds that were due, and those that were said, the wrong ones in brackets."""
    rows: list[list[str]] = [[], []]
    for sound in word.sounds:
        pair = [tips.symbol(one) if one else NOTHING for one in (sound.due, _heard(sound))]
        if sound.verdict == "wrong":
            pair = [f"[{one}]" for one in pair]
        size = max(map(width, pair))
        for row, one in zip(rows, pair, strict=True):
            row.append(pad(one, size))
    return [word.text, *(" ".join(row).rstrip() for row in rows)]
