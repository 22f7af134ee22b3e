"""ARPAbet phones as annotators of learners' speech write them."""

import re

ERROR = "<err>"  # wrong, but not named
PHONES = frozenset(
    "AA AE AH AO AW AY B CH D DH EH ER EY F G HH IH IY JH K L M N NG OW OY P R S SH T TH UH UW "
    "V W Y Z ZH".split()
)


def plain(symbol: str) -> str:
    """A phone in upper case without stress or slips of the pen: ``AH0``, ``ah``, ``AH)``: ``AH``.

    AX, which CMUdict writes AH0, is AH. What is no phone stays what it is, in upper case.
    """
    phone = re.sub(r"[\d`*_!)]+$", "", symbol.strip().upper())
    return "AH" if phone == "AX" else phone


def perceived(annotation: str, canonical: str | None = None) -> list[str]:
    """The phones that were heard where a phone was marked as wrong, or as inserted.

    =============================  ===============================================
    ``annotation``                 phones
    =============================  ===============================================
    ``D``, ``AH0``                 the phone, without stress
    ``IH R``                       both phones: two were heard for one
    ``R*``                         the phone that it was nearest to
    another symbol                 ``<err>``
    =============================  ===============================================

    Where this would give ``canonical`` back (``R*`` for R, another stress), it is ``<err>``: a
    phone marked as wrong is never written as right.
    """
    phones = [plain(symbol) for symbol in annotation.split()]
    if phones == [canonical] or not phones or not PHONES.issuperset(phones):
        return [ERROR]
    return phones
