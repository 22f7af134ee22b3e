"""l2dual validate DIR: check data directories, or preview a table; docs/validate.md has every check."""

import argparse
import shutil
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from l2dual.corpora.preview import preview
from l2dual.corpora.spreadsheet import parse_columns
from l2dual.datadir import write_table
from l2dual.errors import UsageError
from l2dual.outputs import OUTPUTS
from l2dual.score import write_records
from l2dual.validate import (
    ERROR,
    LEFT,
    Directory,
    Finding,
    Options,
    repair,
    utterances_of,
    validate,
)


def add_parser(commands) -> None:
    """Add the command to the subparsers of `l2dual`."""
    parser = commands.add_parser(
        "validate", help="check data directories", description=__doc__.partition(": ")[2]
    )
    parser.add_argument("directories", type=Path, nargs="+", metavar="DIR")
    parser.add_argument("--fix", action="store_true", help="repair or drop; DIR is backed up")
    parser.add_argument(
        "--tokens",
        type=_token_list,
        action="append",
        default=[],
        metavar="OUTPUT=FILE",
        help="token list of an output, as in surface=dump/DATA/tokens/surface_phn/tokens.txt",
    )
    parser.add_argument("--frames_per_second", type=float, default=25.0, help="of the encoder")
    parser.add_argument("--fs", type=int, default=16000, help="least sampling rate in Hz")
    parser.add_argument("--nj", type=int, default=1, help="processes that decode audio")
    parser.add_argument("--json", type=Path, help="file to write the findings to as well")
    parser.add_argument("--columns", default="", help="of a table: OURS=THEIRS,...")
    parser.set_defaults(call=call)


def _token_list(choice: str) -> tuple[str, Path]:
    output, is_given, file = choice.partition("=")
    if output not in OUTPUTS or not is_given:
        raise argparse.ArgumentTypeError(f"'{choice}': give surface=FILE or meaning=FILE")
    return output, Path(file)


def call(args: argparse.Namespace) -> None:
    """Check, report, repair if asked; exit with status 1 where errors are left."""
    options = Options(dict(args.tokens), args.frames_per_second, args.fs, True, args.nj)
    records, failed = [], False
    for path in args.directories:
        if path.is_file():
            failed |= not preview(path, parse_columns(args.columns))
            continue
        directory, findings = validate(path, options)
        records += [
            {"directory": str(path), "severity": f.severity, "fix": f.fix} | asdict(f)
            for f in findings
        ]
        for finding in findings:
            print(finding.describe(path))
        print(summary(directory, findings))
        if args.fix:
            fix(directory, findings)
        failed |= not args.fix and any(f.severity == ERROR for f in findings)
    if args.json:
        write_records(args.json, records)
    if failed:
        sys.exit(1)


def summary(directory: Directory, findings: list[Finding]) -> str:
    """How many findings of what severity there are."""
    counts = Counter(finding.severity for finding in findings)
    number = len(directory.tables.get("wav.scp", {}))
    found = ", ".join(f"{n} {name}{'s' if n > 1 else ''}" for name, n in sorted(counts.items()))
    return f"{directory.path}: {number} utterances: {found or 'nothing found'}"


def fix(directory: Directory, findings: list[Finding]) -> None:
    """Repair the directory in place; its files, as they were, are copied to DIR.backupN."""
    path = directory.path
    if all(finding.fix == LEFT for finding in findings):
        print(f"{path}: nothing to repair")
        return
    if made_by_a_stage(path):
        raise UsageError(
            f"{path}: a stage made it, and would not see a change: mend what it was made from "
            "(or go on: stage 4 repairs and drops the same)"
        )
    data, dropped = repair(directory, findings)
    backup = back_up(path)
    data.write(path)
    if directory.speakers is not None:
        write_table(path / "spk2utt", utterances_of(data["utt2spk"]))
    for finding in findings:
        if finding.fix != LEFT:
            print(f"{finding.fix}: {finding.describe(path)}")
    print(f"{path}: {len(data['wav.scp'])} utterances, {len(dropped)} dropped; as it was: {backup}")


def made_by_a_stage(path: Path) -> bool:
    """Whether a recipe's stamp says so, of the directory or of the one that it is a split of."""
    whole = path.resolve()
    return any((made.parent / f".{made.name}.stamp").exists() for made in (whole, whole.parent))


def back_up(path: Path) -> Path:
    """Copy the files of a directory (not its folders) beside it, under a new name."""
    whole, number = path.resolve(), 1
    while (backup := whole.with_name(f"{whole.name}.backup{number}")).exists():
        number += 1
    backup.mkdir()
    for file in path.iterdir():
        if file.is_file():
            shutil.copy2(file, backup)
    return backup
