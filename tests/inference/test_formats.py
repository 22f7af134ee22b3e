"""What is written of a recording."""

import dataclasses
import json
from itertools import pairwise

import pytest
from praatio import textgrid

from l2dual.errors import DataError
from l2dual.inference.differences import differences, steps, unit_of
from l2dual.inference.formats import BOLD, PLAIN, RED, as_json, as_srt, as_text, as_textgrid, as_tsv
from l2dual.inference.result import Recognized, Token, Transcription
from l2dual.text.units import width


def said(texts, step=0.5):
    tokens = tuple(Token(text, i * step, (i + 1) * step, 0.9) for i, text in enumerate(texts))
    text = ("" if len(texts) and len(texts[0]) == 1 else " ").join(texts)
    return Transcription(text, -1.0, tokens, ((text, -1.0),))


def recognized(surface, meaning, language="en", convention="heard", due=None):
    ours, unit = said(surface), unit_of(language, convention)
    alignment = steps(due or meaning, ours.tokens, unit)
    differing = differences(alignment, ours.tokens, unit)
    seconds = max(len(surface), len(meaning)) * 0.5
    return Recognized("a.wav", seconds, language, convention, ours, said(meaning), differing, tuple(alignment))


THINK = recognized("i sink", "i think")


def test_both_lines_stand_under_each_other():
    assert as_text(THINK).splitlines() == [
        "a.wav (3.5 s)",
        "surface  i -sink",
        "meaning  i think",
        "           ^^",
    ]
    assert f"i {BOLD}{RED}-{PLAIN}{BOLD}{RED}s{PLAIN}ink" in as_text(THINK, color=True)


def test_a_syllable_takes_two_columns():
    lines = as_text(recognized("교실에소 가", "교실에서 갔다", "ko")).splitlines()
    assert lines[1:] == ["surface  교실에소 --가", "meaning  교실에서 갔다", "               ^^ ^^^^"]
    assert width(lines[1]) == width(lines[2])


def test_long_lines_are_cut_at_a_space():
    lines = as_text(recognized("i sink so " * 5, "i think so " * 5), columns=40).splitlines()
    assert max(map(width, lines)) <= 40
    parts = [line[9:] for line in lines if line.startswith("meaning")]
    assert len(parts) == 2 and " ".join(parts).split() == ("i think so " * 5).split()


def test_phones_are_set_beside_those_that_were_due():
    found = recognized("AY S IH NG K".split(), "i think", convention="pronounced", due="AY TH IH NG K")
    assert as_text(found).splitlines()[1:] == [
        "meaning  i think",
        "surface  AY S  IH NG K",
        "due      AY TH IH NG K",
        "            ^^",
    ]


def test_a_single_output_is_one_line():
    found = dataclasses.replace(THINK, surface=None, differences=(), alignment=())
    assert as_text(found).splitlines() == ["a.wav (3.5 s)", "meaning  i think"]
    assert as_tsv(found) == "a.wav\t3.50\t\ti think\t"


def test_json_and_tsv():
    content = json.loads(as_json(THINK))
    assert content["surface"]["tokens"][0] == {"text": "i", "start": 0.0, "end": 0.5, "confidence": 0.9}
    assert content["differences"] == [{"surface": "s", "meaning": "th", "start": 1.0, "end": 1.5}]
    assert "\n" not in as_json(THINK) and "alignment" not in content
    assert as_tsv(THINK) == "a.wav\t3.50\ti sink\ti think\ts/th 1.00-1.50"


def test_praat_reads_the_textgrid(tmp_path):
    quoted = recognized('i "s', "i th")
    for found in (THINK, quoted):
        (tmp_path / "a.TextGrid").write_text(as_textgrid(found), encoding="utf-8")
        grid = textgrid.openTextgrid(str(tmp_path / "a.TextGrid"), includeEmptyIntervals=True)
        assert grid.tierNames == ("surface", "meaning", "differences") and grid.maxTimestamp == found.seconds
        surface = grid.getTier("surface").entries
        assert [entry.label for entry in surface if entry.label] == found.surface.text.split()
        assert all(one.end == other.start for one, other in pairwise(surface))
        assert [one.start for one in grid.getTier("differences").entries if one.label] == [1.0]


def test_a_textgrid_ends_with_the_recording():
    """Its intervals do not overlap, and none passes the end, however times are rounded."""
    tokens = (Token("i", 0.0, 0.5, 0.9), Token(" ", 0.5, 0.5, 0.9), Token("s", 0.4, 3.501, 0.9))
    long = dataclasses.replace(THINK, seconds=3.5006875, surface=Transcription("i s", -1.0, tokens, ()))
    text = as_textgrid(dataclasses.replace(long, differences=()))
    assert "xmax = 3.501" in text and text.count("intervals [") == 2 + 4 + 1 and "3.5006875" not in text
    short = as_textgrid(dataclasses.replace(long, seconds=3.5))
    assert "3.501" not in short


def test_subtitles_have_both_lines():
    long = recognized("i sink so", "i tink so")
    lines = as_srt(long).splitlines()
    assert lines[:4] == ["1", "00:00:00,000 --> 00:00:04,500", "i sink so", "i tink so"]
    lines = as_srt(recognized("ab cd ef gh ij kl", "ab cd ef gh ij kl")).splitlines()
    assert lines[:6:5] == ["1", "2"] and lines[2] == lines[3] == "ab cd ef gh" and lines[7] == "ij kl"


def test_without_times_there_are_none_to_write():
    tokens = tuple(Token(token.text, None, None, None) for token in THINK.surface.tokens)
    bare = dataclasses.replace(THINK, surface=dataclasses.replace(THINK.surface, tokens=tokens))
    for write in (as_textgrid, as_srt):
        with pytest.raises(DataError, match="no times: choose --format text, json or tsv"):
            write(bare)
