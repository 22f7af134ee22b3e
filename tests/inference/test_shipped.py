"""The model and the recordings that l2dual brings, by the commands that README shows first."""

import json
import lzma
import re
import shlex
import subprocess
import sys

import pytest

from l2dual import DualSpeech2Text
from l2dual.__main__ import main
from l2dual.training.load import fetched

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(fetched("whisper-base") is None, reason="l2dual get_whisper has not been run"),
]
HEAVY = (
    "'transformers', 'torch._dynamo.utils', 'librosa', 'numba', 'scipy', 'pandas', 'sklearn', 'sympy', 'espnet2.tasks'"
)


@pytest.fixture
def commands(root, monkeypatch, tmp_path, capsys):
    """README's commands of the program by name, each run where README's paths lead somewhere."""
    text = (root / "README.md").read_text(encoding="utf-8")
    (tmp_path / "docs").symlink_to(root / "docs")
    monkeypatch.chdir(tmp_path)

    def call(name):
        [words] = re.findall(rf"^l2dual {name} (?:docs/.*)$", text, re.MULTILINE)
        monkeypatch.setattr(sys, "argv", shlex.split(words))
        main()
        return text, capsys.readouterr().out

    return call


def test_readme_shows_what_transcribe_prints(root):
    """In a process of its own, which imports nothing that takes seconds."""
    readme = (root / "README.md").read_text(encoding="utf-8")
    [words] = re.findall(r"^l2dual (transcribe docs/.*)$", readme, re.MULTILINE)
    script = "import sys; from l2dual.__main__ import main; main(); print({" + HEAVY + "} & sys.modules.keys())"
    call = [sys.executable, "-c", script, *shlex.split(words)]
    said = subprocess.run(call, cwd=root, check=True, capture_output=True, text=True).stdout
    said, _, heavy = said.strip().rpartition("\n")
    assert heavy == "set()"
    shown = re.search(r"^    meaning .*?\n\n", readme, re.MULTILINE | re.DOTALL)[0]
    assert [line.strip() for line in shown.splitlines()[:-1]] == [line.strip() for line in said.splitlines()[1:]]


def test_the_model_transcribes_as_its_run_did(root):
    """The recording is an utterance of the test set, whose hypotheses are kept."""
    file = root / "egs2/l2_en/results/speechocean762_whisper/do_split_averaged.seed1.json.xz"
    kept = json.loads(lzma.decompress(file.read_bytes()))["hypotheses"]["decode_guided"]["test"]
    found = DualSpeech2Text.from_pretrained("english")(root / "docs/recordings/saw.opus")
    for output, texts in kept.items():
        assert getattr(found, output).text == texts["9612-096120001"]


def test_readme_shows_the_page_of_feedback(commands, tmp_path):
    _, said = commands("feedback")
    assert said == "wrote saw.html\n"
    page = (tmp_path / "saw.html").read_text(encoding="utf-8")
    assert "You said the vowel of “see”. Say the vowel of “law”." in page and "data:audio/" in page


def test_the_example_of_the_page_on_feedback(root, monkeypatch, capsys):
    monkeypatch.chdir(root)
    [code] = re.findall(r"```python\n(.*?)```", (root / "docs/feedback.md").read_text(encoding="utf-8"), re.DOTALL)
    exec(code, {})
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 7 and said[1].startswith("saw wrong 0.") and "Say the vowel of “law”." in said[1]
