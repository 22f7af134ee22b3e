"""The commands: each is the program `l2dual` with its name, and each module of bin is one."""

import ast
import re
import subprocess
import sys

import pytest

from l2dual.__main__ import FILES
from tests.commands import python_m


def l2dual(*words):
    return subprocess.run([sys.executable, "-m", *words], capture_output=True, text=True)


@pytest.mark.parametrize("name", FILES)
def test_a_module_of_bin_is_a_command(name):
    tree = ast.parse(FILES[name].read_text(encoding="utf-8"))
    assert "main" in [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    assert ast.unparse(tree.body[-1]) == "if __name__ == '__main__':\n    run(main)"


@pytest.mark.slow
def test_the_program_and_the_module_are_one_command(root):
    data = root / "docs/corpora/examples/kaldi"
    one, other = l2dual("l2dual", "validate", data), l2dual("l2dual.bin.validate", data)
    assert one.returncode == 1 and "15 errors" in one.stdout
    assert (one.stdout, one.stderr, 1) == (other.stdout, other.stderr, other.returncode)


@pytest.mark.slow
def test_a_mistake_in_yaml_says_what_it_is():
    options = ["--data", "x", "--out", "y", "--frontend_conf"]
    for conf, said in (("{path: [", "while parsing a flow"), ("whisper", "give `{key: value, ...}`")):
        done = python_m("l2dual.bin.cache_features", *options, conf)
        assert done.returncode == 1 and f"--frontend_conf: {said}" in done.stderr


def test_help_and_misspelt_commands():
    shown = l2dual("l2dual").stdout
    assert all(re.search(rf"\n  {name} +[A-Z].*\n +l2dual {name}", shown) for name in FILES)
    named = ["transcribe", "feedback", "models", "get_whisper", "validate"]
    assert re.findall(r"^  (\w+) ", shown, re.MULTILINE)[:5] == named
    assert l2dual("l2dual", "validate", "--help").stdout.startswith("usage: l2dual validate ")
    wrong = l2dual("l2dual", "valdate")
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert wrong.stderr == "l2dual: error: no command 'valdate': did you mean validate? See l2dual --help\n"


@pytest.mark.slow
def test_help_comes_at_once():
    """No --help imports what takes seconds; all in one process, since what one imports, the next would have."""
    code = """
import runpy, sys
for name in sys.argv[1:]:
    sys.argv = [name, "--help"]
    try:
        runpy.run_module(f"l2dual.bin.{name}", run_name="__main__")
    except SystemExit as end:
        assert not end.code, name
    heavy = {*"torch espnet2 transformers scipy.stats sklearn matplotlib".split()} & sys.modules.keys()
    assert not heavy, (name, heavy)
"""
    done = subprocess.run([sys.executable, "-c", code, *FILES], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert all(f"usage: {name}" in done.stdout for name in FILES if name != "train") and "--max_epoch" in done.stdout


def test_a_shell_completes_commands_and_files(tmp_path):
    script = l2dual("l2dual", "completion", "bash").stdout
    (tmp_path / "val.wav").touch()
    tries = ("COMP_WORDS=(l2dual val) COMP_CWORD=1", "COMP_WORDS=(l2dual validate val) COMP_CWORD=2")
    for words, found in zip(tries, ("validate", "val.wav"), strict=True):
        shell = f'{script}\n{words.replace(" COMP", "; COMP")}; _l2dual; echo "${{COMPREPLY[@]}}"'
        done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, cwd=tmp_path)
        assert (done.stdout, done.stderr) == (f"{found}\n", "")
    wrong = l2dual("l2dual", "completion", "fish")
    assert wrong.stderr == "l2dual: error: name a shell: l2dual completion bash or zsh\n"
