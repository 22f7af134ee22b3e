"""Stage 1: a corpus to the data directories DIR/train, DIR/valid and DIR/test.

python -m l2dual.bin.prepare --corpus simulated --language en --convention heard \
    --preset FILE --out DIR
python -m l2dual.bin.prepare --corpus pansori --language ko --convention pronounced \
    --db PATH --assume_surface true --out DIR
python -m l2dual.bin.prepare --corpus table --language en --convention heard \
    --db FILE.csv --columns "meaning=Text,surface=What they said" --out DIR
"""

import argparse
import shutil
import sys
from collections.abc import Iterable
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from l2dual.bin import natural, positive_int
from l2dual.corpora import Request
from l2dual.corpora.common import edits
from l2dual.corpora.common.spreadsheet import parse_columns
from l2dual.data.datadir import write_datadir
from l2dual.data.utterance import SPLITS, Utterance
from l2dual.errors import DataError, UsageError, run
from l2dual.files import read_yaml
from l2dual.text import pronunciation


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--corpus", required=True, help="a module of l2dual/corpora")
    parser.add_argument("--language", choices=("en", "ko"), required=True)
    parser.add_argument("--convention", choices=("heard", "pronounced"), required=True)
    parser.add_argument("--seed", type=natural, default=1, help="of a split, or of the simulation")
    parser.add_argument("--nj", type=positive_int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    real = parser.add_argument_group("a real corpus")
    real.add_argument("--db", type=Path, help="where it is")
    real.add_argument("--field_map", type=Path, help="YAML file: names of the fields in its labels")
    real.add_argument("--columns", default="", help="of a table: OURS=THEIRS,...")
    real.add_argument("--canonical", choices=("given", "dictionary"), default="given")
    real.add_argument("--allow_pipes", choices=("true", "false"), default="false")
    real.add_argument("--assume_surface", choices=("true", "false"), default="false")
    simulated = parser.add_argument_group("the simulated corpus")
    simulated.add_argument("--preset", type=Path, help="YAML file")
    simulated.add_argument("--severity", default="paper", help="how much learners err")
    simulated.add_argument("--errors", default="rules", help="rules or random")
    simulated.add_argument("--engine", default="espeak")
    simulated.add_argument("--prompts", type=Path, help="sentences, one a line")
    args = parser.parse_args()
    if args.columns and args.corpus != "table":
        raise UsageError(f"--columns: for corpus table only; {args.corpus} has none")
    if args.canonical != "given" and args.corpus not in ("table", "kaldi"):
        raise UsageError(f"--canonical: for corpus table or kaldi; {args.corpus} has its own texts")
    if args.allow_pipes == "true" and args.corpus != "kaldi":
        raise UsageError(f"--allow_pipes: for corpus kaldi only; {args.corpus} names files")
    shutil.rmtree(args.out, ignore_errors=True)
    utterances, facts = read_simulated(args) if args.corpus == "simulated" else read_real(args)
    utterances = list(utterances)
    surface = surface_state(utterances, args.assume_surface == "true")
    if surface == "assumed":
        utterances = assume_surface(utterances, args.language, args.convention)
    info = describe(args, utterances, surface) | facts
    test_only = {utterance.split for utterance in utterances} == {"test"}
    for split in ("test",) if test_only else SPLITS:
        chosen = [utterance for utterance in utterances if utterance.split == split]
        write_datadir(args.out / split, chosen, info)
        print(f"{split}: {len(chosen)} utterances, {len({u.speaker for u in chosen})} speakers")
    for line in [*said(facts), *edits.report(utterances, info["surface_unit"])]:
        print(line)
    if test_only:
        print("test set only: run stages 3 and 4, then decode it with --test_data")


def read_simulated(args: argparse.Namespace) -> tuple[Iterable[Utterance], dict]:
    from l2dual.simulate import learners as simulated

    final = args.out.with_name(args.out.name.removesuffix(".tmp"))
    utterances, facts = simulated.prepare(
        language=args.language,
        preset=read_yaml(args.preset),
        preset_file=str(args.preset),
        convention=args.convention,
        out_dir=args.out,
        audio_dir=final / "audio",
        nj=args.nj,
        seed=args.seed,
        severity=args.severity,
        errors=args.errors,
        engine=args.engine,
        prompts=args.prompts,
    )
    return utterances, facts | {"preset": args.preset.stem}


def read_real(args: argparse.Namespace) -> tuple[Iterable[Utterance], dict]:
    corpus = import_module(f"l2dual.corpora.{args.corpus}")
    request = Request(
        args.language,
        args.convention,
        args.seed,
        args.field_map,
        parse_columns(args.columns),
        args.canonical,
        args.allow_pipes == "true",
    )
    try:
        return corpus.prepare(args.db, request)
    except DataError as error:
        for fault in getattr(error, "__notes__", ()):
            print(fault, file=sys.stderr)
        raise


def surface_state(utterances: list[Utterance], assume: bool) -> str:
    """Whether the surface is `annotated`, `assumed` or absent: `none`."""
    without = [utterance.id for utterance in utterances if utterance.surface is None]
    if without and len(without) < len(utterances):
        raise DataError(
            f"utterance {without[0]} has no surface, but others have: "
            "add it to all, or remove the utterances without it"
        )
    if assume and not without:
        raise UsageError("--assume_surface true: this corpus has a surface: leave the option out")
    if without:
        return "assumed" if assume else "none"
    return "annotated"


def assume_surface(utterances: list[Utterance], language: str, convention: str) -> list[Utterance]:
    """The utterances with the surface of a speaker who makes no errors."""
    pronounce = pronunciation(language).pronounce
    assumed = []
    for number, utterance in enumerate(utterances, 1):
        meaning = utterance.meaning
        surface = meaning if convention == "heard" else pronounce(meaning)
        assumed.append(replace(utterance, surface=surface, canonical=surface))
        if number % 1000 == 0:
            print(f"progress: pronounced {number} of {len(utterances)} texts", flush=True)
    return assumed


def describe(args: argparse.Namespace, utterances: list[Utterance], surface: str) -> dict:
    """The facts that every corpus has."""
    by_split = {name: [u for u in utterances if u.split == name] for name in SPLITS}
    phones = (args.language, args.convention) == ("en", "pronounced")
    meaning = {"meaning": "none"} if all(u.meaning is None for u in utterances) else {}
    return {
        "corpus": args.corpus,
        "language": args.language,
        "convention": args.convention,
        "surface": surface,
        **meaning,
        "surface_unit": "phone" if phones else "char",
        "meaning_unit": "char",
        "seed": args.seed,
        "utterances": {name: len(some) for name, some in by_split.items()},
        "speakers": {name: len({u.speaker for u in some}) for name, some in by_split.items()},
    }


def said(facts: dict) -> list[str]:
    """Notes of a corpus: how it was read, utterances left out, overlap of its splits."""
    lines = [f"note: {note}" for note in facts.get("notes", ())]
    for key in facts:
        if key.startswith(("left_out", "dropped")) and facts[key]:
            lines.append(f"{key.replace('_', ' ')}: {facts[key]}")
        if key.startswith("overlap"):
            shared = {pair: n for pair, n in facts[key].items() if n["speakers"] or n["prompts"]}
            lines.append(f"{key.replace('_', ' ')}: {shared or 'none'}")
    return lines


if __name__ == "__main__":
    run(main)
