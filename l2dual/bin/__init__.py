"""One thin command per stage: parse, call, write."""

import argparse
import math
from collections.abc import Callable


def positive_int(text: str) -> int:
    """Type of an option: a whole number above 0."""
    return int(_number(text, int, lambda n: n > 0, "a whole number above 0"))


def natural(text: str) -> int:
    """Type of an option: a whole number, 0 or more."""
    return int(_number(text, int, lambda n: n >= 0, "a whole number, 0 or more"))


def positive_float(text: str) -> float:
    """Type of an option: a finite number above 0."""
    return _number(text, float, lambda n: 0 < n < math.inf, "a number above 0")


def share(text: str) -> float:
    """Type of an option: a part of a whole, above 0 and at most 1."""
    return _number(text, float, lambda n: 0 < n <= 1, "a number above 0 and at most 1")


def non_negative_float(text: str) -> float:
    """Type of an option: a finite number, 0 or more."""
    return _number(text, float, lambda n: 0 <= n < math.inf, "a number, 0 or more")


def boolean(text: str) -> bool:
    """Type of an option: true or false."""
    if text not in ("true", "false"):
        raise argparse.ArgumentTypeError(f"'{text}': give true or false")
    return text == "true"


def _number(text: str, kind: type, fits: Callable, wanted: str) -> float:
    try:
        number = kind(text)
    except ValueError:
        number = math.nan
    if not fits(number):
        raise argparse.ArgumentTypeError(f"'{text}': give {wanted}")
    return number
