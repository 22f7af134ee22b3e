"""Preview how stage 1 reads a table: `l2dual validate FILE.csv`."""

import re
import shlex
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from l2dual.corpora import Request, table
from l2dual.corpora.common import edits, own
from l2dual.corpora.common.spreadsheet import Sheet, read
from l2dual.data.utterance import SPLITS, Utterance
from l2dual.errors import DataError
from l2dual.text.phones import ERROR, PHONES, plain
from l2dual.text.units import align, normalize

SHOWN = 3  # utterances in full


def preview(
    path: Path, columns: Mapping[str, str] | None = None, canonical: str = "given"
) -> bool:
    """Print what was understood of a table, and what will be refused; True if nothing will be.

    Language and convention are taken from the texts: Hangul, ARPAbet phones. ``canonical``:
    `dictionary` where that may say what is right.
    """
    path = Path(path)
    sheet = read(path, columns=columns)
    request = guess(sheet, columns or {}, canonical)
    sheet = read(path, request.language, columns)
    print(f"{path}: {len(sheet.rows)} rows")
    for note in table.notes(sheet, request):
        print(f"  {note}")
    table.check_columns(sheet, replace(request, canonical="dictionary"))
    utterances, faults = own.make_all(table.entries(sheet), request)
    refused = list(faults)
    print(f"read as: language {request.language}, convention {request.convention}")
    for line in counts(utterances):
        print(f"  {line}")
    try:
        table.check_columns(sheet, request)
        if utterances:
            settled, info = own.finish(utterances, [], request, path)
            print(f"splits: {info['splits']['method']}: {split_counts(settled)}")
            for line in edits.report(settled, unit_of(request)):
                print(f"  {line}")
            due = {utterance.id: utterance for utterance in settled}
            utterances = [due.get(utterance.id, utterance) for utterance in utterances]
    except DataError as error:
        refused += getattr(error, "__notes__", [str(error)])
    for utterance in utterances[:SHOWN]:
        print("\n".join(show(utterance, request)))
    say_refused(refused, path, request)
    return not refused


def guess(sheet: Sheet, columns: Mapping[str, str], canonical: str) -> Request:
    """Language and convention, from the texts."""
    texts = {
        name: " ".join(row.values.get(name, "") for row in sheet.rows) for name in own.TEXTS
    }
    language = "ko" if re.search("[가-힣ㄱ-ㅣ]", " ".join(texts.values())) else "en"
    symbols = {plain(symbol) for symbol in texts["surface"].split()}
    in_phones = bool(symbols) and symbols <= PHONES | {ERROR}
    given = bool(texts["canonical"].split())
    pronounced = in_phones or canonical == "dictionary"
    pronounced |= language == "ko" and given and texts["meaning"] != texts["canonical"]
    convention = "pronounced" if pronounced else "heard"
    return Request(language, convention, columns=columns, canonical=canonical)


def unit_of(request: Request) -> str:
    return "phone" if own.in_phones(request) else "char"


def counts(utterances: list[Utterance]) -> list[str]:
    """Utterances by what is known of them."""
    speakers = Counter(utterance.speaker for utterance in utterances)
    lines = [f"{len(utterances)} utterances of {len(speakers)} speakers: {listed(speakers)}"]
    l1s = Counter(utterance.l1 for utterance in utterances)
    if set(l1s) - {"unknown"}:
        lines.append(f"first languages: {listed(l1s)}")
    return lines


def split_counts(utterances: list[Utterance]) -> str:
    found = Counter(utterance.split for utterance in utterances)
    return ", ".join(f"{split} {found[split]}" for split in SPLITS)


def listed(counter: Counter, most: int = 8) -> str:
    """The most common, with their numbers."""
    some = ", ".join(f"{name} {number}" for name, number in counter.most_common(most))
    return some + (", ..." if len(counter) > most else "")


def show(utterance: Utterance, request: Request) -> list[str]:
    """An utterance: its texts, and where they differ."""
    if request.convention == "heard" and utterance.canonical is None:
        utterance = replace(utterance, canonical=utterance.meaning)
    lines = [f"{utterance.id} ({utterance.audio.name})"]
    for name in own.TEXTS:
        text = getattr(utterance, name)
        if text is not None and (name != "canonical" or text != utterance.meaning):
            lines.append(f"  {name:9} {text}")
    if utterance.surface is not None and utterance.canonical is not None:
        lines.append(f"  {'errors':9} {differences(utterance, unit_of(request))}")
    return lines


def differences(utterance: Utterance, unit: str) -> str:
    """The words (or phones) of canonical and surface that differ."""
    words = "phone" if unit == "phone" else "word"
    pairs = align(normalize(utterance.canonical), normalize(utterance.surface), words)
    some = [f"{due or '-'} > {said or '-'}" for due, said in pairs if due != said]
    return ", ".join(some) or "none"


def say_refused(refused: list[str], path: Path, request: Request) -> None:
    """What stage 1 will refuse, or the command to run it."""
    if refused:
        print(f"refused: {len(refused)} faults; correct them:")
        for fault in refused[: own.LISTED]:
            print(f"  {fault}")
        if len(refused) > own.LISTED:
            print(f"  ... and {len(refused) - own.LISTED} more")
        return
    command = ["./run.sh", "--corpus", "table", "--db", str(path.resolve())]
    command += ["--surface_convention", request.convention]
    if request.canonical != "given":
        command += ["--canonical", request.canonical]
    if request.columns:
        pairs = (f"{ours}={theirs}" for ours, theirs in request.columns.items())
        command += ["--columns", ",".join(pairs)]
    print(f"nothing is refused; in egs2/l2_{request.language}: {shlex.join(command)}")
