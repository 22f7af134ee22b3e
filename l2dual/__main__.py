"""The command `l2dual`, or `python -m l2dual`: tools outside the recipes."""

import argparse

from l2dual.bin import validate
from l2dual.errors import run


def main() -> None:
    """Run the subcommand that the command line names."""
    run(_main)


def _main() -> None:
    parser = argparse.ArgumentParser(prog="l2dual", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    validate.add_parser(commands)
    args = parser.parse_args()
    args.call(args)


if __name__ == "__main__":
    main()
