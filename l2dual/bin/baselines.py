"""Set systems beside what a user has without them: Whisper as it comes, and the dictionary's phones (stage 10).

    python -m l2dual.bin.baselines exp/STUDY/*.seed*/decode/test --data dump/TAG/test --out exp/STUDY/baselines.json

For English with a surface in phones. Error rates are means over the seeds of a system, with 95 % intervals by
a bootstrap over speakers: docs/rating.md.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np

from l2dual.data.datadir import DataDir, outputs_of, read_table
from l2dual.errors import DataError, run
from l2dual.files import atomic_write
from l2dual.scoring.agreement import WHISPER, Agreement, error_rates, written
from l2dual.scoring.score import count_errors
from l2dual.text.english import recognized
from l2dual.text.units import align

Texts = Mapping[str, str]  # by utterance


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("decoded", type=Path, nargs="+", metavar="DECODED", help="RUN/DECODE/test of each run")
    parser.add_argument("--data", type=Path, required=True, help="the test set")
    parser.add_argument("--zero_shot", type=Path, help="text.meaning of l2dual.bin.zero_shot")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    found = measured(DataDir.load(args.data), by_system(args.decoded), args.zero_shot)
    with atomic_write(args.out) as stream:
        json.dump(found, stream, indent=1)
    print("| | | utterances | seeds | error rate, % |\n| --- | --- | ---: | ---: | ---: |")
    for one in found:
        rate = " ".join(written(one, 100, 1)).rstrip()
        print("| {system} | {measure} | {utterances} | {seeds} | {rate} |".format(rate=rate, **one))


def by_system(decoded: list[Path]) -> dict[str, list[dict[str, Texts]]]:
    """The texts of each output, of each seed of a system."""
    found = defaultdict(list)
    for folder in decoded:
        files = {output: folder / f"text.{output}" for output in ("meaning", "surface")}
        texts = {output: read_table(file) for output, file in files.items() if file.is_file()}
        if not texts:
            raise DataError(f"{folder}: has no text.meaning and no text.surface: decode first (stage 9)")
        found[folder.resolve().parents[1].name.rpartition(".seed")[0]].append(texts)
    return dict(found)


def measured(data: DataDir, systems: Mapping[str, list[dict[str, Texts]]], zero_shot: Path | None) -> list[dict]:
    """Error rates of Whisper, and of the systems, also on Whisper's utterances alone where these are fewer."""
    from transformers.models.whisper.english_normalizer import EnglishTextNormalizer

    words = EnglishTextNormalizer({})
    found = []

    def add(system: str, measure: str, seeds: list[Texts], plain: Callable[[str], str] = str) -> None:
        due = data["text.meaning" if measure.startswith("meaning") else "text.surface"]
        about = {"system": system, "measure": measure, "utterances": len(seeds[0]), "seeds": len(seeds)}
        found.append(about | asdict(rates(data, seeds, due, plain)))

    known = outputs_of(data.info)
    whisper = read_table(zero_shot) if zero_shot and "meaning" in known else {}
    if whisper:
        if lost := sorted(whisper.keys() - data["text.meaning"].keys()):
            raise DataError(f"{zero_shot}: {lost[0]} is not in {data.path}: run l2dual.bin.zero_shot on this test set")
        add(WHISPER, "meaning, WER", [whisper], words)
    for system, seeds in systems.items():
        meanings = [seed["meaning"] for seed in seeds if "meaning" in seed]
        if meanings and "meaning" in known:
            add(system, "meaning, WER", meanings, words)
            if whisper and len(whisper) < len(meanings[0]):
                some = [{utt: texts[utt] for utt in whisper} for texts in meanings]
                add(system, "meaning, WER, Whisper's utterances", some, words)
        if "surface" in seeds[0] and "surface" in known:
            add(system, "surface, PER", [seed["surface"] for seed in seeds])
        if meanings and "surface" in known:
            spoken = [{utt: recognized(text) for utt, text in texts.items()} for texts in meanings]
            add(system, "phones of the meaning, PER", spoken)
    return found


def rates(data: DataDir, seeds: list[Texts], references: Texts, plain: Callable[[str], str]) -> Agreement:
    """Error rate of the texts of several seeds, after ``plain`` has normalized them."""
    utts = list(seeds[0])
    due = {utt: plain(references[utt]) for utt in utts}
    counts = [[count_errors(align(due[utt], plain(texts[utt]), "word")) for utt in utts] for texts in seeds]
    errors = [[sum(one[kind] for kind in ("substitutions", "deletions", "insertions")) for one in of] for of in counts]
    sizes = np.array([len(due[utt].split()) for utt in utts])
    return error_rates(np.array(errors), sizes, np.array([data["utt2spk"][utt] for utt in utts]))


if __name__ == "__main__":
    run(main)
