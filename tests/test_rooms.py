"""A room imports only itself, the root's files, and rooms above it."""

import re
from collections import Counter
from itertools import chain
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "l2dual"
ROOT = "__init__ __main__ errors files pages systems".split()
ROOMS = "text data simulate corpora sharing models training scoring analysis report inference recipe bin".split()


def test_no_arrow_points_up():
    assert {path.stem for path in PACKAGE.glob("*.py")} == set(ROOT)
    assert {path.parent.name for path in PACKAGE.glob("*/__init__.py")} == set(ROOMS)
    for number, room in enumerate(ROOMS):
        for path in (PACKAGE / room).rglob("*.py"):
            used = re.findall(r"^\s*(?:from|import) l2dual(?:\.(\w+)| import (\w+))", path.read_text("utf-8"), re.M)
            names = {one or other for one, other in used}
            assert names <= {*ROOT, *ROOMS[: number + 1]}, path


def test_one_idea_has_one_name():
    """No two classes of one name, but for those of languages that take each other's place."""
    found = [re.findall(r"^class ([A-Z]\w*)", path.read_text("utf-8"), re.M) for path in PACKAGE.rglob("*.py")]
    twice = {name for name, number in Counter(chain(*found)).items() if number > 1}
    assert twice <= {"Speech"}
