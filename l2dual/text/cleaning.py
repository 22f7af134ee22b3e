"""What transcripts of real corpora have in common: punctuation, case, spacing."""

import re
import unicodedata

MARKS = re.compile(
    r"[^\w\s'%./]"  # all but letters, digits, spaces and the signs that are spoken or join
    r"|_"
    r"|(?<![^\W가-힣])'|'(?![^\W가-힣])"  # a quote; within a word (don't) it stays
    r"|(?<!\d)[./]|[./](?!\d)"  # a full stop, a slash; within a number (3.5, 1/3) they stay
)
THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")  # 1,000 is one number
ENDS = re.compile(r"[!?…()\[\]\"“”]|(?<!\d)[,;:]|[,;:](?!\d)|(?<=[a-z가-힣])\.(?=[A-Z가-힣])")
SPOKEN = re.compile("[&$£€¥₩°℃℉㎏㎞㎝㎜㎡㎖]")  # signs that are words, and would go with the punctuation
APOSTROPHES = str.maketrans(dict.fromkeys("’‘ʼ`´", "'"))


def plain(text: str) -> str:
    """Return ``text`` in NFC and lower case, without punctuation, with single spaces."""
    return " ".join(MARKS.sub(" ", THOUSANDS.sub("", _letters(text))).lower().split())


def spoken(text: str) -> str:
    """Return ``text`` as a pronunciation takes it: case and punctuation as written, a space wherever words end."""
    return " ".join(ENDS.sub(r"\g<0> ", _letters(text)).split())


def _letters(text: str) -> str:
    """``text`` in NFC, with one kind of apostrophe and without soft hyphens and other signs that nobody sees."""
    text = unicodedata.normalize("NFC", text).translate(APOSTROPHES)
    return "".join(char for char in text if unicodedata.category(char) != "Cf")


def prompt(text: str) -> str:
    """What all ways to write one sentence have in common: its letters and digits, in order."""
    return re.sub("[ '.%]", "", plain(text)) or " ".join(text.split())
