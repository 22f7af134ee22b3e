"""Numbers in digits, read in Korean: 12시 열두시, 3.5 삼점오, 1/3 삼분의 일.

Sino-Korean or native by the counter that follows; data/ko.numbers.yaml has the counters.
"""

import re
from functools import cache
from pathlib import Path

import yaml

DATA = Path(__file__).parent / "data" / "ko.numbers.yaml"

DIGITS = "공일이삼사오육칠팔구"
NATIVE_ONES = ("", "한", "두", "세", "네", "다섯", "여섯", "일곱", "여덟", "아홉")
NATIVE_TENS = ("", "열", "스물", "서른", "마흔", "쉰", "예순", "일흔", "여든", "아흔")
FIRST_EITHER = 20  # from here on, both kinds of numbers stand before a counter
MOST_DIGITS = 16  # of a number; a longer one is read digit by digit

NUMBER = re.compile(
    r"(?P<telephone>\d+(?:-\d+)+)|(?P<clock>\d{1,2}:\d{2})(?!\d)|(?P<fraction>\d+/\d+)"
    r"|(?P<date>\d+[·‧]\d+)|(?P<decimal>(?:\d{1,3}(?:,\d{3})+|\d+)\.\d+)"
    r"|(?P<ordinal>(?<=(?<![가-힣])제)(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+))|(?P<whole>\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?P<after>\s*[가-힣]*)"
)
DATE = re.compile(r"(?<![\d-])(\d{4})[-./](\d{1,2})[-./](\d{1,2})(?![\d-])")
OF_DATES = ("월", "일", "시", "분", "초")  # 05분 is 오분, where 05 elsewhere is 공오


def pieces(text: str) -> list[tuple[str, ...]]:
    """``text`` in pieces, each with every form that is licensed, the default first."""
    found, end = [], 0
    for match in NUMBER.finditer(text):
        found += [(text[end : match.start()],), _read(match)]
        end = match.end()
    return [*found, (text[end:],)]


@cache
def _data() -> dict:
    data = yaml.safe_load(DATA.read_text(encoding="utf-8"))
    data["native"] = {w: most for most, words in data["native"].items() for w in words.split()}
    return data | {name: frozenset(data[name].split()) for name in ("sino", "either")}


def with_units(text: str) -> str:
    """``text`` with the signs around its numbers in Hangul: 3kg 3킬로그램, 3~4 3에서 4."""
    text = DATE.sub(r"\1년 \2월 \3일", text)
    text = re.sub(r"(?<=\d)\s*[~∼〜]\s*(?=\d)", "에서 ", text)
    text = re.sub(r"(?<![\w-])[-−](?=[\d.]+ ?(?:도|℃|°C))", "영하 ", text)
    text = re.sub(r"(?<![\w-])[-−](?=\d)", "마이너스 ", text)
    units = sorted(_data()["units"], key=len, reverse=True)
    pattern = rf"(?<=\d)\s?({'|'.join(map(re.escape, units))})(?![A-Za-z])"
    text = re.sub(r"([$₩€£])\s?(\d[\d,.]*\d|\d)", r"\2\1", text)
    return re.sub(pattern, lambda unit: _data()["units"][unit[1]], text)


def _read(found: re.Match) -> tuple[str, ...]:
    kind, number = next((k, v) for k, v in found.groupdict().items() if v)
    if kind == "telephone":
        return (_digits(number),)
    if kind == "clock":
        hour, minute = map(int, number.split(":"))
        hour_read = native(hour) if 1 <= hour <= 12 else sino(hour)
        return (f"{hour_read}시" + f" {sino(minute)}분" * (minute > 0),)
    if kind == "fraction":
        above, below = number.split("/")
        return (f"{_whole(below)}분의 {_whole(above)}",)
    if kind == "date":
        month, day = re.split("[·‧]", number)
        read = _digits if len(month) == 1 else _whole  # 6·25 육이오, 12·12 십이십이
        return (read(month) + read(day),)
    if kind == "ordinal":  # 제3장 제삼장
        return (_whole(number),)
    if kind == "decimal":
        whole, fraction = number.split(".")
        return (f"{_whole(whole)}점{_digits(fraction)}",)
    return tuple(read + found["after"] for read in _counted(number, found["after"].lstrip()))


def _counted(number: str, after: str) -> tuple[str, ...]:
    """The readings of ``number`` before the word ``after``."""
    if after.startswith(OF_DATES):
        number = number.lstrip("0") or "0"
    value = int(number.replace(",", ""))
    for spelled, read in _data()["special"].items():
        [(digits, counter)] = re.findall(r"^(\d+)(.+)$", spelled)
        if number == digits and after.startswith(counter):
            return (read.removesuffix(counter),)
    counter = _counter(after)
    most = _data()["native"].get(counter, 0)
    if counter == "대" and value % 10 == 0:  # 20대, an age
        return (_whole(number), *((native(value),) if 0 < value <= most else ()))
    if counter == "시간" and value > 12 or not 0 < value <= most:
        return (_whole(number),)
    either = value >= FIRST_EITHER or counter in _data()["either"]
    return (native(value), _whole(number)) if either else (native(value),)


def _counter(after: str) -> str:
    """The counter that ``after`` begins with, the longest one; "" if native numbers take none."""
    known = [w for w in (*_data()["native"], *_data()["sino"]) if after.startswith(w)]
    found = max(known, key=len, default="")
    return "" if found in _data()["sino"] else found


def _whole(number: str) -> str:
    digits = number.replace(",", "")
    if len(digits) > 1 and digits[0] == "0" or len(digits) > MOST_DIGITS:
        return _digits(digits)
    return sino(int(digits))


def _digits(text: str) -> str:
    return "".join(DIGITS[int(c)] if c.isdecimal() else " " for c in text)


def sino(value: int) -> str:
    """A whole number below 10^16 in Sino-Korean: 1000 천, 21000 이만천."""
    if value == 0:
        return "영"
    read = ""
    for unit in ("", "만", "억", "조"):
        value, group = divmod(value, 10_000)
        if group:
            one = group == 1 and unit == "만" and not value
            read = ("" if one else _below_10000(group)) + unit + read
    return read


def _below_10000(value: int) -> str:
    read = ""
    for power, unit in ((1000, "천"), (100, "백"), (10, "십"), (1, "")):
        digit = value // power % 10
        if digit:
            read += ("" if digit == 1 and unit else DIGITS[digit]) + unit
    return read


def native(value: int) -> str:
    """A whole number from 1 to 99 as it stands before a counter: 3 세, 20 스무."""
    return "스무" if value == 20 else NATIVE_TENS[value // 10] + NATIVE_ONES[value % 10]
