"""Check data directories, or preview how stage 1 reads a table; docs/validate.md has every check.

    l2dual validate DIR...
    l2dual validate FILE.csv
"""

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TextIO

from l2dual.bin import boolean, positive_float, positive_int
from l2dual.corpora.common.spreadsheet import parse_columns
from l2dual.corpora.table import preview
from l2dual.data.findings import ERROR
from l2dual.data.frames import chain_of
from l2dual.data.listing import as_json, examples, summary
from l2dual.data.repair import fix
from l2dual.data.validate import Options, validate
from l2dual.errors import L2DualError, UsageError, one_line, run
from l2dual.files import read_yaml
from l2dual.systems import OUTPUTS

EXAMPLES = 5  # of each kind of finding


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
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
    frames.add_argument("--frames_per_second", type=positive_float, help="of the encoder")
    parser.add_argument("--fs", type=positive_int, default=16000, help="least sampling rate in Hz")
    parser.add_argument("--nj", type=positive_int, default=1, help="processes that decode audio")
    parser.add_argument("--allow_pipes", type=boolean, default=False,
                        help="run the commands in wav.scp (CMD |) and read the WAV that they write")  # fmt: skip
    parser.add_argument("--columns", default="", help="of a table: OURS=THEIRS,...")
    parser.add_argument("--canonical", choices=("given", "dictionary"), default="given",
                        help="of a table: where it has what is right")  # fmt: skip
    call(parser.parse_args())


def _token_list(choice: str) -> tuple[str, Path]:
    output, is_given, file = choice.partition("=")
    if output not in OUTPUTS or not is_given:
        raise argparse.ArgumentTypeError(f"'{choice}': give surface=FILE or meaning=FILE")
    return output, Path(file)


def call(args: argparse.Namespace) -> None:
    """Check, report, repair if asked; exit with status 1 where errors are left."""
    records, failed = [], False
    for path in args.directories:
        if records and args.format == "text":
            print()
        try:
            if path.is_file():
                if args.format == "json":
                    raise UsageError(f"{path}: a table has a preview, as text: leave --format json out")
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
        allow_pipes=args.allow_pipes,
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


if __name__ == "__main__":
    run(main)
