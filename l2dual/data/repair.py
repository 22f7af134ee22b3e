"""Repair a data directory where that is safe, and leave out the utterances that can't be used."""

import os
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from l2dual.data.datadir import UNKNOWN, DataDir, write_table
from l2dual.data.findings import CHECKS, DROPPED, LEFT, MANUAL, Finding
from l2dual.data.listing import by_kind, rest
from l2dual.data.validate import Directory, Row, utterances_of
from l2dual.errors import DataError, UsageError
from l2dual.files import is_id


def repair(directory: Directory, findings: Iterable[Finding]) -> tuple[DataDir, dict[str, str]]:
    """Apply what CHECKS says of the findings: repair tables, leave utterances out.

    Returns:
        The repaired data, and the reason for each utterance that was left out.

    Raises:
        DataError: a finding that only the user can correct, or no utterance is left.
    """
    findings, path = list(findings), directory.path
    stop = [finding for finding in findings if finding.fix == MANUAL]
    if stop:
        more = f" (and {len(stop) - 1} more: l2dual validate {path})" if stop[1:] else ""
        raise DataError(stop[0].describe(path) + more)
    dropped: dict[str, str] = {}
    for finding in findings:
        if finding.fix == DROPPED and finding.utterance:
            dropped.setdefault(finding.utterance, finding.reason)
    kept = [utt for utt in directory.tables["wav.scp"] if utt not in dropped]
    if not kept:
        raise DataError(f"{path}: no utterance is left: {dict(Counter(dropped.values()))}")
    tables = {
        name: {utt: rows.get(utt, Row(0, "")).value or UNKNOWN for utt in kept}
        for name, rows in directory.tables.items()
    }
    for finding in findings:
        if finding.check == "duration" and finding.utterance in tables["utt2dur"]:
            tables["utt2dur"][finding.utterance] = f"{directory.seconds[finding.utterance]:.4f}"
    badly_named = {f.utterance for f in findings if f.check == "prefix" and f.utterance} - set(dropped)
    new = _renamed(tables["utt2spk"], badly_named)
    tables = {
        name: {new.get(utt, utt): value for utt, value in table.items()}
        for name, table in tables.items()
    }
    return DataDir(path, tables, directory.info), dropped


def _renamed(speakers: Mapping[str, str], utts: Iterable[str]) -> dict[str, str]:
    """New names for ``utts``, that begin with their speakers; none that is in use or no id."""
    new = {utt: f"{speakers[utt]}-{utt}" for utt in utts}
    times = Counter([*speakers, *new.values()])
    return {utt: name for utt, name in new.items() if times[name] == 1 and is_id(name)}


def fix(directory: Directory, findings: list[Finding], most: int | None) -> Iterable[str]:
    """Repair the directory in place; its files, as they were, are copied to DIR.backupN.

    Yields:
        What was done: ``most`` lines for each kind of finding (None: all).
    """
    path = directory.path
    if all(finding.fix == LEFT for finding in findings):
        yield f"{path}: nothing to repair"
        return
    if made_by_a_stage(path):
        raise UsageError(
            f"{path}: a stage made it, and would not see a change: correct its source "
            "(or go on: stage 4 repairs and drops the same)"
        )
    data, dropped = repair(directory, findings)
    stuck = [f for f in findings if f.check == "prefix" and f.utterance in data["wav.scp"]]
    yield from (f"left, since no new name is free and valid: {one.describe(path)}" for one in stuck[:most])
    yield from rest(stuck, most, "left: prefix: ")
    findings = [one for one in findings if one not in stuck]
    if all(finding.fix == LEFT for finding in findings):
        yield f"{path}: nothing to repair"
        return
    backup = back_up(path)
    data.write(path)
    if directory.speakers is not None:
        write_table(path / "spk2utt", utterances_of(data["utt2spk"]))
    for name, some in by_kind(findings).items():
        if CHECKS[name].fix != LEFT:
            yield from (f"{finding.fix}: {finding.describe(path)}" for finding in some[:most])
            yield from rest(some, most, f"{CHECKS[name].fix}: {name}: ")
    yield f"{path}: {len(data['wav.scp'])} utterances, {len(dropped)} dropped; as it was: {backup}"


def made_by_a_stage(path: Path) -> bool:
    """Whether a recipe's stamp says so, of the directory or of the one that it is a split of."""
    whole = path.resolve()
    return any((made.parent / f".{made.name}.stamp").exists() for made in (whole, whole.parent))


def back_up(path: Path) -> Path:
    """Copy the files of a directory (not its folders; links as links) beside it, by a new name."""
    whole, number = path.resolve(), 1
    while os.path.lexists(backup := whole.with_name(f"{whole.name}.backup{number}")):
        number += 1
    backup.mkdir()
    for file in path.iterdir():
        if file.is_file() or file.is_symlink():
            shutil.copy2(file, backup, follow_symlinks=False)
    return backup
