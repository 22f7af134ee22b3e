"""What was recognized, as text for a terminal, JSON, TSV, a TextGrid or subtitles."""

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from praatio.utilities.textgrid_io import getTextgridAsStr

from l2dual.errors import DataError
from l2dual.inference.result import Recognized, Step, Token, Transcription
from l2dual.text.units import pad, width

RED, BOLD, PLAIN = "\x1b[31m", "\x1b[1m", "\x1b[0m"
HEAD = ("surface", "meaning")
CUE_SECONDS, CUE_LETTERS, CUE_PAUSE = 6.0, 42, 0.7  # what a subtitle holds at most; the pause that ends it
TSV = ("file", "seconds", "surface", "meaning", "differences")


def as_json(found: Recognized) -> str:
    """One line: all that was recognized, but for the steps of the alignment."""
    content = dataclasses.asdict(found)
    del content["alignment"]
    return json.dumps(content, ensure_ascii=False)


def as_tsv(found: Recognized) -> str:
    """A row under `TSV`: the differences as ``said/due start-end``, between semicolons."""
    texts = ["" if one is None else one.text for one in (found.surface, found.meaning)]
    differing = "; ".join(f"{one.surface or '-'}/{one.meaning or '-'}{_when(one)}" for one in found.differences)
    return "\t".join(_cell(one) for one in (found.name, f"{found.seconds:.2f}", *texts, differing))


def _when(one) -> str:
    return "" if one.start is None else f" {one.start:.2f}-{one.end:.2f}"


def _cell(text: str) -> str:
    return " ".join(text.split())


def as_text(found: Recognized, columns: int = 100, color: bool = False) -> str:
    """Both lines under each other, marks under the places that differ, in lines of at most ``columns``."""
    lines = [f"{found.name} ({found.seconds:.1f} s)".lstrip()]
    given = {name: one.text for name in HEAD if (one := getattr(found, name))}
    if not found.alignment:
        return "\n".join([*lines, *(f"{name}  {text}".rstrip() for name, text in given.items())])
    due = "meaning"
    if found.convention == "pronounced":
        lines.append(f"meaning  {given['meaning']}")
        due = "due"
    joint = " " if (found.language, found.convention) == ("en", "pronounced") else ""
    for part in _wrapped(found.alignment, columns - len("surface  "), joint):
        lines += _block(part, due, joint, color)
    return "\n".join(lines)


def _size(step: Step, joint: str) -> int:
    return max(width(step.due), width(step.said)) + len(joint)


def _wrapped(steps: Iterable[Step], columns: int, joint: str) -> Iterator[list[Step]]:
    """Parts of an alignment that fit on a line, ended at a space where there is one."""
    line: list[Step] = []
    for step in steps:
        line.append(step)
        if sum(_size(one, joint) for one in line) <= columns:
            continue
        ends = [i for i, one in enumerate(line[:-1], 1) if one.due == one.said == " "]
        end = ends[-1] if ends else len(line) - 1
        yield line[:end]
        line = line[end:]
    if line:
        yield line


def _block(steps: list[Step], due: str, joint: str, color: bool) -> list[str]:
    rows: dict[str, str] = {"surface": "", due: "", "": ""}
    for step in steps:
        columns = _size(step, joint) - len(joint)
        for name, text in (("surface", step.said), (due, step.due)):
            cell = pad(text or "-" * columns, columns)
            marked = color and not step.is_same and name == "surface"
            rows[name] += (f"{BOLD}{RED}{cell}{PLAIN}" if marked else cell) + joint
        rows[""] += (" " if step.is_same else "^") * columns + joint
    return [line for name, row in rows.items() if (line := f"{name:9}{row}".rstrip())]


class Timed(NamedTuple):
    """A word or phone of a transcription; its first token's start and its last token's end in seconds."""

    text: str
    start: float
    end: float


def words(said: Transcription, joint: str = "") -> list[Timed]:
    """The words of a transcription, or its phones where these are joined by ``joint``.

    Raises:
        DataError: their times are not known.
    """
    groups: list[list[Token]] = [[]]
    for token in said.tokens:
        if token.text == " " or joint:
            groups.append([])
        if token.text != " ":
            groups[-1].append(token)
    return [_word(group) for group in groups if group]


def _word(tokens: list[Token]) -> Timed:
    start, end = tokens[0].start, tokens[-1].end
    if start is None or end is None:
        raise DataError("the model has no CTC here, so no times: choose --format text, json or tsv")
    return Timed("".join(token.text for token in tokens), start, end)


def as_textgrid(found: Recognized) -> str:
    """Praat's long format: a tier of each output's words (of ARPAbet: phones), and one of the differences."""
    tiers = {name: words(one, _joint(found, name)) for name in HEAD if (one := getattr(found, name))}
    tiers["differences"] = [
        Timed(f"{one.surface or '-'}/{one.meaning or '-'}", one.start, one.end)
        for one in found.differences
        if one.start is not None and one.end is not None
    ]
    seconds = round(found.seconds, 3)
    span = {"xmin": 0, "xmax": seconds}
    kind = {"class": "IntervalTier"} | span
    grid = span | {"tiers": [kind | {"name": name, "entries": _apart(parts, seconds)} for name, parts in tiers.items()]}
    return getTextgridAsStr(grid, "long_textgrid", includeBlankSpaces=True)


def _apart(parts: list[Timed], seconds: float) -> list[tuple[float, float, str]]:
    """Start, end and text of intervals that do not overlap or pass the end, those of no length left out."""
    found, now = [], 0.0
    for one in parts:
        start, end = max(now, round(one.start, 3)), min(round(one.end, 3), seconds)
        if end > start:
            found.append((start, end, one.text))
            now = end
    return found


def _joint(found: Recognized, output: str) -> str:
    phones = (found.language, found.convention, output) == ("en", "pronounced", "surface")
    return " " if phones else ""


def as_srt(found: Recognized) -> str:
    """Subtitles: the surface above the meaning."""
    tiers = {name: words(one, _joint(found, name)) for name in HEAD if (one := getattr(found, name))}
    lead = tiers.get("meaning") or tiers.get("surface") or []
    cues = _cues(lead)
    lines = []
    for number, cue in enumerate(cues, 1):
        start = 0.0 if number == 1 else cue[0].start
        end = cues[number][0].start if number < len(cues) else found.seconds
        lines += [str(number), f"{_stamp(cue[0].start)} --> {_stamp(cue[-1].end)}"]
        for parts in tiers.values():
            text = " ".join(one.text for one in parts if start <= (one.start + one.end) / 2 < end)
            lines.append(text or "-")
        lines.append("")
    return "\n".join(lines)


def _cues(parts: list[Timed]) -> list[list[Timed]]:
    found: list[list[Timed]] = []
    for one in parts:
        last = found[-1] if found else None
        if (
            last
            and one.end - last[0].start <= CUE_SECONDS
            and one.start - last[-1].end <= CUE_PAUSE
            and sum(len(word.text) + 1 for word in last) + len(one.text) <= CUE_LETTERS
        ):
            last.append(one)
        else:
            found.append([one])
    return found


def _stamp(seconds: float) -> str:
    whole = round(1000 * seconds)
    return f"{whole // 3600000:02d}:{whole // 60000 % 60:02d}:{whole // 1000 % 60:02d},{whole % 1000:03d}"


class Format(NamedTuple):
    """A way to write what was recognized."""

    write: Callable[[Recognized], str]
    suffix: str
    alone: bool = False  # whether a file of it holds one recording


FORMATS = {
    "text": Format(as_text, ".txt"),
    "json": Format(as_json, ".json"),
    "tsv": Format(as_tsv, ".tsv"),
    "textgrid": Format(as_textgrid, ".TextGrid", alone=True),
    "srt": Format(as_srt, ".srt", alone=True),
}
