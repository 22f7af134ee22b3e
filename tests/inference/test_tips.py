"""Sentences for learners: every sound of both languages has them, with a source."""

import re

import pytest

from l2dual.errors import UsageError
from l2dual.files import read_yaml
from l2dual.inference.tips import LANGUAGES, SENTENCES, Tips
from l2dual.text.hangul import NUCLEI, ONSETS
from l2dual.text.korean_sounds import NEUTRAL
from l2dual.text.phones import PHONES

SOUNDS = {"en": PHONES, "ko": {*ONSETS, *NUCLEI, *(f"-{coda}" for coda in NEUTRAL.values() if coda)} - {""}}


@pytest.mark.parametrize("written", LANGUAGES)
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_sound_has_its_sentences(language, written):
    tips = Tips(language, written)
    for due in SOUNDS[language]:
        for said in {*SOUNDS[language], "", "<err>"} - {due}:
            sentence = tips.sentence(due, said)
            assert tips.name(due) in sentence
            assert "{" not in sentence and len(sentence.split()) <= 45
            assert bool(re.search("[가-힣]", sentence.replace(tips.name(due), ""))) or written == "en"
        assert tips.name(due) in tips.sentence("", due)
    assert set(read_yaml(SENTENCES / f"{language}.yaml")["phones"]) == SOUNDS[language]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_sentence_names_a_source(language):
    entries = read_yaml(SENTENCES / f"{language}.yaml")
    rows = [*entries["phones"].values(), *entries["pairs"], entries["left_out"], entries["put_in"]]
    assert {row["source"] for row in rows} == set(entries["sources"])
    assert {type(entry["as_in"]) for entry in entries["phones"].values()} == {str}  # not YAML's no
    for pair in entries["pairs"]:
        assert {*pair["due"].split(), *pair["said"].split()} <= SOUNDS[language]


def test_a_usual_error_has_its_own_advice():
    tips = Tips("en")
    assert tips.sentence("TH", "S") == (
        "You said S (as in “see”). Say TH (as in “think”). Put the tip of the tongue between the teeth. "
        "If it stays behind them, the sound hisses like S."
    )
    assert tips.sentence("IH", "IY").startswith("You said the vowel of “see”. Say the vowel of “sit”. Shorter")
    assert "종이를" in Tips("ko", "ko").sentence("ㄲ", "ㅋ")
    assert Tips("ko").sentence("ㄱ", "-ㄱ").startswith("You said 받침 ㄱ (as in “국”). Say ㄱ (as in “고기”). Carry")


def test_both_languages_have_the_same_phrases():
    phrases = read_yaml(SENTENCES / "phrases.yaml")
    fields = {code: {key: re.findall(r"{\w+}", str(text)) for key, text in phrases[code].items()} for code in LANGUAGES}
    assert fields["en"].keys() == fields["ko"].keys()
    assert [key for key in fields["en"] if sorted(fields["en"][key]) != sorted(fields["ko"][key])] == []


def test_a_language_without_sentences():
    with pytest.raises(UsageError, match="'ja': choose from en, ko"):
        Tips("en", "ja")
