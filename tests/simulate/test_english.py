"""English prompts, pronunciation, errors and respelling."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from l2dual.simulate import english
from l2dual.text import english as english_words
from l2dual.text import espeak


def rule(name: str):
    return next(r for rules in english.all_rules().values() for r in rules if r.name == name)


def err(word: str, *names: str) -> english.Speech:
    """The word with each named rule applied at its first site."""
    (said,) = english.canonical(word).words
    for name in names:
        sites = [i for i in range(len(said.phones)) if english._applies(rule(name), said, i)]
        assert sites, f"{name} has no site in {word}"
        i = sites[0]
        said = replace(said, said=said.said[:i] + (rule(name).new,) + said.said[i + 1 :])
    return english.Speech((said,))


def test_prompts_are_many_distinct_and_of_the_right_size():
    prompts = english.sentences(1)
    assert len(prompts) == len(set(prompts)) >= 6000
    assert all(3 <= len(prompt.split()) <= 8 for prompt in prompts)
    assert all(15 <= len(prompt.replace(" ", "")) <= 45 for prompt in prompts)
    assert all(prompt.replace(" ", "").isalpha() and prompt.islower() for prompt in prompts)


def test_prompt_order_comes_from_the_seed():
    assert english.sentences(1) == english.sentences(1)
    assert english.sentences(1)[:20] != english.sentences(2)[:20]


def test_every_word_is_aligned_whole():
    words = {word for prompt in english.sentences(1) for word in prompt.split()}
    assert words == set(english.lexicon())
    for (word,) in (english.canonical(text).words for text in words):
        chunks = english.alignment(word.text, word.phones)
        assert "".join(chunk.letters for chunk in chunks) == word.text
        phones = [i for chunk in chunks for i in range(chunk.start, chunk.stop)]
        assert phones == list(range(len(word.phones)))


def test_prompts_are_pronounced_as_learners_are_measured_against_them():
    for prompt in english.sentences(1)[:200]:
        assert english_words.pronounce(prompt) == english.pronounced(english.canonical(prompt))
        assert not english_words.unlisted(prompt)


def test_a_word_whose_letters_cannot_be_aligned_is_said_without_errors():
    speech = english.canonical("think of sns")
    assert [english.respellable(word) for word in speech.words] == [True, True, False]
    said = english.mispronounce(speech, english.rules("korean"), 100.0, np.random.default_rng(1))
    assert english.heard("think of sns", said).endswith(" sns") and said != speech


@pytest.mark.parametrize(
    "word, names, respelled",
    [
        ("think", ["th-s"], "sink"),
        ("very", ["v-b"], "bery"),
        ("school", ["s-u-cluster"], "suchool"),
        ("coffee", ["f-p"], "copee"),
        ("bed", ["d-o-final"], "bedo"),
        ("like", ["k-u-final"], "liku"),  # the silent e makes room
        ("cold", ["d-drop"], "col"),
        ("his", ["z-s-final"], "hiss"),  # not "his" again
        ("wood", ["w-drop"], "ood"),
        ("good", ["uh-uw"], "guud"),
        ("thing", ["th-s", "ng-n-final"], "sin"),
        ("mother", ["dh-d", "ah-aa"], "mader"),
    ],
)
def test_respelling(word, names, respelled):
    assert english.heard(word, err(word, *names)) == respelled


@pytest.mark.parametrize(
    "word, name, other",
    [
        ("think", "th-s", "sink"),
        ("fan", "f-p", "pan"),
        ("vest", "v-b", "best"),
        ("right", "r-l", "light"),
        ("rice", "r-l", "lice"),
        ("bad", "ae-eh", "bed"),
        ("sheep", "iy-ih", "ship"),
        ("cup", "ah-aa", "cop"),
        ("bag", "g-k-final", "back"),
    ],
)
def test_errors_make_pairs_sound_alike(word, name, other):
    assert english.pronounced(err(word, name)) == english.pronounced(english.canonical(other))


def test_every_single_error_changes_the_spelling():
    every = {r.name: r for l1 in english.L1S for r in english.all_rules()[l1]}.values()
    for (word,) in (english.canonical(text).words for text in english.lexicon()):
        for change in every:
            for i in range(len(word.phones)):
                if english._applies(change, word, i):
                    said = word.said[:i] + (change.new,) + word.said[i + 1 :]
                    speech = english.Speech((replace(word, said=said),))
                    assert english.heard(word.text, speech) != word.text, (word.text, change.name)


@pytest.mark.parametrize("l1", english.L1S)
def test_heard_equals_the_text_exactly_where_nothing_went_wrong(l1):
    rng = np.random.default_rng(0)
    rules = english.rules(l1)
    wrong = 0
    for prompt in english.sentences(1)[:300]:
        right = english.canonical(prompt)
        speech = english.mispronounce(right, rules, 2.0, rng)
        assert (english.heard(prompt, speech) == prompt) == (speech == right)
        changed = [h != w for h, w in zip(english.heard(prompt, speech).split(), prompt.split(), strict=True)]
        assert changed == [said != word for said, word in zip(speech.words, right.words, strict=True)]
        wrong += speech != right
    assert wrong > 250


def test_no_errors_at_rate_zero_and_the_same_for_one_generator_state():
    speech = english.canonical("we think the school is very good")
    rules = english.rules("korean")
    assert english.mispronounce(speech, rules, 0.0, np.random.default_rng(1)) == speech
    twice = [english.mispronounce(speech, rules, 1.0, np.random.default_rng(1)) for _ in range(2)]
    assert twice[0] == twice[1]


def test_a_higher_scale_keeps_every_error_of_a_lower_one():
    grown = 0
    for number, prompt in enumerate(english.sentences(1)[:60]):
        rules = english.rules(english.L1S[number % 3])
        said = [
            english.mispronounce(
                english.canonical(prompt), rules, scale, np.random.default_rng(number)
            )
            for scale in (0.3, 1.0, 3.0, 20.0)
        ]
        for less, more in pairwise(said):
            for one, other in zip(less.words, more.words, strict=True):
                for i in range(len(one.phones)):
                    assert not one.error(i) or one.said[i] == other.said[i]
                    grown += other.error(i) and not one.error(i)
    assert grown > 100


def test_random_substitution_errs_at_the_same_phones_with_another_phone():
    others = english.others()
    n_errors = n_unlike = 0
    for number, prompt in enumerate(english.sentences(1)[:150]):
        right, rules = english.canonical(prompt), english.rules(english.L1S[number % 3])
        said, random = (
            english.mispronounce(right, rules, 2.0, np.random.default_rng(number), arm)
            for arm in (None, others)
        )
        for one, other in zip(said.words, random.words, strict=True):
            for i, phone in enumerate(one.phones):
                assert one.error(i) == other.error(i)
                assert len(one.said[i]) == len(other.said[i])
                if one.error(i) and len(one.said[i]) == 1:
                    assert other.said[i][0] in others[phone]
                    n_errors += 1
                    n_unlike += one.said[i] != other.said[i]
        assert (english.heard(prompt, random) == prompt) == (random == right)
    assert n_errors > 300 and n_unlike > 0.8 * n_errors


def test_a_rule_fires_at_its_rate():
    speech = english.canonical("fan " * 2000)
    said = english.mispronounce(speech, [rule("f-p")], 0.5, np.random.default_rng(1))
    share = np.mean([word.said[0] == ("P",) for word in said.words])
    assert share == pytest.approx(0.5 * rule("f-p").rate, abs=0.03)


def test_rates_are_capped_at_one():
    said = english.mispronounce(
        english.canonical("fan"), [rule("f-p")], 100.0, np.random.default_rng(1)
    )
    assert english.pronounced(said) == "P AE N"


def test_rules_need_their_context():
    (who,), (hat,) = english.canonical("who").words, english.canonical("hat").words
    assert english._applies(rule("hh-f"), who, 0)  # before UW
    assert not english._applies(rule("hh-f"), hat, 0)
    (bad,) = english.canonical("bad").words
    assert not english._applies(rule("b-p-final"), bad, 0)
    assert english._applies(rule("d-t-final"), bad, 2)


def test_pronounced_has_no_stress():
    assert english.pronounced(english.canonical("the butter")) == "DH AH B AH T ER"


@pytest.mark.parametrize(
    "word", "think school car hair near table very bird church judge boy cow food good zoo".split()
)
def test_mnemonics_are_those_of_the_voice(word):
    """What we make of CMUdict sounds exactly as what espeak-ng makes of the word."""
    ours = english.phonemes(english.canonical(word))
    theirs = espeak.text_to_phonemes(word, english.VOICE)
    np.testing.assert_array_equal(
        espeak.say_phonemes(ours, english.VOICE)[0], espeak.say_phonemes(theirs, english.VOICE)[0]
    )


def test_every_word_can_be_said():
    for text in english.lexicon()[::10]:
        samples, rate = espeak.say_phonemes(english.phonemes(english.canonical(text)), english.VOICE)
        assert 0.1 < len(samples) / rate < 2.5, text
