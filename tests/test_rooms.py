"""A room imports only itself, the root's files, and rooms above it."""

import re
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "l2dual"
ROOT = "__init__ __main__ errors files systems".split()
ROOMS = "text data simulate corpora sharing models training scoring analysis report recipe bin".split()


def test_no_arrow_points_up():
    assert {path.stem for path in PACKAGE.glob("*.py")} == set(ROOT)
    assert {path.parent.name for path in PACKAGE.glob("*/__init__.py")} == set(ROOMS)
    for number, room in enumerate(ROOMS):
        for path in (PACKAGE / room).rglob("*.py"):
            used = re.findall(r"^\s*(?:from|import) l2dual(?:\.(\w+)| import (\w+))", path.read_text("utf-8"), re.M)
            names = {one or other for one, other in used}
            assert names <= {*ROOT, *ROOMS[: number + 1]}, path
