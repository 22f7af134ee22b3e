"""What transcripts of real corpora have in common: punctuation, case, spacing."""

import re
import unicodedata

MARKS = re.compile(
    r"[^\w\s'%.]"  # all but letters, digits, spaces and the signs that are spoken or join
    r"|_"
    r"|(?<!\w)'|'(?!\w)"  # a quote; within a word (don't) it stays
    r"|(?<!\d)\.|\.(?!\d)"  # a full stop; within a number (3.5) it stays
)


def plain(text: str) -> str:
    """Return ``text`` in NFC and lower case, without punctuation, with single spaces."""
    text = unicodedata.normalize("NFC", text).replace("’", "'")
    return " ".join(MARKS.sub(" ", text).lower().split())
