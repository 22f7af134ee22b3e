"""Get Whisper base, on which the English model rests: weights and tokenizer, 290 MB.

    l2dual get_whisper

Set-up does this too. They are written in Hugging Face's format to .tools/whisper-base of a copy of the
repository, and elsewhere to the user's cache, where every command finds them: docs/encoders.md.
"""

import argparse
from pathlib import Path

import l2dual
from l2dual.errors import UsageError, run
from l2dual.files import user_cache

NAME = "whisper-base"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=place(), help="directory to make; default: %(default)s")
    args = parser.parse_args()
    args.out = args.out.resolve()
    if (args.out / "tokenizer.json").is_file():
        print(f"{args.out}: there already")
        return
    whisper = (args.out / "config.json").is_file()  # of an older version
    if args.out.exists() and not whisper and (not args.out.is_dir() or any(args.out.iterdir())):
        raise UsageError(f"{args.out}: is there, and no Whisper: give a new directory")
    from l2dual.models.fetch_whisper import fetch  # takes seconds

    args.out.parent.mkdir(parents=True, exist_ok=True)
    fetch(args.out)
    print(f"made {args.out}")


def place() -> Path:
    """Where `l2dual.training.load.fetched` looks for it."""
    checkout = Path(l2dual.__file__).parents[1]
    return (checkout / ".tools" if (checkout / "tools/setup.sh").is_file() else user_cache()) / NAME


if __name__ == "__main__":
    run(main)
