"""l2dual validate DIR: check data directories, or preview a table; docs/validate.md has every check."""

import argparse
import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TextIO

from l2dual.bin import positive_float, positive_int
from l2dual.corpora.common.preview import preview
from l2dual.corpora.common.spreadsheet import parse_columns
from l2dual.data.datadir import write_table
from l2dual.data.findings import CHECKS, ERROR, LEFT, Finding
from l2dual.data.frames import chain_of
from l2dual.data.repair import repair
from l2dual.data.validate import Directory, Options, utterances_of, validate
from l2dual.errors import L2DualError, UsageError, one_line, run
from l2dual.files import read_yaml
from l2dual.systems import OUTPUTS

EXAMPLES = 5  # of each kind of finding


def add_parser(commands) -> None:
    """Add the command to the subparsers of `l2dual`."""
    parser = commands.add_parser(
        "validate", help="check data directories", description=__doc__.partition(": ")[2]
    )
    add_options(parser)


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("directories", type=Path, nargs="+", metavar="DIR")
    parser.add_argument("--fix", action="store_true", help="repair or drop; DIR is backed up")
    parser.add_argument("--all", action="store_true", help=f"all findings, not {EXAMPLES} of a kind")
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.add_argument(
        "--tokens",
        type=_token_list,
        action="append",
        default=[],
        metavar="OUTPUT=FILE",
        help="token list of an output, as in surface=dump/DATA/tokens/surface_phn/tokens.txt",
    )
    frames = parser.add_mutually_exclusive_group()
    frames.add_argument("--train_config", type=Path, help="count the encoder's frames by it, as stage 4")
    frames.add_argument("--frames_per_second", type=positive_float, default=25.0, help="of the encoder")
    parser.add_argument("--fs", type=positive_int, default=16000, help="least sampling rate in Hz")
    parser.add_argument("--nj", type=positive_int, default=1, help="processes that decode audio")
    parser.add_argument(
        "--allow_pipes",
        choices=("true", "false"),
        default="false",
        help="run the commands in wav.scp (CMD |) and read the WAV that they write",
    )
    parser.add_argument("--columns", default="", help="of a table: OURS=THEIRS,...")
    parser.add_argument("--canonical", choices=("given", "dictionary"), default="given",
                        help="of a table: where it has what is right")  # fmt: skip
    parser.set_defaults(call=call)


def _token_list(choice: str) -> tuple[str, Path]:
    output, is_given, file = choice.partition("=")
    if output not in OUTPUTS or not is_given:
        raise argparse.ArgumentTypeError(f"'{choice}': give surface=FILE or meaning=FILE")
    return output, Path(file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    call(parser.parse_args())


def call(args: argparse.Namespace) -> None:
    """Check, report, repair if asked; exit with status 1 where errors are left."""
    records, failed = [], False
    for path in args.directories:
        if records and args.format == "text":
            print()
        try:
            if path.is_file():
                failed |= not preview(path, parse_columns(args.columns), args.canonical)
                continue
            record, is_good = check(path, args)
        except L2DualError as error:
            print(f"l2dual: error: {one_line(str(error))}", file=sys.stderr)
            failed = True
            continue
        records.append(record)
        failed |= not is_good
    if args.format == "json":
        print(json.dumps(records, indent=1))
    if failed:
        sys.exit(1)


def check(path: Path, args: argparse.Namespace) -> tuple[dict, bool]:
    """Check one directory and report on it; return what JSON says, and whether no error is left."""
    encoder = args.frames_per_second
    if args.train_config:
        encoder = chain_of(read_yaml(args.train_config), args.fs)
    options = Options(
        tokens=dict(args.tokens),
        encoder=encoder,
        rate=args.fs,
        nj=args.nj,
        allow_pipes=args.allow_pipes == "true",
    )
    directory, findings = validate(path, options)
    most = None if args.all else EXAMPLES
    if args.format == "text":
        say(summary(directory, findings))
        if not args.fix:
            say(examples(directory, findings, most))
    if args.fix:
        say(fix(directory, findings, most), sys.stderr if args.format == "json" else None)
    return as_json(directory, findings), args.fix or all(f.severity != ERROR for f in findings)


def say(lines: Iterable[str], stream: TextIO | None = None) -> None:
    """Print lines, each on one line whatever names it has; to stdout where there is no ``stream``."""
    for line in lines:
        print(one_line(line), file=stream)


def by_kind(findings: Iterable[Finding]) -> dict[str, list[Finding]]:
    """Findings by check: errors first, then in the order of CHECKS."""
    kinds = {name: [f for f in findings if f.check == name] for name in CHECKS}
    errors_first = sorted(kinds, key=lambda name: CHECKS[name].severity != ERROR)
    return {name: kinds[name] for name in errors_first if kinds[name]}


def summary(directory: Directory, findings: list[Finding]) -> list[str]:
    """How many findings there are, and a line for each kind: how many, what is wrong, what to do."""
    counts = Counter(finding.severity for finding in findings)
    number = len(directory.tables.get("wav.scp", {}))
    found = ", ".join(_count(n, severity) for severity, n in sorted(counts.items()))
    lines = [f"{directory.path}: {number} utterances: {found or 'nothing found'}"]
    for name, some in by_kind(findings).items():
        kind = CHECKS[name]
        lines.append(f"  {_count(len(some), kind.severity)}: {name}: {kind.problem}: {kind.remedy}")
    return lines


def _count(number: int, name: str) -> str:
    return f"{number} {name}{'s' if number > 1 else ''}"


def examples(directory: Directory, findings: list[Finding], most: int | None) -> Iterable[str]:
    """The places of each kind of finding, ``most`` of them (None: all)."""
    for name, some in by_kind(findings).items():
        yield from ("", f"{name} ({CHECKS[name].severity}):")
        yield from (f"  {f.where(directory.path)}{f.more()}" for f in some[:most])
        yield from _rest(some, most, "  ")


def _rest(some: list[Finding], most: int | None, before: str) -> list[str]:
    hidden = len(some) - len(some[:most])
    return [f"{before}and {hidden} more: --all"] if hidden else []


def as_json(directory: Directory, findings: list[Finding]) -> dict:
    """A directory and all findings in it, as `--format json` prints them."""
    return {
        "directory": str(directory.path),
        "utterances": len(directory.tables.get("wav.scp", {})),
        "findings": [asdict(f) | CHECKS[f.check]._asdict() for f in findings],
    }


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
    backup = back_up(path)
    data.write(path)
    if directory.speakers is not None:
        write_table(path / "spk2utt", utterances_of(data["utt2spk"]))
    for name, some in by_kind(findings).items():
        if CHECKS[name].fix != LEFT:
            yield from (f"{finding.fix}: {finding.describe(path)}" for finding in some[:most])
            yield from _rest(some, most, f"{CHECKS[name].fix}: {name}: ")
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


if __name__ == "__main__":
    run(main)
