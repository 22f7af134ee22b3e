"""What transcripts of real corpora have in common: punctuation, case, spacing."""

import re
import unicodedata

MARKS = re.compile(
    r"[^\w\s'%./]"  # all but letters, digits, spaces and the signs that are spoken or join
    r"|_"
    r"|(?<!\w)'|'(?!\w)"  # a quote; within a word (don't) it stays
    r"|(?<!\d)[./]|[./](?!\d)"  # a full stop, a slash; within a number (3.5, 1/3) they stay
)
GROUPING = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")  # 1,000 is 1000


def plain(text: str) -> str:
    """Return ``text`` in NFC and lower case, without punctuation, with single spaces.

    A number stays one word: 3.5, 1/3; the commas within it go.
    """
    text = unicodedata.normalize("NFC", text).replace("’", "'")
    return " ".join(MARKS.sub(" ", GROUPING.sub("", text)).lower().split())
