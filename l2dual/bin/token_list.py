"""List the tokens (stage 5): python -m l2dual.bin.token_list --text FILE [--text FILE] --token_type char --out DIR"""

import argparse
from pathlib import Path

from l2dual.bin import positive_int
from l2dual.errors import run
from l2dual.text import TOKEN_TYPES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--text", type=Path, action="append", required=True)
    parser.add_argument("--token_type", choices=TOKEN_TYPES, required=True)
    parser.add_argument("--nbpe", type=positive_int, default=500, help="sentencepiece vocabulary")
    parser.add_argument("--whisper", type=Path, help="directory of the weights whose subwords are the tokens")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    from l2dual.data.tokens import write_tokens

    tokens = write_tokens(args.text, args.token_type, args.out, args.nbpe, args.whisper)
    names = " and ".join(text.name for text in args.text)
    print(f"{names}: {len(tokens)} {args.token_type} tokens")


if __name__ == "__main__":
    run(main)
