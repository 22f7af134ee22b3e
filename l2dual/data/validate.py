"""Check a data directory: what is wrong, and in which line."""

import os
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Generator, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from l2dual.data.audio import FORMATS
from l2dual.data.datadir import TABLES, UNKNOWN, is_wanted, outputs_of
from l2dual.data.findings import CHECKS, Finding
from l2dual.data.frames import Encoder, encoder_frames
from l2dual.data.recording import Recording, decode, is_pipe
from l2dual.errors import DataError, UsageError
from l2dual.files import is_id, leads_out, parse_yaml, read_text

SHORTEST = 0.1  # seconds: 8 frames of 10 ms and a window, for subsampling by 4
DURATION_TOLERANCE = 0.01  # seconds between utt2dur and the recording
SPEECH_RATES = (0.5, 25.0)  # letters or phones a second; speechocean762 has 1 to 12
BOM = b"\xef\xbb\xbf"
NO_FACTS = ("wav.scp", "utt2spk", "utt2dur", "utt2segment", "utt2speed")
FACTS = {  # of corpus.yaml; None: any value
    "corpus": None,
    "language": None,
    "convention": ("heard", "pronounced"),
    "surface_unit": ("char", "phone"),
    "meaning_unit": ("char", "phone"),
}
CHOICES = {  # of corpus.yaml, where they are given
    "surface": ("annotated", "assumed", "none"),
    "audio_format": (*FORMATS, "features"),
}


@dataclass(frozen=True)
class Options:
    """What to check against.

    Attributes:
        tokens: the token list (tokens.txt) of an output, by its name.
        encoder: its frames bound the tokens that CTC can align (see `l2dual.data.frames`);
            None: texts are not compared with frames.
        rate: Hz that stage 3 needs at least; corpus.yaml's sampling_rate wins.
        audio: whether to decode the recordings; else utt2dur has the durations.
        nj: processes that decode.
        allow_pipes: whether to run the commands (`CMD |`) in wav.scp.
    """

    tokens: Mapping[str, Path] = field(default_factory=dict)
    encoder: Encoder | None = None
    rate: int = 16000
    audio: bool = True
    nj: int = 1
    allow_pipes: bool = False


class Row(NamedTuple):
    """One line of a table, cleaned; ``value`` is empty where it could not be read."""

    line: int
    value: str
    readable: bool = True


@dataclass
class Directory:
    """A data directory as its files have it: rows by table and utterance."""

    path: Path
    info: dict = field(default_factory=dict)
    tables: dict[str, dict[str, Row]] = field(default_factory=dict)
    speakers: dict[str, Row] | None = None  # spk2utt, where there is one
    seconds: dict[str, float] = field(default_factory=dict)

    def values(self, name: str) -> Iterator[tuple[str, Row]]:
        """Rows of a table that could be read and say something."""
        return ((utt, row) for utt, row in self.tables.get(name, {}).items() if row.value)

    def part(self, utt: str) -> str:
        """What utt2segment has on an utterance."""
        return self.tables.get("utt2segment", {}).get(utt, Row(0, UNKNOWN)).value or UNKNOWN

    def hertz(self, options: Options) -> int:
        """The sampling rate that corpus.yaml says; stage 3's where it says none."""
        rate = self.info.get("sampling_rate")
        return rate if isinstance(rate, int) and rate > 0 else options.rate


def validate(path: str | Path, options: Options = Options()) -> tuple[Directory, list[Finding]]:
    """Read a data directory, however faulty, and check it.

    Returns:
        The directory, its lines cleaned, and the findings by file, line and utterance.

    Raises:
        DataError: no such directory.
        UsageError: a token list can't be read.
    """
    directory = Directory(Path(path))
    if not directory.path.is_dir():
        raise DataError(f"{path}: no such directory or table: name a directory that has wav.scp, or a CSV or TSV file")
    found = [*_read_info(directory), *_read_tables(directory)]
    found += [*_ids(directory), *_missing(directory), *_speakers(directory), *_empty(directory)]
    found += [*_audio(directory, options), *_durations(directory), *_lengths(directory, options)]
    for output, tokens in options.tokens.items():
        found += _outside(directory, output, tokens)
    others = sorted({finding.file for finding in found} - {"spk2utt"})
    names = list(dict.fromkeys(["corpus.yaml", *TABLES, *others, "spk2utt"]))
    checks = list(CHECKS)
    return directory, sorted(
        found,
        key=lambda f: (names.index(f.file), f.line or 0, f.utterance or "", checks.index(f.check)),
    )


def _read_info(directory: Directory) -> Iterator[Finding]:
    file = directory.path / "corpus.yaml"
    if leads_out(file, directory.path):
        yield Finding("link", file.name)
        return
    try:
        text = read_text(file, "utf-8-sig")
        info = parse_yaml(text)
    except ValueError as error:  # a DataError is one too
        yield Finding("facts", file.name, detail=str(error).removeprefix(f"{file}: "))
        return
    if not isinstance(info, dict):
        yield Finding("facts", file.name, detail="no `key: value` lines")
        return
    directory.info = info
    for key, allowed in (FACTS | CHOICES).items():
        if key not in info and key in FACTS:
            yield Finding("facts", file.name, detail=f"no {key}")
        elif key in info and not (info[key] in allowed if allowed else isinstance(info[key], str)):
            detail = f"{key} is {info[key]!s:.99}, not {' or '.join(allowed or ['a name'])}"
            yield Finding("facts", file.name, _line_of(key, text), detail=detail)


def _line_of(key: str, text: str) -> int | None:
    starts = (n for n, line in enumerate(text.splitlines(), 1) if line.startswith(f"{key}:"))
    return next(starts, None)


def _read_tables(directory: Directory) -> Iterator[Finding]:
    path = directory.path
    there = {file.name for file in path.glob("utt2*")}
    there |= {name for name in TABLES if os.path.lexists(path / name)}
    for name in dict.fromkeys([*TABLES, *sorted(there)]):
        wanted = is_wanted(name, directory.info)
        if name in there and not wanted:
            yield Finding("unexpected", name)
            continue
        if name in there and (odd := _not_a_table(directory, name)):
            yield odd
            continue
        rows = (yield from _read_table(path / name)) if name in there else {}
        if rows or (wanted and name == "utt2l1"):
            directory.tables[name] = rows
        elif wanted:
            yield Finding("table", name)
    if os.path.lexists(path / "spk2utt"):
        if odd := _not_a_table(directory, "spk2utt"):
            yield odd
        else:
            directory.speakers = yield from _read_table(path / "spk2utt")


def _not_a_table(directory: Directory, name: str) -> Finding | None:
    """What is there instead of a table: it is not read, as it could be anything, without an end."""
    file = directory.path / name
    if leads_out(file, directory.path):
        return Finding("link", name)
    return None if file.is_file() else Finding("table", name, detail="not a regular file")


def _read_table(path: Path) -> Generator[Finding, None, dict[str, Row]]:
    """Yield what is wrong with the lines; return the rows, the first of each utterance."""
    name, content = path.name, path.read_bytes()
    rows: dict[str, Row] = {}
    if content.startswith(BOM):
        yield Finding("bom", name, 1)
        content = content.removeprefix(BOM)
    lines = content.removesuffix(b"\n").split(b"\n") if content else []
    returns = [number for number, line in enumerate(lines, 1) if line.endswith(b"\r")]
    if returns:
        detail = f"{len(returns)} of {len(lines)} lines"
        yield Finding("line_ends", name, returns[0], detail=detail)
    for number, line in enumerate(lines, 1):
        text = line.removesuffix(b"\r").decode("utf-8", "replace")
        utt, *_ = text.split(maxsplit=1)[:2] or [""]
        if not utt:
            yield Finding("blank", name, number)
            continue
        if "\ufffd" in text:
            row = Row(number, "", readable=False)
            yield Finding("encoding", name, number, utt)
        else:
            utt, row, changes = _clean(text, number, name)
            yield from (Finding(change, name, number, utt) for change in changes)
        if utt in rows:
            check = "repeated" if rows[utt][1:] == row[1:] else "conflict"
            yield Finding(check, name, number, utt, f"as in line {rows[utt].line}")
        else:
            rows[utt] = row
    keys = list(rows)
    behind = (after for before, after in pairwise(keys) if after < before)
    for utt in list(behind)[:1]:
        yield Finding("order", name, rows[utt].line, utt)
    return rows


def _clean(text: str, number: int, name: str) -> tuple[str, Row, list[str]]:
    """Return utterance, row, and the checks that the line failed."""
    bare = "".join(map(_bare, text))
    utt, _, value = bare.strip().replace("\t", " ").partition(" ")
    value = value.strip()
    spaced = value if name == "wav.scp" else " ".join(value.split())  # a path is as it is
    whole = spaced if name == "wav.scp" else unicodedata.normalize("NFC", spaced)
    named = unicodedata.normalize("NFC", utt)
    failed = {
        "control": bare != text,
        "spaces": f"{utt} {spaced}" != bare and bool(value),
        "nfc": (named, whole) != (utt, spaced),
    }
    return named, Row(number, whole), [check for check, fails in failed.items() if fails]


def _bare(char: str) -> str:
    """Return a character; nothing, or a space, for a control or zero-width one."""
    if char == "\t" or unicodedata.category(char) not in ("Cc", "Cf", "Zl", "Zp"):
        return char
    return " " if char.isspace() else ""


def _ids(directory: Directory) -> Iterator[Finding]:
    places: dict[str, tuple[str, int]] = {}
    for name, rows in directory.tables.items():
        for utt, row in rows.items():
            places.setdefault(utt, (name, row.line))
    for utt, (name, line) in places.items():
        if not is_id(utt):
            yield Finding("id", name, line, utt)
    for utt, row in directory.values("utt2spk"):
        if not is_id(row.value):
            yield Finding("id", "utt2spk", row.line, utt, f"speaker {row.value}")
        elif not utt.startswith(row.value):
            yield Finding("prefix", "utt2spk", row.line, utt, f"speaker {row.value}")


def _missing(directory: Directory) -> Iterator[Finding]:
    tables = directory.tables
    needed = [name for name in tables if name.startswith("text.") or name in NO_FACTS]
    where = defaultdict(list)
    for name in needed:
        for utt in tables[name]:
            where[utt].append(name)
    for utt, has in where.items():
        lacks = [name for name in needed if name not in has]
        if lacks and len(has) < len(lacks):
            detail = f"not in {', '.join(lacks)}"
            yield Finding("missing", has[0], tables[has[0]][utt].line, utt, detail)
        elif lacks:
            yield Finding("missing", lacks[0], None, utt, f"not in {', '.join(lacks)}")
    for name in tables:
        if name not in needed:
            whole = (utt for utt, has in where.items() if len(has) == len(needed))
            unknown = [utt for utt in whole if not tables[name].get(utt, Row(0, "")).value]
            if not tables[name]:
                yield Finding("fact", name, detail="the whole file")
            else:
                yield from (Finding("fact", name, None, utt) for utt in unknown)
            yield from (
                Finding("missing", name, row.line, utt, f"not in {', '.join(needed)}")
                for utt, row in tables[name].items()
                if utt not in where
            )


def _speakers(directory: Directory) -> Iterator[Finding]:
    if directory.speakers is None or "utt2spk" not in directory.tables:
        return
    right = utterances_of({utt: row.value for utt, row in directory.values("utt2spk")})
    for speaker in sorted(right.keys() | directory.speakers.keys()):
        row = directory.speakers.get(speaker)
        if row is None or row.value != right.get(speaker):
            yield Finding("speakers", "spk2utt", row and row.line, None, f"speaker {speaker}")


def utterances_of(speakers: Mapping[str, str]) -> dict[str, str]:
    """Turn utt2spk into spk2utt: {speaker: utterances, sorted}."""
    turned: dict[str, list[str]] = defaultdict(list)
    for utt in sorted(speakers):
        turned[speakers[utt]].append(utt)
    return {speaker: " ".join(utts) for speaker, utts in turned.items()}


def _empty(directory: Directory) -> Iterator[Finding]:
    for name, rows in directory.tables.items():
        if name.startswith("text.") or name in NO_FACTS:
            for utt, row in rows.items():
                if row.readable and not row.value:
                    yield Finding("empty", name, row.line, utt)


def _audio(directory: Directory, options: Options) -> Iterator[Finding]:
    """Check the recordings, and measure the utterances' seconds."""
    rows = dict(directory.values("wav.scp"))
    for utt, row in rows.items():
        if " " in row.value and not is_pipe(row.value):
            yield Finding("path", "wav.scp", row.line, utt)
    if not options.audio or directory.info.get("audio_format") == "features":
        return
    if not options.allow_pipes:
        pipes = {utt: row for utt, row in rows.items() if is_pipe(row.value)}
        yield from (Finding("pipe", "wav.scp", row.line, utt) for utt, row in pipes.items())
        rows = {utt: row for utt, row in rows.items() if utt not in pipes}
    recordings = _decoded(directory, options, rows)
    known = Counter(r.rate for r in recordings.values() if isinstance(r, Recording) and r.rate)
    usual = known.most_common(1)[0][0] if known else options.rate
    heard: dict[tuple, str] = {}
    for utt, row in rows.items():
        recording = recordings[row.value]
        if isinstance(recording, str):
            yield Finding("audio", "wav.scp", row.line, utt, recording)
            continue
        yield from _format(directory, options, utt, row, recording, usual)
        part = directory.part(utt)
        seconds = recording.parts[part]
        if isinstance(seconds, str):
            line = directory.tables["utt2segment"][utt].line
            yield Finding("segment", "utt2segment", line, utt, seconds)
            continue
        speed = directory.tables.get("utt2speed", {}).get(utt, Row(0, "1")).value or "1"
        directory.seconds[utt] = seconds / (_number(speed) or 1)
        first = heard.setdefault((recording.digest, part, speed), utt)
        if first != utt:
            yield Finding("same_audio", "wav.scp", row.line, utt, f"{first} has it")


def _decoded(
    directory: Directory, options: Options, rows: Mapping[str, Row]
) -> dict[str, Recording | str]:
    """Decode each place of wav.scp, with the parts of it that utterances are."""
    parts: dict[str, list[str]] = defaultdict(list)
    for utt, row in rows.items():
        parts[row.value].append(directory.part(utt))
    how = partial(decode, usual_rate=directory.hertz(options), allow_pipes=options.allow_pipes)
    with ProcessPoolExecutor(options.nj) as pool:
        return dict(zip(parts, pool.map(how, parts, parts.values(), chunksize=50), strict=True))


def _format(
    directory: Directory, options: Options, utt: str, row: Row, recording: Recording, usual: int
) -> Iterator[Finding]:
    wanted, rate = directory.info.get("sampling_rate"), recording.rate
    if rate and (rate != wanted if wanted else rate < options.rate):
        yield Finding("rate", "wav.scp", row.line, utt, f"{rate} Hz, not {wanted or options.rate}")
    elif rate and rate != usual:
        yield Finding("mixed_rates", "wav.scp", row.line, utt, f"{rate} Hz, most {usual}")
    if recording.channels > 1:
        yield Finding("channels", "wav.scp", row.line, utt, str(recording.channels))


def _durations(directory: Directory) -> Iterator[Finding]:
    for utt, row in directory.values("utt2speed"):
        if not _number(row.value):
            yield Finding("number", "utt2speed", row.line, utt, row.value)
    for utt, row in directory.values("utt2dur"):
        said, seconds = _number(row.value), directory.seconds.get(utt)
        if seconds is None:
            if said is None:
                yield Finding("number", "utt2dur", row.line, utt, row.value)
            else:
                directory.seconds[utt] = said
        elif said is None or abs(seconds - said) > DURATION_TOLERANCE:
            yield Finding("duration", "utt2dur", row.line, utt, f"{row.value}, not {seconds:.4f}")


def _number(text: str) -> float | None:
    """Return a finite number above 0, None for anything else."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 < number < float("inf") else None


def _lengths(directory: Directory, options: Options) -> Iterator[Finding]:
    for utt, seconds in directory.seconds.items():
        if seconds < SHORTEST and utt in directory.tables.get("wav.scp", {}):
            line = directory.tables["wav.scp"][utt].line
            yield Finding("short", "wav.scp", line, utt, f"{seconds:.3f} s")
    rate = directory.hertz(options)
    for output in outputs_of(directory.info):
        name, unit = f"text.{output}", directory.info.get(f"{output}_unit", "char")
        for utt, row in directory.values(name):
            seconds = directory.seconds.get(utt, 0)
            if seconds >= SHORTEST:
                yield from _pace(name, unit, utt, row, seconds, options.encoder, rate)


def _pace(
    name: str, unit: str, utt: str, row: Row, seconds: float, encoder: Encoder | None, hertz: int
) -> Iterator[Finding]:
    """Compare text and duration: can CTC align it, would someone speak so?"""
    units = letters(row.value, unit)
    needed = frames = len(units) + sum(a == b for a, b in pairwise(units))
    if encoder is not None:
        frames = encoder_frames(round(seconds * hertz), hertz, encoder)
    rate = sum(unit != " " for unit in units) / seconds
    if needed > frames:
        yield Finding("dense", name, row.line, utt, f"{needed} frames needed, {frames} there")
    elif not SPEECH_RATES[0] <= rate <= SPEECH_RATES[1]:
        yield Finding("speed", name, row.line, utt, f"{rate:.1f} letters or phones a second")


def letters(text: str, unit: str) -> list[str]:
    """The most tokens that a text can have: phones, or letters, Hangul by jamo."""
    return text.split() if unit == "phone" else list(unicodedata.normalize("NFD", text))


def _outside(directory: Directory, output: str, path: Path) -> Iterator[Finding]:
    """Compare a text with a token list."""
    from l2dual.data.tokens import unwritten  # takes a while

    try:
        lacking = unwritten(read_text(Path(path)).split("\n"))
    except (OSError, DataError) as error:
        raise UsageError(f"{path}: no readable token list: {error}: correct --tokens") from error
    name = f"text.{output}"
    for utt, row in directory.values(name):
        if lacks := lacking(row.value):
            yield Finding("tokens", name, row.line, utt, " ".join(lacks))
