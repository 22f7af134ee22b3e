"""The program `l2dual`: `l2dual COMMAND ...` is `python -m l2dual.bin.COMMAND ...`."""

import ast
import re
import sys
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path

from l2dual import bin as commands
from l2dual.errors import UsageError, run

FILES = {path.stem: path for path in sorted(Path(commands.__file__).parent.glob("[a-z]*.py"))}
FIRST = ("transcribe", "feedback", "models", "get_whisper", "validate")  # what users call; recipes call the others
COMPLETION = {
    "bash": """_l2dual() {{
  local word=${{COMP_WORDS[COMP_CWORD]}}
  if ((COMP_CWORD == 1)); then
    COMPREPLY=($(compgen -W "{names} completion" -- "$word"))
  else
    COMPREPLY=($(compgen -f -- "$word"))
  fi
}}
complete -o filenames -F _l2dual l2dual
""",
    "zsh": """#compdef l2dual
_l2dual() {{
  if ((CURRENT == 2)); then
    compadd {names} completion
  else
    _files
  fi
}}
compdef _l2dual l2dual
""",
}


def main() -> None:
    """Run the command that is named first."""
    run(_main)


def _main() -> None:
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in ("-h", "--help"):
        print(_help())
        return
    if name == "completion":
        _complete(sys.argv[2:])
        return
    if name not in FILES:
        near = get_close_matches(name, FILES, 1, 0)[0]
        raise UsageError(f"no command '{name}': did you mean {near}? See l2dual --help")
    sys.argv[:2] = [f"l2dual {name}"]
    import_module(f"{commands.__name__}.{name}").main()


def _help() -> str:
    """Every command: the first line of its module's text, and its first example."""
    lines = ["Usage: l2dual COMMAND [OPTION...]    Options of one: l2dual COMMAND --help", ""]
    for command in FIRST:
        lines += _about(command)
    lines += ["", "To complete names by TAB, in bash or zsh:", '    eval "$(l2dual completion bash)"']
    lines += ["", "The stages of a recipe, which run.sh calls:"]
    for command in FILES:
        if command not in FIRST:
            lines += _about(command)
    return "\n".join(lines)


def _about(command: str) -> list[str]:
    text = (ast.get_docstring(ast.parse(FILES[command].read_text(encoding="utf-8"))) or "").replace("\\\n", " ")
    title = re.split(r": python -m|\.?\n|\.?$", text, maxsplit=1)[0]
    called = re.search(rf"(?:l2dual |python -m l2dual\.bin\.){command}\b(.*)", text)
    options = re.sub(r"\s+(#.*)?", " ", called[1]) if called else ""
    return [f"  {command:15} {title}", f"  {'':15} l2dual {command}{options.rstrip()}"]


def _complete(shells: list[str]) -> None:
    """Print what makes a shell complete commands and files."""
    if len(shells) != 1 or shells[0] not in COMPLETION:
        raise UsageError(f"name a shell: l2dual completion {' or '.join(COMPLETION)}")
    print(COMPLETION[shells[0]].format(names=" ".join(FILES)), end="")


if __name__ == "__main__":
    main()
