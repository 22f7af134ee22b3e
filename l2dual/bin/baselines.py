"""Set a model beside what a user has without it: Whisper as it comes, and the dictionary's phones.

    python -m l2dual.bin.baselines --data dump/TAG/test --decode exp/RUN/decode/test --zero_shot exp/zero_shot

Error rates with 95 % intervals, by a bootstrap over speakers: docs/rating.md.
"""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from l2dual.data.datadir import DataDir, read_table
from l2dual.errors import run
from l2dual.scoring.agreement import Agreement, error_rate
from l2dual.scoring.score import count_errors
from l2dual.text.english import pronounce
from l2dual.text.units import align


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the test set: English, its surface in phones")
    parser.add_argument("--decode", type=Path, required=True, help="directory with text.surface and text.meaning")
    parser.add_argument("--zero_shot", type=Path, help="directory with Whisper's text.meaning")
    args = parser.parse_args()
    from transformers.models.whisper.english_normalizer import EnglishTextNormalizer

    data = DataDir.load(args.data)
    meaning, surface = (read_table(args.decode / f"text.{output}") for output in ("meaning", "surface"))
    words = EnglishTextNormalizer({})
    ride = {utt: " ".join(map(pronounce, text.split())) for utt, text in meaning.items()}
    rows = [("meaning, WER", meaning, "text.meaning", words)]
    if args.zero_shot:
        whisper = read_table(args.zero_shot / "text.meaning")
        ours = {utt: meaning[utt] for utt in whisper}
        rows += [("Whisper zero-shot, WER", whisper, "text.meaning", words)]
        rows += [("meaning, the same utterances, WER", ours, "text.meaning", words)]
    rows += [("surface, PER", surface, "text.surface", str)]
    rows += [("free ride: phones of the meaning, PER", ride, "text.surface", str)]
    print("| | utterances | error rate, % |\n| --- | ---: | ---: |")
    for name, texts, reference, plain in rows:
        print(f"| {name} | {len(texts)} | {told(rate(data, texts, data[reference], plain))} |")


def rate(
    data: DataDir, texts: Mapping[str, str], references: Mapping[str, str], plain: Callable[[str], str]
) -> Agreement:
    """Error rate of texts that are normalized by ``plain``."""
    errors, sizes = [], []
    for utt, text in texts.items():
        due = plain(references[utt])
        counts = count_errors(align(due, plain(text), "word"))
        errors.append(counts["substitutions"] + counts["deletions"] + counts["insertions"])
        sizes.append(len(due.split()))
    return error_rate(np.array(errors), np.array(sizes), np.array([data["utt2spk"][utt] for utt in texts]))


def told(one: Agreement) -> str:
    """A rate in percent, and its interval, where there are any."""
    if one.value is None:
        return "–"
    ends = [f"{100 * end:.1f}" for end in one.interval or ()]
    return f"{100 * one.value:.1f}" + (f" [{', '.join(ends)}]" if ends else "")


if __name__ == "__main__":
    run(main)
