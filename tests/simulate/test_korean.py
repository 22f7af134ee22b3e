import unicodedata
from collections import Counter

import numpy as np
import pytest

from l2dual.errors import DataError, UsageError
from l2dual.simulate import audible, korean, phonology
from l2dual.simulate.korean import (
    CODA_PHONEMES,
    L1S,
    NUCLEUS_PHONEMES,
    ONSET_PHONEMES,
    Speech,
    canonical,
    contrasts,
    heard,
    mispronounce,
    phonemes,
    pronounced,
    rules,
    sentences,
)
from l2dual.simulate.rules import read_rules
from l2dual.text import espeak

EVERY_L1 = [rule for l1 in L1S for rule in rules(l1)]


def rng(seed=0):
    return np.random.default_rng(seed)


def rule_named(name):
    return next(rule for rule in EVERY_L1 if rule.name == name)


def say(text, *names):
    """``text`` said by somebody who makes these errors at every site."""
    return mispronounce(canonical(text), [rule_named(name) for name in names], 100.0, rng())


# --- prompts


def test_prompts_are_many_distinct_and_well_formed():
    texts = sentences(0)
    assert len(set(texts)) == len(texts) >= 6000
    for text in texts:
        assert text == unicodedata.normalize("NFC", text)
        assert all("가" <= character <= "힣" for character in text.replace(" ", ""))
        assert 3 <= len(text.split(" ")) <= 7 and 6 <= len(text.replace(" ", "")) <= 20


def test_a_seed_orders_the_prompts():
    assert sentences(1) == sentences(1)
    assert sentences(1) != sentences(2)
    assert set(sentences(1)) == set(sentences(2))


def test_new_sentences_have_known_words():
    counts = Counter(word for text in sentences(0) for word in text.split())
    assert len(counts) > 1000
    held_out = [word for text in sentences(0)[:400] for word in text.split()]
    known = {word for text in sentences(0)[400:3400] for word in text.split()}
    assert sum(word not in known for word in held_out) < 0.02 * len(held_out)


@pytest.mark.parametrize(
    "pair, contexts",
    [
        ("불을 풀을", "켜 뽑"),
        ("달이 딸이", "떠 착"),
        ("공을 콩을", "차 볶"),
        ("방에서 빵을", "자 먹"),
        ("굴을 꿀을", "굽 바"),
        ("커피를 코피가", "마 나"),
        ("산에 상을", "올 받"),
        ("물을 무를", "끓 썰"),
    ],
)
def test_words_that_an_error_confuses_stand_in_contexts_that_tell(pair, contexts):
    for word, context in zip(pair.split(), contexts.split(), strict=True):
        assert any(
            word in text.split() and f" {context}" in text for text in sentences(0)
        )


# --- standard pronunciation


@pytest.mark.parametrize(
    "text, said",
    [
        ("학교에 가요", "학꾜에 가요"),
        ("국물이 뜨거워요", "궁무리 뜨거워요"),
        ("한국어를 배웁니다", "한구거를 배움니다"),
        ("같이 밥을 먹어요", "가치 바블 머거요"),
        ("옷 안", "옫 안"),  # words stand apart: no liaison to [오단]
        ("학생이 있어요", "학생이 이써요"),  # [학쌩]: ㅅ and ㅆ sound alike
        ("값이 없습니다", "갑시 업슴니다"),
    ],
)
def test_canonical(text, said):
    assert pronounced(canonical(text)) == said


@pytest.mark.parametrize("text", ["", "학교  에", " 학교", "hello 학교", "학교에 가요.", "밥 2개"])
def test_canonical_wants_hangul_words(text):
    with pytest.raises(DataError):
        canonical(text)


# --- learners


@pytest.mark.parametrize(
    "rule, text, said, written",
    [
        ("aspirate-initial-g", "공이 가요", "콩이 카요", "콩이 카요"),
        ("tense-initial-d", "달이", "따리", "딸이"),
        ("plain-for-tense-g", "토끼가", "토기가", "토기가"),
        ("plain-for-aspirated-d", "토끼가", "도끼가", "도끼가"),
        ("aspirated-for-tense-b", "빵을", "팡을", "팡을"),
        ("eo-o", "커피를", "코피를", "코피를"),
        ("eu-u", "크림을", "쿠리물", "쿠림울"),
        ("wo-o", "공원에", "공오네", "공온에"),
        ("ui-i", "의자에", "이자에", "이자에"),
        ("drop-k", "책상", "채상", "채상"),
        ("drop-k", "학교에", "하꾜에", "하꾜에"),  # coda and onset as pronounced
        ("drop-p", "없어요", "어서요", "어서요"),
        ("drop-l", "물", "무", "무"),
        ("drop-t", "꽃", "꼬", "꼬"),
        ("ng-n", "강에", "간에", "간에"),
        ("m-n", "감기", "간기", "간기"),
        ("l-n", "물", "문", "문"),
        ("lateral-flap", "노래", "놀래", "놀래"),
        ("lateral-flap", "들어요", "들러요", "들러요"),
        ("drop-l-of-cluster", "읽어요", "이거요", "이거요"),
        ("sound-h", "좋아요", "조하요", "조하요"),
        ("release-k", "국물이", "구그무리", "구그물이"),
        ("release-p", "갑니다", "가브니다", "가브니다"),
        ("open-m", "김치", "기무치", "기무치"),
        ("open-l", "물", "무루", "무루"),
        ("open-k", "학교", "하쿠꾜", "하쿠꾜"),
        ("unpalatalized", "밭이", "바티", "바티"),
        ("link-tense", "먹어요", "머꺼요", "머꺼요"),
    ],
)
def test_rules(rule, text, said, written):
    speech = say(text, rule)
    assert pronounced(speech) == said
    assert heard(text, speech) == written


def test_only_what_is_wrong_is_respelled():
    text = "꽃이 많아요"  # [꼬치 마나요]
    assert heard(text, say(text, "eo-o")) == text
    assert heard(text, say(text, "plain-for-tense-g")) == "곷이 많아요"
    assert heard("먹어요", say("먹어요", "eo-o")) == "목오요"
    assert heard("밖에서", say("밖에서", "eo-o")) == "밖에소"
    assert heard("들에서", say("들에서", "eu-u")) == "둘에서"


def test_a_linked_sound_is_respelled_where_it_is_said():
    assert heard("밥을 먹어요", say("밥을 먹어요", "link-tense")) == "밥을 머꺼요"
    assert heard("부엌에서", say("부엌에서", "plain-for-aspirated-g")) == "부어게서"


def test_an_error_that_restores_the_spelling_is_not_made():
    assert say("학교", "plain-for-tense-g") == canonical("학교")  # [학꾜], not [학교]
    assert say("토끼", "plain-for-tense-g") != canonical("토끼")


def test_a_rule_keeps_to_its_context_and_position():
    assert pronounced(say("아기가", "aspirate-initial-g")) == "아기가"
    assert pronounced(say("가게", "aspirate-initial-g")) == "카게"
    assert pronounced(say("아침", "sound-h")) == "아침"
    assert pronounced(say("그저께 붙여요", "unpalatalized")) == "그저께 부터요"
    assert pronounced(say("강물", "release-k")) == "강물"  # ㅇ by itself, not from ㄱ


def test_of_two_rules_for_one_sound_one_applies_each_in_its_share():
    both = [rule_named("drop-l"), rule_named("l-n")]
    speech = canonical("물 " * 999 + "물")
    said = Counter(pronounced(mispronounce(speech, both, 100.0, rng())).split())
    assert set(said) == {"무", "문"} and min(said.values()) > 100


def test_rate_scales_the_probability():
    text, rule = "강 강 강 강 강 강 강 강 강 강", rule_named("ng-n")
    speech = canonical(text)
    generator = rng()
    for rate in (0.5, 2.0):
        n_errors = sum(
            pronounced(mispronounce(speech, [rule], rate, generator)).count("간")
            for _ in range(400)
        )
        assert n_errors / 4000 == pytest.approx(rule.rate * rate, abs=0.03)
    assert mispronounce(speech, [rule], 0.0, generator) == speech


def test_a_seed_decides_the_errors():
    speech = canonical(sentences(0)[0])
    drawn = [mispronounce(speech, rules("japanese"), 3.0, rng(seed)) for seed in (1, 1, 2, 3, 4)]
    assert drawn[0] == drawn[1]
    assert len(set(drawn)) > 2


@pytest.mark.slow
def test_heard_equals_the_text_exactly_where_nothing_is_mispronounced():
    generator = rng()
    n_changed = 0
    for number, text in enumerate(sentences(0)[:5000]):
        standard = canonical(text)
        rate = (0.3, 1.0, 4.0, 12.0)[number % 4]
        speech = mispronounce(standard, rules(L1S[number // 4 % 4]), rate, generator)
        assert (heard(text, speech) == text) == (pronounced(speech) == pronounced(standard))
        assert (heard(text, speech) == text) == (phonemes(speech) == phonemes(standard))
        n_changed += speech != standard
        for word, written in zip(speech.words, heard(text, speech).split(), strict=True):
            errors = [s for s in word if s.said != s.standard or s.added]
            assert (written != "".join(korean.compose(s.spelled) for s in word)) == bool(errors)
    assert 2000 < n_changed < 4900


def test_heard_wants_the_text_that_was_said():
    with pytest.raises(DataError, match="is not what this speech was made from"):
        heard("학교에 가요", canonical("학교에 와요"))


@pytest.mark.slow
def test_random_substitution_errs_at_the_same_sounds_with_another_letter():
    n_errors = n_unlike = n_elsewhere = 0
    for number, text in enumerate(sentences(0)[:400]):
        standard, of_l1 = canonical(text), rules(L1S[number % 4])
        said, random = (
            mispronounce(standard, of_l1, 2.0, rng(number), others)
            for others in (None, korean.others())
        )
        for one, other in zip(sum(said.words, ()), sum(random.words, ()), strict=True):
            for standard_letter, ours, theirs in zip(one.standard, one.said, other.said, strict=True):
                n_errors += ours != standard_letter
                n_unlike += ours != theirs
                n_elsewhere += (ours == standard_letter) != (theirs == standard_letter)
        assert (heard(text, random) == text) == (random == standard)
    assert n_errors > 500 and n_unlike > 0.5 * n_errors
    assert n_elsewhere < 0.02 * n_errors  # one arm would have restored the spelling there


def test_random_letters_are_heard_to_be_others():
    others = korean.others()
    assert "ㅆ" not in others["onset", "ㅅ"] and "ㅞ" not in others["nucleus", "ㅚ"]
    assert set(others["coda", "ㄱ"]) == set("ㄴㄷㄹㅁㅂㅇ")
    sounds = {"onset": ONSET_PHONEMES, "nucleus": NUCLEUS_PHONEMES, "coda": CODA_PHONEMES}
    for (slot, letter), choices in others.items():
        assert choices and all(sounds[slot][letter] != sounds[slot][other] for other in choices)


# --- rules


def test_every_l1_has_rules_of_its_own_with_their_sources():
    for l1 in L1S:
        others = {rule.name for rule in EVERY_L1 if rule.l1 != l1}
        assert {rule.name for rule in rules(l1)} - others
    assert all("(" in rule.source for rule in EVERY_L1)
    with pytest.raises(UsageError, match="no rules for L1 'klingon'"):
        rules("klingon")


def test_every_rule_is_applied_somewhere_in_the_prompts():
    words = {word for text in sentences(0)[:3000] for word in text.split()}
    for rule in {rule.name: rule for rule in EVERY_L1}.values():
        assert any(mispronounce(canonical(w), [rule], 100.0, rng()) != canonical(w) for w in words)


@pytest.mark.parametrize(
    "fields",
    [
        "from: ㄱ, to: ㅋ",
        "from: ㄱ ㄴ, to: ㅋ, position: onset",
        "from: ㄱ, to: ㄱ ㅡ, position: onset",
        "from: ㄱ, to: ㅋ ㅡ ㄴ, position: coda",
    ],
)
def test_rules_that_fit_no_slot_are_errors(tmp_path, fields):
    path = tmp_path / "ko.yaml"
    path.write_text(
        f"rules: {{japanese: [{{name: x, {fields}, rate: 1, source: A (2000)}}]}}", encoding="utf-8"
    )
    read = read_rules(path, korean.LETTERS, frozenset(korean.POSITIONS))
    with pytest.raises(DataError, match="japanese/x: give a position"):
        korean._check(read["japanese"][0])


# --- sound


def test_the_gate_knows_every_rule_and_shuts_out_the_tense_s():
    table = audible.measured_rules("ko")
    names = {rule.name for rules in korean._all_rules().values() for rule in rules}
    assert names == set(table)
    assert {name for name, row in table.items() if not row["audible"]} == {"tensify-s"}


@pytest.mark.slow
def test_the_stored_measurements_come_out_again():
    names = ["tensify-s", "ng-n", "eo-o"]
    stored = {name: audible.measured_rules("ko")[name] for name in names}
    pairs = contrasts()
    assert all(3 <= len(of_rule) <= 8 for of_rule in pairs.values())
    assert audible.measure("ko", {name: pairs[name] for name in names}) == stored


def test_phonemes():
    assert phonemes(canonical("학교에 가요")) == "h'ak|k-jo|e g'a|jo"
    assert phonemes(say("입학", "drop-k")) == "'i|pha"
    assert phonemes(canonical("물론 노래")) == "m'uL|lon n'o|*E"


# Where the voice itself has another allophone for a syllable by itself.
THEIRS = {"까": "q-a", "따": "t-a", "바": "pa", "자": "tS;a"}
THEIRS |= {"악": "aq", "앋": "ad-", "앙": "aN"}


def test_phonemes_are_those_of_the_voice_itself_up_to_allophones():
    syllables = "가까카나다따타라마바빠파사싸자짜차하악안앋알암압앙아애야어에여예오와왜외요우워웨위유으의이"
    for syllable in syllables:
        theirs = espeak.text_to_phonemes(syllable, korean.VOICE).replace("'", "")
        ours = phonemes(canonical(syllable)).replace("'", "")
        assert THEIRS.get(syllable, ours) == theirs


def test_the_module_has_the_interface_that_the_simulator_uses():
    module = phonology("ko")
    assert module is korean
    assert set(module.L1S) == {"english", "mandarin", "japanese", "vietnamese"}
    assert isinstance(module.canonical("가요"), Speech)
