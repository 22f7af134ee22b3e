"""Repair a data directory where that is safe, and leave out the utterances that can't be used."""

from collections import Counter
from collections.abc import Iterable, Mapping

from l2dual.data.datadir import UNKNOWN, DataDir
from l2dual.data.findings import DROPPED, MANUAL, Finding
from l2dual.data.validate import Directory, Row
from l2dual.errors import DataError
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
        if finding.fix == DROPPED:
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
    badly_named = {f.utterance for f in findings if f.check == "prefix"} - set(dropped)
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
