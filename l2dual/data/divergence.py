"""How far learners' surface lies from what they meant, per utterance and per data set."""

import unicodedata
from dataclasses import dataclass

from l2dual.data.datadir import DataDir, convention_of, has_meaning, has_surface, surface_of
from l2dual.text.units import NAMES, NORMALIZER, distance, normalize, tokens

BINS = ("0", "1-3", "4-10", "11+")
NO_SURFACE = "the corpus does not say what was pronounced"

# Percent of utterances per bin in AI-Hub L2 read speech (Cho & Kim 2026, Table 1)
PAPER = {
    "ko": {"0": 39, "1-3": 35, "4-10": 21, "11+": 5},
    "en": {"0": 26, "1-3": 40, "4-10": 30, "11+": 4},
}


@dataclass(frozen=True)
class Divergence:
    """Edits of one utterance, in units of its surface.

    ``learner`` is the distance of surface and canonical; ``native`` that of canonical and
    meaning (what native rules change), None where these are not written in one alphabet. ``jamo``
    is ``learner`` in the letters of Hangul, where the unit is a syllable; else None.
    """

    learner: int
    native: int | None
    jamo: int | None
    length: int

    @property
    def bin(self) -> str:
        """The bin of the learner's edits, which is what *divergence* means."""
        return bin_of(self.learner)


def bin_of(divergence: int) -> str:
    """Return the bin (``0``, ``1-3``, ``4-10`` or ``11+``) of a number of edits."""
    if divergence == 0:
        return "0"
    return "1-3" if divergence <= 3 else "4-10" if divergence <= 10 else "11+"


def divergences(data: DataDir) -> dict[str, Divergence]:
    """Measure every utterance of a data directory; none where the corpus has no surface."""
    if not has_surface(data.info):
        return {}
    unit = data.info["surface_unit"]
    one_alphabet = has_meaning(data.info) and data.info["meaning_unit"] == unit
    syllables = data.info["language"] == "ko" and unit == "char"
    found = {}
    for utt in data["text.surface"]:
        surface, canonical = (normalize(data[f"text.{name}"][utt]) for name in ("surface", "canonical"))
        found[utt] = Divergence(
            distance(surface, canonical, unit),
            distance(canonical, normalize(data["text.meaning"][utt]), unit) if one_alphabet else None,
            distance(in_jamo(surface), in_jamo(canonical), unit) if syllables else None,
            len(tokens(surface, unit)),
        )
    return found


def in_jamo(text: str) -> str:
    """Hangul syllables taken apart into their letters."""
    return unicodedata.normalize("NFD", text)


def summarize(data: DataDir) -> list[dict]:
    """Summarize the divergence of a data directory: one record for all, then one per L1.

    ``learner_edits``, ``native_edits`` and ``jamo_edits`` are totals (``native_edits`` null where the
    alphabets differ, ``jamo_edits`` where the unit is no syllable), ``mean_divergence`` is learner
    edits per utterance, ``percent`` is of utterances. Without a surface there is one record, whose
    values are null, with the reason.
    """
    found, info = divergences(data), data.info
    speakers, l1s = data["utt2spk"], data["utt2l1"]
    common = {
        "kind": "divergence",
        "corpus": info["corpus"],
        "language": info["language"],
        "convention": info["convention"],
        "surface": surface_of(info),
        "split": data.path.name,
        "unit": info["surface_unit"],
        "normalizer": NORMALIZER,
    }
    if not has_surface(info):
        return [common | _unmeasured(data)]
    groups = {"all": list(found)}
    for l1 in sorted(set(l1s.values())):
        groups[l1] = [utt for utt in found if l1s[utt] == l1]
    records = []
    for l1, utts in groups.items():
        edits = [found[utt] for utt in utts]
        counts = {name: sum(edit.bin == name for edit in edits) for name in BINS}
        records.append(
            common
            | {
                "l1": l1,
                "n_utts": len(utts),
                "n_speakers": len({speakers[utt] for utt in utts}),
                "n_units": sum(edit.length for edit in edits),
                "bins": counts,
                "percent": {name: 100 * n / len(utts) for name, n in counts.items()},
                "learner_edits": sum(edit.learner for edit in edits),
                "native_edits": total([edit.native for edit in edits]),
                "jamo_edits": total([edit.jamo for edit in edits]),
                "mean_divergence": sum(edit.learner for edit in edits) / len(utts),
                "reason": None,
            }
        )
    return records


def total(edits: list[int | None]) -> int | None:
    """The sum, or None where one is None."""
    known = [number for number in edits if number is not None]
    return sum(known) if len(known) == len(edits) else None


def _unmeasured(data: DataDir) -> dict:
    values = "n_units bins percent learner_edits native_edits jamo_edits mean_divergence".split()
    counts = {"n_utts": len(data["wav.scp"]), "n_speakers": len(set(data["utt2spk"].values()))}
    return {"l1": "all"} | counts | dict.fromkeys(values) | {"reason": NO_SURFACE}


def table(records: list[dict]) -> str:
    """Lay the records of ``summarize`` out for a terminal, the paper's distribution below."""
    first = records[0]
    if first["reason"]:
        corpus = f"{first['corpus']}, {first['language']}"
        return f"Divergence: {corpus}: not measured: {first['reason']}"
    lines: list[tuple[str, ...]] = [
        ("split", "L1", "utts", "speakers", *BINS, "mean", "learner", "native", "jamo")
    ]
    for record in records:
        others = (record["native_edits"], record["jamo_edits"])
        lines.append(
            (
                record["split"],
                record["l1"],
                str(record["n_utts"]),
                str(record["n_speakers"]),
                *(f"{record['percent'][name]:.0f} %" for name in BINS),
                f"{record['mean_divergence']:.2f}",
                str(record["learner_edits"]),
                *("-" if edits is None else str(edits) for edits in others),
            )
        )
    if first["language"] in PAPER:
        shares = (f"{PAPER[first['language']][name]} %" for name in BINS)
        lines.append(("paper", "AI-Hub", "", "", *shares, "", "", "", ""))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    title = (
        f"Divergence in {NAMES[first['unit']]}: {first['corpus']}, {first['language']}, "
        f"{convention_of(first)} (utterances per bin; learner and native edits in total)"
    )
    rows = ("  ".join(map(str.rjust, line, widths)) for line in lines)
    return "\n".join([title, *rows])
