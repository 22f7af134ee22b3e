"""The program `l2dual`: `l2dual COMMAND ...` is `python -m l2dual.bin.COMMAND ...`."""

import ast
import sys
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path

from l2dual import bin as commands
from l2dual.errors import UsageError, run

FILES = {path.stem: path for path in sorted(Path(commands.__file__).parent.glob("[a-z]*.py"))}


def main() -> None:
    """Run the command that is named first."""
    run(_main)


def _main() -> None:
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("-h", "--help"):
        print("Usage: l2dual COMMAND [OPTION...]    Options of one: l2dual COMMAND --help\n")
        for command, file in FILES.items():
            print(f"  {command:15} {_first_line(file)}")
        return
    if name not in FILES:
        near = get_close_matches(name, FILES, 1, 0)[0]
        raise UsageError(f"no command '{name}': did you mean {near}? See l2dual --help")
    sys.argv[:2] = [f"l2dual {name}"]
    import_module(f"{commands.__name__}.{name}").main()


def _first_line(file: Path) -> str:
    return ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))).splitlines()[0]


if __name__ == "__main__":
    main()
