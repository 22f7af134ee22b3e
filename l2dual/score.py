"""Error rates of one decoding, per output, unit and divergence bin."""

import json
from collections.abc import Iterable
from pathlib import Path

import yaml

from l2dual.datadir import DataDir, has_surface, read_table, surface_of
from l2dual.divergence import BINS, Divergence, divergences
from l2dual.errors import DataError
from l2dual.files import atomic_write
from l2dual.text import NORMALIZER, UNITS, align, normalize, pad, width

Pairs = list[tuple[str | None, str | None]]

# Of utterances.tsv. cluster is what intervals draw (`DataDir.clusters`). divergence is in edits, and
# surface_length in tokens, of the surface's unit; both and bin are empty where there is no surface.
# The last four are counts in the row's own unit.
COLUMNS = tuple(
    "utt speaker cluster l1 output unit divergence surface_length bin n_ref substitutions deletions "
    "insertions".split()
)


def score(
    data: DataDir, decode: Path, run_file: Path, decode_config: str | None, out: Path
) -> list[dict]:
    """Score the hypotheses ``decode/text.<output>`` against the references in ``data``.

    Writes align.<output>.txt and utterances.tsv to the directory ``out``. ``run_file`` is the run's
    run.yaml; ``decode_config`` is only recorded.

    Errors are counted with the fewest edits, and of those alignments the one with the fewest
    substitutions (`l2dual.text.align`). NIST's sclite weighs a substitution 4, a deletion and an
    insertion 3: its S, D and I are the same wherever its total is, which can only be higher. Of
    900 random utterances each at 15, 30 and 60 % errors it was in none, none and 5
    (drawn as in tests/unit/test_sclite.py).

    Returns:
        One record per output, unit and bin (``all`` and, where there is a surface, BINS).

    Raises:
        DataError: hypotheses and references do not have the same utterances, or ``data`` is of
            another language or convention than the run was trained on, or lacks its surface.
    """
    run, speakers = read_run(run_file), data["utt2spk"]
    check_comparable(run, run_file, data)
    found = divergences(data)
    bins = {utt: divergence.bin for utt, divergence in found.items()}
    names = ("all", *BINS) if has_surface(data.info) else ("all",)
    common = {
        "kind": "error_rate",
        **{key: data.info[key] for key in ("corpus", "language", "convention")},
        **{key: run[key] for key in ("system", "seed")},
        "surface": surface_of(data.info),
        "split": data.path.name,
        "data": str(data.path.parent),
        "trained_on": run["data"],
        "seen_sentences": seen_sentences(data, Path(run["data"])),
        "exp_dir": str(run_file.parent),
        "decode_dir": str(decode),
        "normalizer": NORMALIZER,
        "commit": run["commit"],
        "config": run["train_config"],
        "decode_config": decode_config,
        "command": run["command"],
    }
    records, rows = [], []
    for output in run["outputs"]:
        references, hypotheses = read_pair(data, decode, output)
        for unit in UNITS[data.info[f"{output}_unit"]]:
            pairs = {utt: align(references[utt], hypotheses[utt], unit) for utt in references}
            if unit != "word":
                write_alignments(out / f"align.{output}.txt", pairs, unit)
            rows += utterance_rows(data, found, output, unit, pairs)
            for name in names:
                utts = [utt for utt in pairs if name in ("all", bins.get(utt))]
                records.append(
                    common
                    | {"output": output, "unit": unit, "bin": name, "n_utts": len(utts)}
                    | {"n_speakers": len({speakers[utt] for utt in utts})}
                    | error_rate(pair for utt in utts for pair in pairs[utt])
                )
    write_utterances(out / "utterances.tsv", rows)
    return records


def check_comparable(run: dict, run_file: Path, data: DataDir) -> None:
    """Refuse references of another language, or convention of a surface, than a run writes."""
    surface = "surface" in run["outputs"]
    if surface and not has_surface(data.info):
        raise DataError(
            f"{data.path}: does not say what was pronounced, which {run_file} writes: score so_meaning on it"
        )
    for key in ("language", *(["convention"] if surface else [])):
        if run[key] != data.info[key]:
            raise DataError(
                f"{data.path}: its {key} is {data.info[key]}, but {run_file} was trained on "
                f"{run[key]}: score on data of its own {key}"
            )


def seen_sentences(data: DataDir, trained_on: Path) -> int | None:
    """How many utterances have a meaning that other data, ``trained_on``, have in training, too.

    None where they are that data's own test set, or it is not there.
    """
    train = trained_on / "train/text.meaning"
    if data.path.parent == trained_on or not train.is_file():
        return None
    seen = {normalize(text) for text in read_table(train).values()}
    return sum(normalize(text) in seen for text in data["text.meaning"].values())


def utterance_rows(
    data: DataDir, found: dict[str, Divergence], output: str, unit: str, pairs: dict[str, Pairs]
) -> list[tuple]:
    """Return the row of utterances.tsv (COLUMNS) of each utterance, sorted by utterance."""
    rows = []
    for utt in sorted(pairs):
        edits, counts = found.get(utt), error_rate(pairs[utt])
        divergence = (edits.learner, edits.length, edits.bin) if edits else ("", "", "")
        errors = (counts["n_ref"], counts["substitutions"], counts["deletions"])
        who = (utt, data["utt2spk"][utt], data.clusters[utt], data["utt2l1"][utt])
        rows.append((*who, output, unit, *divergence, *errors, counts["insertions"]))
    return rows


def write_utterances(path: Path, rows: list[tuple]) -> None:
    """Write the counts of each utterance, tab-separated under COLUMNS."""
    with atomic_write(path) as stream:
        for row in (COLUMNS, *rows):
            stream.write("\t".join(map(str, row)) + "\n")


def read_utterances(path: Path) -> list[dict[str, str]]:
    """Read utterances.tsv: a row of COLUMNS per utterance, output and unit.

    Raises DataError if the file is absent or its columns are others.
    """
    if not path.is_file():
        raise DataError(f"{path}: not found: score this run again (stage 10)")
    header, *lines = path.read_text(encoding="utf-8").splitlines()
    if tuple(header.split("\t")) != COLUMNS:
        raise DataError(f"{path}: columns are not {' '.join(COLUMNS)}; score again (stage 10)")
    return [dict(zip(COLUMNS, line.split("\t"), strict=True)) for line in lines]


def read_pair(data: DataDir, decode: Path, output: str) -> tuple[dict[str, str], dict[str, str]]:
    """Read one output's references and hypotheses, normalized.

    Raises DataError naming an utterance that only one of them has.
    """
    name = f"text.{output}"
    ours, theirs = data[name], read_table(decode / name)
    for utt in sorted(ours.keys() ^ theirs.keys())[:1]:
        lacks, has = (decode, data.path) if utt in ours else (data.path, decode)
        raise DataError(
            f"{lacks / name}: utterance {utt} is missing, but stands in {has / name}: "
            "decode this split again (stage 9)"
        )
    references, hypotheses = (
        {utt: normalize(texts[utt]) for utt in ours} for texts in (ours, theirs)
    )
    return references, hypotheses


def read_run(path: Path) -> dict:
    """Read a run.yaml; DataError if it is absent or lacks a key."""
    if not path.is_file():
        raise DataError(f"{path}: not found; train this system first (stage 8)")
    run = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    keys = "system seed outputs corpus language convention data train_config command commit"
    for key in keys.split():
        if key not in run:
            raise DataError(f"{path}: no '{key}'; train this system again (stage 8)")
    return run


def error_rate(pairs: Iterable[tuple[str | None, str | None]]) -> dict:
    """Count the errors among aligned pairs; the rate is their share of the reference tokens.

    The rate is null, with the reason, where there is no reference token.
    """
    counts = {"hits": 0, "substitutions": 0, "deletions": 0, "insertions": 0}
    for pair in pairs:
        counts[kind_of(*pair)] += 1
    hits = counts.pop("hits")
    n_ref = hits + counts["substitutions"] + counts["deletions"]
    errors = sum(counts.values())
    return {
        "errors": errors,
        **counts,
        "n_ref": n_ref,
        "error_rate": errors / n_ref if n_ref else None,
        "reason": None if n_ref else "no reference token in this bin",
    }


def kind_of(reference: str | None, hypothesis: str | None) -> str:
    """Name what one aligned pair is: hits, substitutions, deletions or insertions."""
    if reference == hypothesis:
        return "hits"
    if hypothesis is None:
        return "deletions"
    return "insertions" if reference is None else "substitutions"


def write_alignments(path: Path, pairs: dict[str, Pairs], unit: str) -> None:
    """Write reference over hypothesis per utterance, with S, D or I under each error."""
    space = "" if unit == "char" else " "
    with atomic_write(path) as stream:
        for utt, steps in pairs.items():
            counts = error_rate(steps)
            rows: dict[str, list[str]] = {"ref": [], "hyp": [], "   ": []}
            for reference, hypothesis in steps:
                mark = kind_of(reference, hypothesis)[0].upper().replace("H", " ")
                cells = (gap(reference, hypothesis), gap(hypothesis, reference), mark)
                columns = max(map(width, cells))
                for row, cell in zip(rows.values(), cells, strict=True):
                    row.append(pad(cell, columns))
            sdi = " ".join(f"{k[0].upper()}={counts[k]}" for k in list(counts)[1:4])
            stream.write(f"{utt}  {sdi} of {counts['n_ref']}\n")
            for name, row in rows.items():
                stream.write(f"{name}  {space.join(row)}".rstrip() + "\n")
            stream.write("\n")


def gap(token: str | None, other: str | None) -> str:
    """Return the token, or stars as wide as the other side where it is missing."""
    return "*" * width(other or "") if token is None else token


def merge(paths: list[Path]) -> list[dict]:
    """Join the records of several score files; DataError if two score the same decoding."""
    records: list[dict] = []
    seen: dict[str, Path] = {}
    for path in paths:
        new = read_records(path)
        for decode in {record["decode_dir"] for record in new}:
            if decode in seen:
                raise DataError(f"{path}: {decode} is in {seen[decode]} too; name it once")
            seen[decode] = path
        records += new
    return records


def read_records(path: Path) -> list[dict]:
    """Read a JSON list of records; DataError if the file is absent or not such a list."""
    if not path.is_file():
        raise DataError(f"{path}: not found; score first (stage 10)")
    try:
        records = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path}: not JSON ({error}); score again (stage 10)") from error
    if not isinstance(records, list):
        raise DataError(f"{path}: not a list of records; score again (stage 10)")
    return records


def write_records(path: Path, records: list[dict]) -> None:
    """Write records as JSON, one per line."""
    with atomic_write(path) as stream:
        lines = (json.dumps(record, ensure_ascii=False) for record in records)
        stream.write("[\n" + ",\n".join(lines) + "\n]\n")
