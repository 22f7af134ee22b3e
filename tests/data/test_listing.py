"""How findings are listed: what `l2dual validate` prints."""

import json
import os
import subprocess
import sys

import pytest

from l2dual.data.findings import Finding, markdown
from l2dual.data.frames import chain_of, encoder_frames
from l2dual.files import read_yaml
from tests.data.faults import FAULTS, command, edit, value


@pytest.mark.slow
def test_command_line(good, tmp_path):
    done = command(good)
    assert done.returncode == 0 and done.stdout == f"{good}: 32 utterances: nothing found\n"
    FAULTS["path"][0](good)
    assert command(good).returncode == 0  # a warning
    FAULTS["empty"][0](good)
    done = command(good)
    lines = done.stdout.splitlines()
    assert done.returncode == 1 and lines[0].endswith("32 utterances: 1 error, 1 warning")
    assert lines[1].startswith("  1 error: empty: the utterance has no value: complete")
    assert lines[2].startswith("  1 warning: path: ")  # errors first
    where = f"  {good}/text.surface, line 14, utterance s2-06"
    assert lines[3:6] == ["", "empty (error):", where] and lines[7] == "path (warning):"
    done = command(good, good, "--format", "json")
    first, second = json.loads(done.stdout)
    assert done.returncode == 1 and first == second and first["utterances"] == 32
    assert [record["check"] for record in first["findings"]] == ["path", "empty"]
    assert first["findings"][1]["line"] == 14 and first["findings"][1]["severity"] == "error"
    failed = command(tmp_path / "nowhere")
    assert failed.returncode == 1 and "nowhere: no such directory" in failed.stderr
    failed = command(good, "--tokens", "surface=nowhere")
    assert failed.returncode == 1 and "nowhere: no readable token list" in failed.stderr


@pytest.mark.slow
def test_a_report_is_a_summary_and_five_examples_of_a_kind(good):
    for line in range(1, 13):
        edit(good / "text.surface", line, value(""))
    done = command(good.parent / "nowhere", good, good)
    assert done.returncode == 1 and "nowhere: no such directory" in done.stderr
    assert done.stdout.count("12 errors: empty:") == 2  # each directory has its report
    assert done.stdout.count("utterance s1-") == 10 and done.stdout.count("and 7 more: --all") == 2
    every = command(good, "--all").stdout
    assert every.count("text.surface, line") == 12 and "more: --all" not in every
    done = command(good, "--fix")
    assert done.stdout.count("dropped: ") == 6 and "dropped: empty: and 7 more" in done.stdout


@pytest.mark.parametrize(
    "encoding",
    [pytest.param("euc-kr", marks=pytest.mark.slow), pytest.param("iso-8859-1", marks=pytest.mark.slow), "ascii"],
)
def test_a_report_in_a_narrow_encoding(good, options, encoding):
    edit(good / "text.meaning", 24, value("나는 뷁 café 가요"))
    tokens = f"meaning={options.tokens['meaning']}"
    done = subprocess.run(
        [sys.executable, "-m", "l2dual", "validate", good, "--tokens", tokens],
        capture_output=True,
        env=os.environ | {"PYTHONIOENCODING": encoding},
    )
    assert done.returncode == 1 and b"utterance s3-08" in done.stdout and not done.stderr
    assert b"\\u0301" in done.stdout  # of é


def test_a_long_detail_keeps_its_ends(good):
    found = Finding("audio", "wav.scp", 1, "s1-01", "9" * 5000 + ": no such file")
    assert len(found.describe(good)) < 500 and "999: no such file): replace" in found.describe(good)


def test_what_a_directory_says_cannot_steer_the_terminal(good):
    edit(good / "utt2l1", 3, lambda line: b"s1-\x1b]0;x\x07\xff03 eng")
    assert "\x1b" not in command(good).stdout


@pytest.mark.slow
def test_frames_are_those_of_the_train_config(good, root):
    chain = chain_of(read_yaml(root / "conf/train/tiny.yaml"), 16000)
    most = encoder_frames(32000, 16000, chain)
    edit(good / "text.meaning", 3, value("ab" * (most // 2 + 1)))
    done = command(good, "--train_config", root / "conf/train/tiny.yaml")
    assert f"({most // 2 * 2 + 2} frames needed, {most} there)" in done.stdout
    failed = command(good, "--train_config", "conf/nowhere.yaml")
    assert failed.returncode == 1 and "nowhere.yaml: no such file" in failed.stderr


def test_the_page_has_every_check(root):
    assert markdown() in (root / "docs/validate.md").read_text(encoding="utf-8")
