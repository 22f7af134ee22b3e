"""Test utterances to look at and listen to: audio, and texts aligned token by token."""

import base64
import io
import math
from dataclasses import dataclass
from pathlib import Path

import soundfile

from l2dual.data.audio import read_values
from l2dual.data.datadir import DataDir
from l2dual.data.divergence import BINS, bin_of, divergences
from l2dual.report.study import StudyResults
from l2dual.scoring.score import kind_of, read_pair
from l2dual.text.units import align, normalize

GAP = "·"  # another row has a token of its own here
SIGN = {"hits": "", "substitutions": "S", "deletions": "D", "insertions": "I"}


@dataclass(frozen=True)
class ShownToken:
    """One token as shown: its text, a sign (S, D, I, or △ for the learner's) and a style."""

    text: str
    sign: str = ""
    style: str = ""


@dataclass(frozen=True)
class Block:
    """Rows of one output over the same columns; columns are grouped so that lines can wrap."""

    output: str
    unit: str
    labels: list[str]
    words: list[list[list[ShownToken]]]  # word, column, row


def examples(study: StudyResults, data: DataDir, number: int = 6) -> list[dict]:
    """Choose test utterances over the bins and lay out what ``dual`` and its baselines made of them.

    The first is the one whose divergence is least, but not 0, where there is one.
    """
    found = {utt: divergence.learner for utt, divergence in divergences(data).items()}
    hypotheses = read_hypotheses(study, data)
    shown = choose(dict.fromkeys(data["utt2spk"], 0) | found, data["utt2spk"], number)
    shown.sort(key=lambda utt: (found.get(utt) or math.inf, utt))
    return [
        {
            "id": utt,
            "l1": data["utt2l1"][utt],
            "divergence": found.get(utt),
            "audio": embed_audio(data["wav.scp"][utt], data.info["sampling_rate"]),
            "blocks": [
                lay_out(
                    output,
                    data.info[f"{output}_unit"],
                    normalize(data[f"text.{output}"][utt]),
                    normalize(data["text.canonical"][utt]) if output == "surface" else None,
                    {name: table[utt] for name, table in hypotheses[output].items()},
                )
                for output in study.outputs
            ],
        }
        for utt in shown
    ]


def choose(found: dict[str, int], speakers: dict[str, str], number: int) -> list[str]:
    """Take turns over the bins, a new speaker each time while there is one; then by divergence."""
    queues = {name: [utt for utt in sorted(found) if bin_of(found[utt]) == name] for name in BINS}
    chosen: list[str] = []
    while len(chosen) < min(number, len(found)):
        for queue in filter(None, queues.values()):
            heard = {speakers[utt] for utt in chosen}
            new = [utt for utt in queue if speakers[utt] not in heard] or queue
            chosen.append(new[0])
            queue.remove(new[0])
    return sorted(chosen[:number], key=lambda utt: (found[utt], utt))


def read_hypotheses(study: StudyResults, data: DataDir) -> dict[str, dict[str, dict[str, str]]]:
    """The texts of each output by the first seed of each system that is shown, by utterance."""
    tables: dict[str, dict] = {output: {} for output in study.outputs}
    for system in study.trio():
        run = study.runs_of(system)[0]
        for output in run.outputs:
            _, tables[output][system] = read_pair(data, Path(run.decode_dir), output)
    return tables


def embed_audio(path: str, rate: int) -> str:
    """Return an audio file of wav.scp (or a place in a Kaldi ark) as a data: URI, FLAC."""
    samples = read_values(path, "the report's examples")
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format="FLAC", subtype="PCM_16")
    return "data:audio/flac;base64," + base64.b64encode(buffer.getvalue()).decode()


def lay_out(
    output: str, unit: str, reference: str, intended: str | None, hypotheses: dict[str, str]
) -> Block:
    """Align ``intended`` (the canonical text) and every hypothesis with the reference.

    A column is a reference token, or a place between two where some row has a token of its own.
    """
    rows = ([("intended", intended)] if intended is not None else []) + list(hypotheses.items())
    slots = [columns_of(align(reference, text, unit)) for _, text in rows]
    at = 1 if intended is not None else 0
    labels = [label for label, _ in rows]
    labels.insert(at, output)
    words: list[list[list[ShownToken]]] = [[]]
    for place in range(max(len(slot) for slot in slots)):
        for step in range(max(len(slot[place]) for slot in slots)):
            pairs = [slot[place][step] if step < len(slot[place]) else None for slot in slots]
            column, token = column_of(pairs, at)
            words[-1].append(column)
            if unit == "phone" or token == " ":
                words.append([])
    return Block(output, unit, labels, [word for word in words if word])


def columns_of(pairs: list) -> list[list]:
    """Sort aligned pairs into places: insertions before each reference token, then the token."""
    places: list[list] = [[]]
    for pair in pairs:
        if pair[0] is None:
            places[-1].append(pair)
        else:
            places += [[pair], []]
    return places


def column_of(pairs: list, at: int) -> tuple[list[ShownToken], str | None]:
    """Turn one column's pairs (row by row; None: the row has nothing here) into marks."""
    token = next((pair[0] for pair in pairs if pair is not None), None)
    column = []
    for row, pair in enumerate(pairs):
        kind = "hits" if pair is None else kind_of(*pair)
        text = GAP if pair is None else shown(pair[1], kind)
        learner = row < at
        if kind == "hits":
            column.append(ShownToken(text, "", "g" if text == GAP else ""))
        else:
            column.append(ShownToken(text, "" if learner else SIGN[kind], "l" if learner else "e"))
    differs = at and pairs[0] is not None and pairs[0][0] != pairs[0][1]
    style = "l" if differs else "g" if token is None else ""
    column.insert(at, ShownToken(shown(token, "hits"), "△" if differs else "", style))
    return column, token


def shown(token: str | None, kind: str) -> str:
    """Write a missing token as a dash or a gap, and a space that is an error as a visible one."""
    if token is None:
        return GAP if kind == "hits" else "–"
    return "␣" if token == " " and kind != "hits" else token
