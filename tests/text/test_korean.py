import random
import subprocess
import sys
import unicodedata
from itertools import chain
from pathlib import Path

import pytest

from l2dual.errors import DataError
from l2dual.simulate.korean_prompts import sentences
from l2dual.text import korean_words
from l2dual.text.hangul import compose
from l2dual.text.korean import nearest, pronounce, pronunciations, standard

HERE = Path(__file__).parent


def rows(name):
    lines = (HERE / name).read_text(encoding="utf-8").splitlines()
    return [line.split("\t") for line in lines if not line.startswith("#")]


def spell(word):
    return "".join(map(compose, standard(word)))


@pytest.mark.parametrize("article, text, licensed", rows("standard_pronunciation.tsv"))
def test_the_examples_of_standard_pronunciation(article, text, licensed):
    default, *others = licensed.split("/")
    forms = [form.replace(" ", "") for form in pronunciations(text)]
    assert forms[0] == default == pronounce(text).replace(" ", "")
    assert set(forms) == {default, *others}
    if min(text) >= "가":  # a word in Hangul, as the simulated learners say it
        assert spell(text) == default


def test_every_article_has_its_examples():
    articles = {int(article) for article, _, _ in rows("standard_pronunciation.tsv")}
    assert articles == {5, *range(9, 31)}


def test_inflected_and_compound_words():
    due = dict(rows("dictionary_pronunciation.tsv"))
    assert len(due) > 250
    assert {text: pronounce(text) for text in due} == due


@pytest.mark.parametrize("word", ["abc", "3시", "ㅋㅋ"])
def test_only_hangul_has_a_pronunciation(word):
    with pytest.raises(DataError, match="not a Hangul syllable"):
        standard(word)


@pytest.mark.parametrize(
    "text, said",
    [
        ("책을 읽어요.", "채그 릴거요"),
        ("값이 있는 옷, 한 벌", "갑씨 인느 녿 한 벌"),
        ("할 것을 3개", "할 꺼슬 세개"),
        ("3시 10분에 100명이", "세시 십뿌네 뱅명이"),
        ("50 달러, 010-1234-5678", "오십 딸러 공일공 이리삼사 오육칠팔"),
        ("3.5%", "삼저모퍼센트"),
        ("SNS 카드 안돼ㅠㅠ", "에스에네스 카드 안돼"),
        ("신발을 신고 걸어요", "신바를 신꼬 거러요"),
        ("신고를 했다", "신고를 핻따"),
        ("끝에", "끄테"),
    ],
)
def test_running_text(text, said):
    assert pronounce(text) == said
    assert pronounce(unicodedata.normalize("NFD", text)) == said


@pytest.mark.parametrize(
    "text, said",
    [
        ("6월 6일, 10월 10일", "유월 류길 시월 시빌"),
        ("16일, 12시 30분", "심뉴길 열뚜시 삼십뿐"),
        ("13시", "십쌈시"),
        ("3명이 20살, 21살", "세명이 스무살 스물한살"),
        ("103명", "백쌈명"),
        ("20대 여자", "이십때 여자"),
        ("24시간 3시간", "이십싸시간 세시간"),
        ("1,000원 10,000원 1만 2천원", "처눤 마눤 마 니처눤"),
        ("$50", "오십딸러"),
        ("1/3", "삼부늬 일"),
        ("0.5", "영저모"),
        ("12:30", "열뚜시 삼십뿐"),
        ("3~4명", "사메서 네명"),
        ("-5도", "영하 오도"),
        ("3kg, 5 km", "삼킬로그램 오킬로미터"),
        ("1번째 3번째", "첟뻔째 세번째"),
        ("8·15, 2024년", "파리로 이처니십싸년"),
        ("10여 명", "시벼 명"),
        ("제3장 제1,000호 3차례", "제삼장 제천호 세차례"),
        ("어제 3시 숙제3개 국제10명", "어제 세시 숙쩨세개 국쩨열명"),
        ("5,6명", "오여선명"),
        ("5㎞ ₩500", "오킬로미터 오배권"),
        ("2024-06-05, 08시 05분", "이처니십싸녀 뉴워 로일 여덜시 오분"),
        ("016", "공일륙"),
        ("2345678901234567890", "이삼사오육칠팔구공이리삼사오육칠팔구공"),
    ],
)
def test_numbers(text, said):
    assert pronounce(text) == said


@pytest.mark.parametrize(
    "text, said",
    [
        ("TV를 보는 KBS", "티브이를 보는 케이비에스"),
        ("school에서 file", "스쿠레서 파일"),
        ("strike change", "스트라이크 체인지"),
        ("A4 용지", "에이사 용지"),
        ("computer", "컴퓨터"),
    ],
)
def test_latin_letters(text, said):
    assert pronounce(text) == said


def test_listed_words_keep_their_syllables():
    for kind in ("words", "verbs"):
        for spelled, forms in chain.from_iterable(korean_words.lexicon()[kind].values()):
            assert {len(form) for form in forms} == {len(spelled)}


def test_what_is_licensed_in_two_ways():
    assert pronunciations("맛있다") == ["마싣따", "마딛따"]
    assert pronunciations("효과") == ["효과", "효꽈"]
    assert pronunciations("3번") == ["세번", "삼번"]
    assert pronunciations("CD") == ["시디", "씨디"]
    assert pronunciations("나라") == ["나라"]
    text = "우리의 시계를 주의해서 볼 수 있는 한 일이 많은 회의의 3번, 20번, 30번"
    forms = pronunciations(text)
    assert len(set(forms)) == len(forms) == 64 and forms[0] == pronounce(text)


def test_a_particle_is_no_part_of_a_listed_word():
    assert pronounce("안과에 간다") == "안꽈에 간다"
    assert pronounce("안과 밖") == "안과 박"
    assert pronounce("강 가에") == "강 가에"  # nor does a space stand in it


def test_no_liaison_over_a_pause():
    assert pronounce("옷, 안") == "옫 안"
    assert pronounce("옷 안") == "오 단"
    assert pronounce("“옷”이 (많다)") == "오시 만타"


def test_a_learner_is_measured_against_the_nearest_licensed_form():
    assert nearest("우리의 시계는 3번", "우리에 시게는 삼번") == "우리에 시게는 삼번"
    assert nearest("맛있는 옷", "마딘는 온") == "마딘는 옫"  # with a pause; the learner's error stays one
    text = "시계와 지혜의 나라, " * 20  # too many forms to list
    said = "시게와 지헤에 나라 " * 20
    assert nearest(text, said) == said.strip()


@pytest.mark.parametrize("text", ["", " ", "...", "ㅋㅋ", "?!"])
def test_nothing_to_say(text):
    assert pronunciations(text) == [""]


def test_any_syllables_are_said():
    rng = random.Random(0)
    for _ in range(500):
        word = "".join(chr(rng.randrange(ord("가"), ord("힣") + 1)) for _ in range(6))
        assert len(standard(word)) == len(pronounce(word)) == 6


def test_another_script_is_named():
    with pytest.raises(DataError, match="cannot say '漢'"):
        pronounce("이 漢字")


def test_every_word_of_the_prompts_is_said_syllable_by_syllable():
    words = {word for text in sentences(0) for word in text.split()}
    assert len(words) > 1000
    assert all(len(standard(word)) == len(word) for word in words)


def test_nothing_is_downloaded_and_nltk_is_not_loaded():
    code = """
import socket, sys
def refuse(*arguments): raise OSError("no network in this test")
socket.socket.connect = socket.getaddrinfo = refuse
from l2dual.text import pronunciation
print(pronunciation("ko").pronounce("mp3 파일 3개"), "nltk" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "엠피쓰리 파일 세개 False\n" and not done.stderr
