"""Rules from YAML, and the gate that keeps what espeak-ng makes audible."""

import textwrap

import pytest

from l2dual.errors import DataError
from l2dual.simulate import audible, phonology
from l2dual.simulate.rules import read_rules
from l2dual.text import espeak

UNITS = frozenset({"A", "B", "C"})
GOOD = """
    classes: {vowel: A}
    rules:
      martian:
        - {name: b-c, from: B, to: C, followed_by: "vowel #", position: final, rate: 0.5, source: x}
"""


def write(tmp_path, text):
    path = tmp_path / "rules.yaml"
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return path


def test_a_rule_is_read(tmp_path):
    (rule,) = read_rules(write(tmp_path, GOOD), UNITS, {"final"})["martian"]
    assert (rule.old, rule.new, rule.rate, rule.position) == (("B",), ("C",), 0.5, "final")
    assert rule.fits("C", "A") and rule.fits("#", "#")
    assert not rule.fits("A", "B")


@pytest.mark.parametrize(
    "old, new, complaint",
    [
        ("from: B", "from: X", "'X'"),
        ("from: B", "form: B", "'from' is missing"),
        ("source: x", "source: x, why: no", "'why' is unknown"),
        ("position: final", "position: top", "'top'"),
        ("rate: 0.5", "rate: 1.5", "rate"),
        ("to: C", "to: B", "changes nothing"),
    ],
)
def test_a_bad_rule_is_named(tmp_path, old, new, complaint):
    path = write(tmp_path, GOOD.replace(old, new))
    with pytest.raises(DataError, match=complaint) as caught:
        read_rules(path, UNITS, {"final"})
    assert str(path) in str(caught.value) and "martian/b-c" in str(caught.value)


def test_one_name_is_one_change(tmp_path):
    lines = """
      venusian:
        - {name: b-c, from: A, to: C, rate: 0.5, source: x}
    """
    with pytest.raises(DataError, match="another change"):
        read_rules(write(tmp_path, GOOD.rstrip() + lines), UNITS, {"final"})


@pytest.mark.parametrize(
    "voice, plain, changed, heard",
    [
        ("en-us", "k|'A:|t", "k|'0|t", False),  # two mnemonics, one sound
        ("ko", "s'ada", "s-'ada", False),  # ㅅ and ㅆ
        ("en-us", "T|'I|N|k", "s|'I|N|k", True),
        ("en-us", "S|'i:|p", "S|'I|p", True),
        ("ko", "d'a", "th'a", True),
    ],
)
@pytest.mark.slow
def test_the_gate_tells_what_can_be_heard(voice, plain, changed, heard):
    def spectrum(phonemes, pitch):
        return audible.log_mel(*espeak.say_phonemes(phonemes, voice, 120, pitch))

    ratio = audible.ratio(spectrum, plain, changed)
    assert (ratio >= audible.THRESHOLDS["espeak"]) is heard


def test_a_rule_that_no_word_shows_is_named():
    with pytest.raises(DataError, match="rule-x"):
        audible.measure("en", {"rule-x": []})


@pytest.mark.slow
@pytest.mark.parametrize("language", ["en", "ko"])
def test_the_stored_table_is_what_is_measured(language):
    """Every rule has a row; a few, the most doubtful among them, are measured again."""
    module = phonology(language)
    contrasts = module.contrasts()
    table = audible.measured_rules(language)
    assert table.keys() == contrasts.keys()
    assert audible.audible_rules(language) == {n for n, row in table.items() if row["audible"]}
    threshold = audible.THRESHOLDS["espeak"]
    doubtful = sorted(table, key=lambda name: abs(table[name]["ratio"] - threshold))[:4]
    again = audible.measure(language, {name: contrasts[name] for name in doubtful})
    for name in doubtful:
        assert again[name]["audible"] == table[name]["audible"]
        assert again[name]["ratio"] == pytest.approx(table[name]["ratio"], abs=0.05)


@pytest.mark.parametrize("language", ["en", "ko"])
def test_inaudible_rules_are_not_used(language):
    module = phonology(language)
    used = {rule.name for l1 in module.L1S for rule in module.rules(l1)}
    assert used and used <= audible.audible_rules(language)
