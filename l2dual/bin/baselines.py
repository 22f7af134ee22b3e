"""Set systems beside what a user has without them: Whisper as it comes, and the phones of the meaning (stage 10).

    python -m l2dual.bin.baselines exp/STUDY/*.seed*/decode/test --data dump/TAG/test --out exp/STUDY/baselines.json

For speech of people. Error rates, and the surface's less that of the phones of the meaning, are means over the seeds
of a system, with 95 % intervals by a bootstrap over speakers: docs/rating.md.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np

from l2dual.data.datadir import DataDir, outputs_of, read_table
from l2dual.errors import DataError, run
from l2dual.files import atomic_write
from l2dual.scoring.agreement import WHISPER, error_rates, written
from l2dual.scoring.score import ERRORS, count_errors, units_of
from l2dual.text.lexicon import Lexicon
from l2dual.text.units import RATES, align, normalize

Texts = Mapping[str, str]  # by utterance


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("decoded", type=Path, nargs="+", metavar="DECODED", help="RUN/DECODE/test of each run")
    parser.add_argument("--data", type=Path, required=True, help="the test set")
    parser.add_argument("--zero_shot", type=Path, help="text.meaning of l2dual.bin.zero_shot")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    data = DataDir.load(args.data)
    found = measured(data, by_system(args.decoded, in_phones(data)), args.zero_shot)
    with atomic_write(args.out) as stream:
        json.dump(found, stream, indent=1)
    print("| | | utterances | seeds | error rate, % |\n| --- | --- | ---: | ---: | ---: |")
    for one in found:
        rate = " ".join(written(one, 100, 1)).rstrip()
        print("| {system} | {measure} | {utterances} | {seeds} | {rate} |".format(rate=rate, **one))


def in_phones(data: DataDir) -> bool:
    """Whether the surface of a test set is English phones, which a meaning calls for."""
    phones = units_of(data.info, "surface") == ("phone",)
    return phones and "surface" in outputs_of(data.info) and data.info["language"] == "en"


def by_system(decoded: list[Path], phones: bool) -> dict[str, list[dict[str, Texts]]]:
    """The texts of each output, of each seed of a system; with ``phones``, also those of the meaning."""
    found: dict[str, list[dict[str, Texts]]] = defaultdict(list)
    for folder in decoded:
        files = {output: folder / f"text.{output}" for output in ("meaning", "surface")}
        texts: dict[str, Texts] = {output: read_table(file) for output, file in files.items() if file.is_file()}
        if not texts:
            raise DataError(f"{folder}: has no text.meaning and no text.surface: decode first (stage 9)")
        run_dir = folder.resolve().parents[1]
        if phones and "meaning" in texts:
            lexicon = Lexicon.load(run_dir)
            texts["phones"] = {utt: " ".join(lexicon.phones(text)) for utt, text in texts["meaning"].items()}
        found[run_dir.name.rpartition(".seed")[0]].append(texts)
    return dict(found)


def measured(data: DataDir, systems: Mapping[str, list[dict[str, Texts]]], zero_shot: Path | None) -> list[dict]:
    """Error rates of Whisper, and of the systems, also on Whisper's utterances alone where these are fewer."""
    known = outputs_of(data.info)
    found: list[dict] = []

    def add(system: str, measure: str, counts: Counts) -> None:
        about: dict = {"system": system, "measure": f"{measure}, {counts.rate}"}
        about |= {"utterances": len(counts.sizes), "seeds": len(counts.errors)}
        found.append(about | asdict(error_rates(counts.errors, counts.sizes, counts.speakers)))

    whisper = read_table(zero_shot) if zero_shot and "meaning" in known else {}
    if whisper:
        if lost := sorted(whisper.keys() - data["text.meaning"].keys()):
            raise DataError(f"{zero_shot}: {lost[0]} is not in {data.path}: run l2dual.bin.zero_shot on this test set")
        add(WHISPER, "meaning", Counts.of(data, "meaning", [whisper]))
    for system, seeds in systems.items():
        meanings, surfaces, phones = (
            [seed[kind] for seed in seeds if kind in seed] for kind in ("meaning", "surface", "phones")
        )
        if meanings and "meaning" in known:
            add(system, "meaning", Counts.of(data, "meaning", meanings))
            if whisper and len(whisper) < len(meanings[0]):
                add(system, "meaning of Whisper's utterances", Counts.of(data, "meaning", meanings, whisper))
        if surfaces and "surface" in known:
            surface = Counts.of(data, "surface", surfaces)
            add(system, "surface", surface)
        if phones:
            due = Counts.of(data, "surface", phones)
            add(system, "phones of the meaning", due)
            if surfaces:
                add(system, "surface − phones of the meaning", surface._replace(errors=surface.errors - due.errors))
    return found


class Rate(NamedTuple):
    """An error rate: its name, its unit, and how texts are normalized."""

    name: str
    unit: str
    plain: Callable[[str], str]

    @classmethod
    def of(cls, output: str, info: Mapping) -> "Rate":
        """The meaning's by Whisper's normalizers: of words in English, of characters in Korean."""
        unit = units_of(info, output)[0]
        if output == "surface":
            return cls(RATES[unit], unit, normalize)
        from transformers.models.whisper.english_normalizer import BasicTextNormalizer, EnglishTextNormalizer

        if info["language"] == "en":
            return cls("WER", "word", EnglishTextNormalizer({}))  # without British spellings
        basic = BasicTextNormalizer()
        return cls("CER", "char", lambda text: normalize(basic(text)))


class Counts(NamedTuple):
    """Errors of the texts of several seeds, S, on U utterances."""

    rate: str  # its name
    errors: np.ndarray  # (S, U)
    sizes: np.ndarray  # (U,), in tokens of the references
    speakers: np.ndarray  # (U,)

    @classmethod
    def of(cls, data: DataDir, output: str, seeds: Sequence[Texts], utts: Iterable[str] = ()) -> "Counts":
        """Count those of an output, on ``utts`` or else on all."""
        rate, utts = Rate.of(output, data.info), list(utts or seeds[0])
        due = {utt: rate.plain(data[f"text.{output}"][utt]) for utt in utts}
        counts = [[count_errors(align(due[utt], rate.plain(texts[utt]), rate.unit)) for utt in utts] for texts in seeds]
        errors = np.array([[sum(one[kind] for kind in ERRORS) for one in of] for of in counts])
        sizes = np.array([one["n_ref"] for one in counts[0]])
        return cls(rate.name, errors, sizes, np.array([data["utt2spk"][utt] for utt in utts]))


if __name__ == "__main__":
    run(main)
