"""Our counts against those of NIST's sclite (Debian: apt-get install sctk)."""

import random
import re
import shutil
import subprocess

import pytest

from l2dual.scoring.score import count_errors
from l2dual.text.units import align, normalize

SCLITE = ["sclite"] if shutil.which("sclite") else ["sctk", "sclite"]
pytestmark = pytest.mark.skipif(
    not shutil.which(SCLITE[0]), reason="sclite is not here: apt-get install sctk"
)

# (unit, reference, hypothesis, substitutions, deletions, insertions)
GOLDEN = [
    ("word", "i think so", "i think so", 0, 0, 0),
    ("word", "i think so", "I sink so", 1, 0, 0),
    ("word", "i like rice and beans", "i laik rais end beans", 3, 0, 0),
    ("word", "the cat sat on the mat", "cat sat on mat", 0, 2, 0),
    ("word", "she goes to school", "she is goes to the school", 0, 0, 2),
    ("word", "we walked very long home", "we work very home now", 1, 1, 1),
    ("word", "hello", "", 0, 1, 0),
    ("word", "나는 학교에 갑니다", "나는 하교에 갑니다", 1, 0, 0),
    ("word", "오늘 날씨가 좋습니다", "오늘은 날씨 가 좋습니다", 2, 0, 1),
    ("phone", "DH IH NG K S OW", "S IH NG K S OW", 1, 0, 0),
    ("phone", "R AY S AH N D B IY N Z", "R AY S EH N B IY N Z AH", 1, 1, 1),
    ("phone", "W ER K T", "W AO K AH T", 1, 0, 1),
    ("char", "think so", "sink so", 1, 1, 0),
    ("char", "rice and beans", "rais end binz", 4, 2, 1),
    ("char", "학교에 갑니다", "하교에감니다", 2, 1, 0),
    ("char", "very long home", "verry log homee", 0, 1, 2),
]


def sclite(directory, pairs):
    """(substitutions, deletions, insertions) per pair of token lists."""
    for name, side in (("ref", 0), ("hyp", 1)):
        lines = (f"{' '.join(pair[side])} (a-{n:04d})\n" for n, pair in enumerate(pairs))
        (directory / f"{name}.trn").write_text("".join(lines), encoding="utf-8")
    files = ["-r", directory / "ref.trn", "trn", "-h", directory / "hyp.trn", "trn"]
    command = [*SCLITE, *files, "-i", "wsj", "-e", "utf-8", "-o", "pralign", "stdout"]
    printed = subprocess.run(command, capture_output=True, check=True).stdout
    counts = re.findall(rb"Scores: \(#C #S #D #I\) \d+ (\d+) (\d+) (\d+)", printed)
    assert len(counts) == len(pairs)
    return [tuple(map(int, three)) for three in counts]


def split(text, unit):
    """Tokens as sclite takes them; a space as a character is written out."""
    return [token.replace(" ", "_") for token in (text if unit == "char" else text.split())]


def ours(reference, hypothesis, unit):
    counts = count_errors(align(reference, hypothesis, unit))
    return tuple(counts[kind] for kind in ("substitutions", "deletions", "insertions"))


def test_golden_counts(tmp_path):
    pairs = [(unit, normalize(ref), normalize(hyp)) for unit, ref, hyp, *_ in GOLDEN]
    expected = [tuple(case[3:]) for case in GOLDEN]
    assert [ours(ref, hyp, unit) for unit, ref, hyp in pairs] == expected
    assert sclite(tmp_path, [(split(r, u), split(h, u)) for u, r, h in pairs]) == expected


@pytest.mark.parametrize("errors", [0.15, 0.3, 0.6])
@pytest.mark.parametrize("vocabulary", [8, 30])
def test_counts_are_the_same_wherever_the_total_is(tmp_path, errors, vocabulary):
    rng = random.Random(1)
    names = [f"t{number}" for number in range(vocabulary)]
    pairs = []
    for _ in range(100):
        reference = rng.choices(names, k=rng.randint(1, 25))
        weights = [1 - errors, errors / 2, errors / 4, errors / 4]
        hypothesis = []
        for token in reference:
            choices = [[token], [rng.choice(names)], [], [token, rng.choice(names)]]
            hypothesis += rng.choices(choices, weights)[0]
        pairs.append((reference, hypothesis))
    theirs = sclite(tmp_path, pairs)
    mine = [ours(" ".join(ref), " ".join(hyp), "word") for ref, hyp in pairs]
    other = [(a, b) for a, b in zip(mine, theirs, strict=True) if a != b]
    assert all(sum(a) < sum(b) for a, b in other)
    assert len(other) <= (2 if errors > 0.5 else 0)


def test_two_alignments_with_as_few_edits(tmp_path):
    assert ours("a b", "b c", "word") == (0, 1, 1)  # not two substitutions
    assert sclite(tmp_path, [("ab", "bc")]) == [(0, 1, 1)]
