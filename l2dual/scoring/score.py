"""Score one decoding: errors of each utterance, and what of them stands at learner's tokens."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from l2dual.data.datadir import TEXTS, DataDir, has_surface, read_table
from l2dual.data.divergence import divergences
from l2dual.errors import DataError
from l2dual.files import atomic_write, read_yaml
from l2dual.scoring import crosstalk, mispronunciation
from l2dual.scoring.crosstalk import meaning_marks, surface_marks
from l2dual.scoring.mispronunciation import count_decisions, mark, names_errors
from l2dual.scoring.results import Run
from l2dual.systems import from_run
from l2dual.text.units import UNITS, align, normalize, pad, width

GUIDED = "decode_guided"  # of conf: the guided search
Pairs = list[tuple[str | None, str | None]]
Hypotheses = Mapping[str, Mapping[str, str]]  # output: utterance: text

ERRORS = ("substitutions", "deletions", "insertions")
# Of each utterance, output and unit. All but the first four are counted in the output's finer unit.
COUNTS = ("n_ref", *ERRORS, *crosstalk.COUNTS, *mispronunciation.COUNTS)
# Of utterances.tsv. cluster is what intervals draw (`DataDir.clusters`); divergence is in learner's
# edits, in the surface's unit; it and bin are empty where there is no surface.
COLUMNS = ("utt", "speaker", "cluster", "l1", "divergence", "bin", "output", "unit", *COUNTS)
# Of run.yaml: what the scores have too, and the rest
COPIED = "system seed outputs label order baselines train_config commit command".split()
RUN_KEYS = [*COPIED, "corpus", "language", "convention", "data"]
NOT_LEARNED = 0.9  # error rate from which on a system has learned nothing


@dataclass(frozen=True)
class Scored:
    """The counts of one run.

    Attributes:
        run: which.
        counts: of each (output, unit), (U, len(COUNTS)), in the order of ``utts``.
        alignments: of each output in its finer unit, the pairs of each utterance.
    """

    run: Run
    utts: list[str]
    counts: dict[tuple[str, str], np.ndarray]
    alignments: dict[str, dict[str, Pairs]]


def units_of(info: Mapping, output: str) -> tuple[str, ...]:
    """The units that an output is scored in, the finer first."""
    return UNITS[info[f"{output}_unit"]]


def score(data: DataDir, hypotheses: Hypotheses, run: Run) -> Scored:
    """Count the errors of one run's hypotheses against the references in ``data``.

    Outputs that ``data`` has no texts of are left out, of the scored run's ``outputs`` too.

    Errors are counted with the fewest edits, and of those alignments the one with the fewest
    substitutions (`l2dual.text.units.align`). NIST's sclite weighs a substitution 4, a deletion and an
    insertion 3: its S, D and I are the same wherever its total is, which can only be higher. Of
    900 random utterances each at 15, 30 and 60 % errors it was in none, none and 5
    (drawn as in tests/scoring/test_sclite.py).

    Raises:
        DataError: hypotheses and references do not have the same utterances.
    """
    utts = sorted(data["utt2spk"])
    run = replace(run, outputs=[output for output in run.outputs if f"text.{output}" in data.tables])
    text = _normalized(data, utts)
    marks, counts, alignments, not_learned = _learners_marks(data, text), {}, {}, {}
    for output in run.outputs:
        references, texts = normalized_pair(data, hypotheses[output], output, run.decode_dir)
        for unit in units_of(data.info, output):
            pairs = {utt: align(references[utt], texts[utt], unit) for utt in utts}
            rows = {utt: count_errors(pairs[utt]) for utt in utts}
            if unit == units_of(data.info, output)[0]:
                alignments[output] = pairs
                for utt, marked in marks.get(output, {}).items():
                    rows[utt] |= crosstalk.tally(marked, pairs[utt])
                if output == "surface":
                    _add_decisions(rows, text, texts, unit)
                if reason := _nothing_learned(rows, references, texts):
                    not_learned[output] = reason
            table = [[rows[utt].get(name, 0) for name in COUNTS] for utt in utts]
            counts[output, unit] = np.array(table, dtype=float)
    return Scored(replace(run, not_learned=not_learned), utts, counts, alignments)


def _normalized(data: DataDir, utts: list[str]) -> dict[str, dict[str, str]]:
    """The reference texts of surface, canonical and meaning that there are, normalized."""
    tables = {name.removeprefix("text."): data.tables[name] for name in TEXTS if name in data.tables}
    return {name: {utt: normalize(table[utt]) for utt in utts} for name, table in tables.items()}


def _learners_marks(data: DataDir, text: dict[str, dict[str, str]]) -> dict[str, dict[str, list]]:
    """The marks (`crosstalk.Mark`) of each output's reference tokens, by utterance.

    Those of the meaning come from the table utt2heard, the meaning respelled where the learner
    erred, if it is there, else from the surface; none where that is in another alphabet.
    """
    if "surface" not in text:
        return {}
    unit, letters = (units_of(data.info, output)[0] for output in ("surface", "meaning"))
    surface, canonical = text["surface"], text["canonical"]
    found = {"surface": {u: surface_marks(canonical[u], surface[u], unit) for u in surface}}
    if "meaning" not in text:
        return found
    meaning = text["meaning"]
    if heard := data.tables.get("utt2heard"):
        canonical, surface = meaning, {utt: normalize(heard[utt]) for utt in meaning}
    if heard or unit == letters:
        found["meaning"] = {u: meaning_marks(meaning[u], canonical[u], surface[u], letters) for u in meaning}
    return found


def _add_decisions(rows: dict[str, dict], text: dict, heard: dict[str, str], unit: str) -> None:
    """Add the decisions on mispronunciations to the counts of each utterance."""
    canonical = text["canonical"]
    truths = {utt: mark(canonical[utt], text["surface"][utt], unit) for utt in rows}
    named = any(names_errors(canonical[utt], truth, unit) for utt, truth in truths.items())
    for utt, truth in truths.items():
        decisions = count_decisions(canonical[utt], truth, mark(canonical[utt], heard[utt], unit), unit)
        rows[utt] |= decisions if named else decisions | {"CD": 0, "DE": 0}


def _nothing_learned(rows: dict, references: dict, texts: dict[str, str]) -> str | None:
    """Say why hypotheses are those of a system that has learned nothing."""
    n_ref = sum(row["n_ref"] for row in rows.values())
    errors = sum(row[kind] for row in rows.values() for kind in ERRORS)
    if len(set(references.values())) > 1 and len(set(texts.values())) == 1:
        return "all its hypotheses are alike"
    if n_ref and errors >= NOT_LEARNED * n_ref:
        return f"{errors / n_ref:.0%} errors"
    return None


def decoded_run(run_file: Path, decode: Path, decode_config: str | None) -> Run:
    """The facts of a run, from its run.yaml and log, and of the decoding ``decode``."""
    run = read_run(run_file)
    facts = training_facts(run_file.parent)
    return run_of(run, run_file.parent.name, str(decode), decode_config, *facts)


def training_facts(exp_dir: Path) -> tuple[int | None, float | None, int | None]:
    """The parameters of a run's model, the seconds of its epochs and their number, from its log; None if unknown.

    An epoch that was trained again after a stop counts once.
    """
    log = exp_dir / "train.log"
    text = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
    size = re.search(r"Total Number of model parameters: ([\d.]+) ?([KMG]?)", text)
    epochs = dict(re.findall(r" (\d+)epoch results: (.*)", text))
    spans = [span for line in epochs.values() for span in re.findall(r"[ ,]time=([^,]*)", line)]
    seconds = [
        float(number) * {"second": 1, "minute": 60, "hour": 3600, "day": 86400}[unit]
        for span in spans
        for number, unit in re.findall(r"([\d.]+) (second|minute|hour|day)", span)
    ]
    factor = {"": 1, "K": 1e3, "M": 1e6, "G": 1e9}
    parameters = round(float(size[1]) * factor[size[2]]) if size else None
    return parameters, sum(seconds) or None, max(map(int, epochs), default=None)


def run_of(
    run: Mapping,
    name: str,
    decode_dir: str,
    decode_config: str | None = None,
    parameters: int | None = None,
    train_seconds: float | None = None,
    epochs: int | None = None,
) -> Run:
    """The facts of a run, given the content of its run.yaml."""
    return Run(
        name=name,
        **{key: run[key] for key in COPIED},
        trained_on=run["data"],
        decode_config=decode_config,
        decode_dir=decode_dir,
        parameters=parameters,
        train_seconds=train_seconds,
        epochs=epochs,
        guided=_is_guided(decode_config),
        sharing=run.get("sharing") or {},
        blocks=run.get("blocks"),
    )


def _is_guided(decode_config: str | None) -> bool:
    """Whether a search is guided: by its file, or by its name where that is not here."""
    file = Path(decode_config or "")
    return bool(read_yaml(file).get("guided")) if file.is_file() else file.stem == GUIDED


def check_comparable(run: Mapping, name: object, data: DataDir) -> None:
    """Refuse references of another language, or convention of a surface, than a run writes."""
    surface = "surface" in run["outputs"] and has_surface(data.info)
    for key in ("language", *(["convention"] if surface else [])):
        if run[key] != data.info[key]:
            raise DataError(
                f"{data.path}: its {key} is {data.info[key]}, but {name} was trained on "
                f"{run[key]}: score on data of its own {key}"
            )


def normalized_pair(
    data: DataDir, hypotheses: Mapping[str, str], output: str, decode: object
) -> tuple[dict[str, str], dict[str, str]]:
    """One output's references and hypotheses, normalized.

    Raises DataError naming an utterance that only one of them has.
    """
    name = f"text.{output}"
    ours = data[name]
    for utt in sorted(ours.keys() ^ hypotheses.keys())[:1]:
        lacks, has = (decode, data.path) if utt in ours else (data.path, decode)
        raise DataError(
            f"{lacks}/{name}: utterance {utt} is missing, but {has}/{name} has it: "
            "decode this split again (stage 9)"
        )
    references, texts = ({utt: normalize(t[utt]) for utt in ours} for t in (ours, hypotheses))
    return references, texts


def read_pair(data: DataDir, decode: Path, output: str) -> tuple[dict[str, str], dict[str, str]]:
    """Read one output's references and hypotheses, normalized; DataError as `normalized_pair`."""
    return normalized_pair(data, read_table(decode / f"text.{output}"), output, decode)


def read_run(path: Path) -> dict:
    """Read a run.yaml; DataError if it is absent, lacks a key, or says no system."""
    if not path.is_file():
        raise DataError(f"{path}: not found; train this system first (stage 8)")
    run = read_yaml(path)
    for key in RUN_KEYS:
        if key not in run:
            raise DataError(f"{path}: no '{key}'; train this system again (stage 8)")
    try:
        from_run(run)
    except DataError as error:
        raise DataError(f"{path}: {error}; train this system again (stage 8)") from error
    return run


def count_errors(pairs: Iterable[tuple[str | None, str | None]]) -> dict[str, int]:
    """Count n_ref and ERRORS among aligned pairs."""
    counts = {"hits": 0, "substitutions": 0, "deletions": 0, "insertions": 0}
    for pair in pairs:
        counts[kind_of(*pair)] += 1
    hits = counts.pop("hits")
    return {"n_ref": hits + counts["substitutions"] + counts["deletions"]} | counts


def kind_of(reference: str | None, hypothesis: str | None) -> str:
    """Name what one aligned pair is: hits, substitutions, deletions or insertions."""
    if reference == hypothesis:
        return "hits"
    if hypothesis is None:
        return "deletions"
    return "insertions" if reference is None else "substitutions"


def write_scored(scored: Scored, data: DataDir, out: Path) -> None:
    """Write align.OUTPUT.txt, utterances.tsv and run.json to the directory ``out``."""
    for output, pairs in scored.alignments.items():
        write_alignments(out / f"align.{output}.txt", pairs, units_of(data.info, output)[0])
    found = divergences(data)
    with atomic_write(out / "utterances.tsv") as stream:
        stream.write("\t".join(COLUMNS) + "\n")
        for (output, unit), table in scored.counts.items():
            for utt, counts in zip(scored.utts, table.astype(int), strict=True):
                edits = found.get(utt)
                who = (utt, data["utt2spk"][utt], data.clusters[utt], data["utt2l1"][utt])
                divergence = (edits.learner, edits.bin) if edits else ("", "")
                row = (*who, *divergence, output, unit, *counts)
                stream.write("\t".join(map(str, row)) + "\n")
    with atomic_write(out / "run.json") as stream:
        json.dump(asdict(scored.run), stream, ensure_ascii=False, indent=1)


def read_scored(path: Path) -> Scored:
    """Read what `write_scored` wrote, without the alignments; DataError if it is not that."""
    file = path / "utterances.tsv"
    if not file.is_file() or not (path / "run.json").is_file():
        raise DataError(f"{path}: holds no scores: score this run (stage 10)")
    header, *lines = file.read_text(encoding="utf-8").splitlines()
    if tuple(header.split("\t")) != COLUMNS:
        raise DataError(f"{file}: columns are not {' '.join(COLUMNS)}: score again (stage 10)")
    tables: dict[tuple[str, str], dict[str, list[float]]] = {}
    first = COLUMNS.index("n_ref")
    for line in lines:
        row = line.split("\t")
        key = row[COLUMNS.index("output")], row[COLUMNS.index("unit")]
        tables.setdefault(key, {})[row[0]] = [float(value) for value in row[first:]]
    run = Run(**json.loads((path / "run.json").read_text(encoding="utf-8")))
    utts = list(next(iter(tables.values()), {}))
    return Scored(run, utts, {k: np.array(list(t.values())) for k, t in tables.items()}, {})


def write_alignments(path: Path, pairs: dict[str, Pairs], unit: str) -> None:
    """Write reference over hypothesis per utterance, with S, D or I under each error."""
    space = "" if unit == "char" else " "
    with atomic_write(path) as stream:
        for utt, steps in pairs.items():
            counts = count_errors(steps)
            rows: dict[str, list[str]] = {"ref": [], "hyp": [], "   ": []}
            for reference, hypothesis in steps:
                sign = kind_of(reference, hypothesis)[0].upper().replace("H", " ")
                cells = (gap(reference, hypothesis), gap(hypothesis, reference), sign)
                columns = max(map(width, cells))
                for row, cell in zip(rows.values(), cells, strict=True):
                    row.append(pad(cell, columns))
            sdi = " ".join(f"{kind[0].upper()}={counts[kind]}" for kind in ERRORS)
            stream.write(f"{utt}  {sdi} of {counts['n_ref']}\n")
            for name, row in rows.items():
                stream.write(f"{name}  {space.join(row)}".rstrip() + "\n")
            stream.write("\n")


def gap(token: str | None, other: str | None) -> str:
    """Return the token, or stars as wide as the other side where it is missing."""
    return "*" * width(other or "") if token is None else token


def write_records(path: Path, records: list[dict]) -> None:
    """Write records as JSON, one per line."""
    with atomic_write(path) as stream:
        lines = (json.dumps(record, ensure_ascii=False) for record in records)
        stream.write("[\n" + ",\n".join(lines) + "\n]\n")
