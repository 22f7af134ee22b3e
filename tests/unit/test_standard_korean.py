import subprocess
import sys
import unicodedata

import pytest

from l2dual.errors import DataError
from l2dual.phonology.korean_prompts import sentences
from l2dual.phonology.standard_korean import pronounce, standard_text

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


@pytest.mark.parametrize(
    "text, said",
    [
        ("책을 읽어요.", "채그 릴거요"),
        ("값이 있는 옷, 한 벌", "갑씨 인느 녿 한 벌"),
        ("할 것을 3개", "할 꺼슬 세개"),
        ("3시 10분에 100명이", "세시 십뿌네 뱅명이"),
        ("50 달러, 010-1234-5678", "오십 딸러 공일공 이리삼사 오육칠팔"),
        ("3.5%", "삼저모퍼센트"),
        ("SNS 카드 안돼ㅠㅠ", "에세네스 카드 안돼"),
        ("신발을 신고 걸어요", "신바를 신꼬 거러요"),
        ("신고를 했다", "신고를 핻따"),
        ("끝에", "끄테"),
    ],
)
def test_running_text(text, said):
    assert pronounce(text) == said
    assert pronounce(unicodedata.normalize("NFD", text)) == said


def test_another_script_is_named():
    with pytest.raises(DataError, match="cannot say '漢'"):
        pronounce("이 漢字")


def test_every_word_of_the_prompts_is_said_syllable_by_syllable():
    words = {word for text in sentences(0) for word in text.split()}
    assert len(words) > 1000
    assert all(len(standard_text(word)) == len(word) for word in words)


def test_nothing_is_downloaded_and_nltk_is_not_loaded():
    code = """
import socket, sys
def refuse(*arguments): raise OSError("no network in this test")
socket.socket.connect = socket.getaddrinfo = refuse
from l2dual.phonology import load
print(load("ko").pronounce("mp3 파일 3개"), "nltk" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "엠피쓰리 파일 세개 False\n" and not done.stderr
