"""List the tokens (stage 5): python -m l2dual.bin.token_list --text FILE [--text FILE] --token_type char --out DIR

Texts of other splits are compared with the list. Those of a validation, as those of the training, must not be
longer than a model can write.
"""

import argparse
from collections.abc import Iterable
from pathlib import Path

from l2dual.bin import positive_int
from l2dual.data.datadir import read_table
from l2dual.errors import DataError, one_line, run
from l2dual.text import TOKEN_TYPES


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--text", type=Path, action="append", required=True)
    parser.add_argument("--valid", type=Path, action="append", default=[], help="text of the validation")
    parser.add_argument("--test", type=Path, action="append", default=[], help="text of the test set")
    parser.add_argument("--token_type", choices=TOKEN_TYPES, required=True)
    parser.add_argument("--nbpe", type=positive_int, default=500, help="sentencepiece vocabulary")
    parser.add_argument("--whisper", type=Path, help="directory of the weights whose subwords are the tokens")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    from l2dual.data.tokens import write_tokens

    tokens = write_tokens(args.text, args.token_type, args.out, args.nbpe, args.whisper)
    names = " and ".join(text.name for text in args.text)
    print(f"{names}: {len(tokens)} {args.token_type} tokens")
    if args.token_type == "whisper":
        check_lengths([*args.text, *args.valid], args.out / "bpe.model", args.whisper)
    for text in (*args.valid, *args.test):
        warn(text, tokens, args.token_type in ("phn", "word"))


def check_lengths(texts: Iterable[Path], tokenizer: Path, whisper: Path) -> None:
    """DataError if a text is longer than Whisper writes."""
    from l2dual.data.tokens import WhisperTokenizer
    from l2dual.data.weights import pretrained_config

    most, to_tokens = pretrained_config(str(whisper)).most_subwords, WhisperTokenizer(str(tokenizer)).text2tokens
    for text in texts:
        for utt, line in read_table(text).items():
            if (number := len(to_tokens(line))) > most:
                raise DataError(
                    f"{text}, utterance {utt}: {number} subwords, and Whisper writes at most {most}: correct the text, "
                    "or leave it out by a lower --max_seconds"
                )


def warn(text: Path, tokens: Iterable[str], words: bool) -> None:
    """Name an utterance with something that no training text has."""
    from l2dual.data.tokens import unwritten

    lacking = unwritten(tokens, words)
    found = {utt: lacks for utt, line in read_table(text).items() if (lacks := lacking(line))}
    for utt, lacks in list(found.items())[:1]:
        others = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
        said = f"{text}, utterance {utt}{others}: in no training text, so it counts as <unk>: {' '.join(lacks)}"
        print(one_line(f"warning: {said}"))


if __name__ == "__main__":
    run(main)
