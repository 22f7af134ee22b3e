"""Hostile text files, options and circumstances: a value or one line, never a traceback or a hang."""

import argparse
import importlib
import os
import pkgutil
import signal
import subprocess
import sys
from concurrent.futures.process import BrokenProcessPool

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import l2dual.bin
from l2dual.data.datadir import DataDir, read_info, read_table, write_table
from l2dual.data.tokens import write_tokens
from l2dual.data.validate import Options, validate
from l2dual.errors import DataError, L2DualError, UsageError, one_line, run
from l2dual.files import read_yaml
from tests.robustness.test_paths import make_data

NO_AUDIO = Options(audio=False)
LINES = "\x85\u2028\x0b\x1c"  # what only str.splitlines takes for a line's end
BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefghi", "bcdefghij", strict=True)
)
BAD_YAML = {
    "deep": "corpus: " + "[" * 200_000,
    "deep mappings": "{a: " * 60,
    "bomb": BOMB,
    "merged bomb": "a: &a {x: 1}\n" + "b: &b {<<: [" + "*a, " * 1000 + "]}\nc: [" + "*b, " * 2000 + "]",
    "endless": "a: &a [*a]",
    "unanchored": "a: *b",
    "long number": "a: " + "9" * 5000,
    "base 60": "a: " + ":".join(["59"] * 50_000),
    "no number": "weights: {ctc: .nan}",
    "no date": "a: 2001-99-99",
    "no boolean": "a: !!bool perhaps",
    "no timestamp": "a: !!timestamp soon",
    "code": "a: !!python/object/apply:os.system ['touch evil']",
    "NUL": "a: \0",
    "escape": "a: \x1b[31m",
    "unclosed": "a: [1",
    "a list": "- a",
    "words": "just words",
    "nothing": "",
    "unhashable": "? [a]\n: b",
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", BAD_YAML)
def test_bad_yaml_is_one_line_and_quick(tmp_path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "corpus.yaml"
    file.write_text(BAD_YAML[name])
    for read, argument in ((read_yaml, file), (read_info, tmp_path)):
        with pytest.raises(UsageError, match="^" + str(file)) as error:
            read(argument)
        assert "\n" not in str(error.value) and len(str(error.value)) < 600
    data = make_data(tmp_path / "data", "s1-2", "s1")
    file.replace(data / "corpus.yaml")
    _, found = validate(data)
    assert "facts" in {f.check for f in found}
    assert all(len(f.describe(data)) < 600 and "\n" not in f.describe(data) for f in found)
    assert not (tmp_path / "evil").exists()


def test_good_yaml_with_aliases_is_read(tmp_path):
    (tmp_path / "a.yaml").write_text("a: &x {ctc: 0.2}\nb: {<<: *x, attention: .5}\nc: [*x, *x]\n")
    assert read_yaml(tmp_path / "a.yaml") == {
        "a": {"ctc": 0.2},
        "b": {"ctc": 0.2, "attention": 0.5},
        "c": [{"ctc": 0.2}, {"ctc": 0.2}],
    }
    tokens = [f"가{n}" for n in range(60_000)]
    (tmp_path / "b.yaml").write_text(f"token_list: [{', '.join(tokens)}]\n", encoding="utf-8")
    assert read_yaml(tmp_path / "b.yaml") == {"token_list": tokens}


any_bytes = st.binary(max_size=200) | st.text(max_size=100).map(lambda t: t.encode("utf-8", "replace"))
yaml_like = st.text(alphabet="ab:-[]{}&*!|>'\"\n #,?%@`<0.~\t가", max_size=60).map(str.encode)
hostile = settings(max_examples=200, database=None)


@hostile
@given(any_bytes | yaml_like)
def test_any_bytes_as_yaml(tmp_path_factory, content):
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_bytes(content)
    try:
        assert isinstance(read_yaml(file), dict)
    except L2DualError as error:
        assert "\n" not in str(error)


@hostile
@given(any_bytes | st.text(alphabet=f"ab \t\r\n\0{LINES}가", max_size=60).map(str.encode))
def test_any_bytes_as_a_table(tmp_path_factory, content):
    file = tmp_path_factory.getbasetemp() / "any_table"
    file.write_bytes(content)
    try:
        table = read_table(file)
    except L2DualError as error:
        assert "\n" not in str(error)
    else:
        assert all(key and key == key.strip() and not set(key) & set(" \n") for key in table)


@hostile
@given(st.dictionaries(st.text("ab-가", min_size=1, max_size=5), st.text(max_size=20), max_size=5))
def test_a_table_that_is_written_reads_as_it_was_or_is_refused(tmp_path_factory, table):
    file = tmp_path_factory.getbasetemp() / "written"
    try:
        write_table(file, table)
    except DataError:
        assert any(set(value) & set("\r\n") for value in table.values())
    else:
        assert read_table(file) == {key: value.strip() for key, value in table.items()}


@hostile
@given(st.binary(max_size=60), st.sampled_from(["wav.scp", "text.surface", "utt2spk", "utt2dur"]))
def test_any_bytes_in_a_data_directory(tmp_path_factory, content, name):
    data = tmp_path_factory.getbasetemp() / "any_data"
    if not data.is_dir():
        make_data(data, "s1-2", "s1")
    before = (data / name).read_bytes() if (data / name).exists() else b""
    (data / name).write_bytes(before + content)
    try:
        _, found = validate(data, NO_AUDIO)
    finally:
        (data / name).write_bytes(before) if before else (data / name).unlink()
    assert all(f.describe(data).isprintable() for f in found)


def test_a_line_of_text_ends_where_espnet_says(tmp_path):
    (tmp_path / "text").write_text(f"s1-1 a{LINES}b\ns1-2 c\n", encoding="utf-8")
    tokens = write_tokens([tmp_path / "text"], "word", tmp_path)
    assert "s1-1" not in tokens and {"a", "b", "c"} <= set(tokens)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", ["wav.scp", "text.surface", "utt2age", "spk2utt", "corpus.yaml"])
@pytest.mark.parametrize("kind", ["directory", "pipe", "device", "loop"])
def test_what_is_no_file_is_not_read(tmp_path, name, kind):
    data = make_data(tmp_path / "data", "s1-2", "s1")
    (data / name).unlink(missing_ok=True)
    {
        "directory": (data / name).mkdir,
        "pipe": lambda: os.mkfifo(data / name),
        "device": lambda: (data / name).symlink_to("/dev/zero"),
        "loop": lambda: (data / name).symlink_to(name),
    }[kind]()
    _, found = validate(data)
    assert {f.file for f in found if f.check in ("table", "facts", "link")} == {name}
    if name != "spk2utt":  # which only the validator reads
        with pytest.raises(L2DualError, match=name):
            DataDir.load(data)
    with pytest.raises(DataError, match="not a regular file|no such file"):
        read_table(data / name)


def parsers() -> dict[str, argparse.ArgumentParser]:
    """The parser of each command in l2dual.bin."""
    found = {}

    def keep(parser, *_):
        found[name] = parser
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, "parse_args", keep)
        for name in (module.name for module in pkgutil.iter_modules(l2dual.bin.__path__)):
            if name != "train":  # ESPnet's
                with pytest.raises(KeyboardInterrupt):
                    importlib.import_module(f"l2dual.bin.{name}").main()
    return found


def test_every_number_on_a_command_line_is_checked(capsys):
    counted = 0
    for name, parser in parsers().items():
        for action in parser._actions:
            assert action.type not in (int, float), f"{name}: {action.option_strings}"
            if getattr(action.type, "__module__", "") == "l2dual.bin":
                counted += 1
                for wrong in ("nan", "-1", "inf", "", "1e400", "x"):
                    with pytest.raises(SystemExit) as error:
                        parser.parse_args([action.option_strings[0], wrong])
                    said = capsys.readouterr().err.splitlines()[-1]
                    assert error.value.code == 2 and "give " in said
    assert counted >= 15


@pytest.mark.parametrize(
    "error, said",
    [
        (MemoryError(), "the memory is full: use fewer processes"),
        (RecursionError(), "nested too deeply"),
        (BrokenProcessPool("x"), "a process was killed"),
        (FileNotFoundError(2, "No such file", "a\nb"), "a\\nb: no such file or directory"),
        (OSError("odd"), "odd: check it"),
        (DataError("a\x1b[31mb\nc"), "a\\x1b[31mb\\nc"),
    ],
)
def test_what_goes_wrong_is_one_line(capsys, error, said):
    def fail():
        raise error

    with pytest.raises(SystemExit) as ended:
        run(fail)
    lines = capsys.readouterr().err.splitlines()
    assert ended.value.code == 1 and len(lines) == 1
    assert lines[0].startswith("l2dual: error: ") and said in lines[0]


@given(st.text())
def test_one_line_is_printable_and_keeps_plain_text(text):
    assert one_line(text).isprintable()
    if text.isprintable():
        assert one_line(text) == text


def test_a_full_disk_is_named(tmp_path):
    data = make_data(tmp_path / "data", "s1-2", "s1")
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "l2dual", "validate", data],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert done.returncode != 0 and "the disk is full" in done.stderr
    assert "Traceback" not in done.stderr


WORK = """
import os, signal, time
from concurrent.futures import ProcessPoolExecutor
from l2dual.errors import run
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a job in a shell's background has not
def work():
    os.write(1, b"started\\n")  # at once: the other process writes too
    time.sleep(600)
def main():
    with ProcessPoolExecutor(2) as pool:
        jobs = [pool.submit(work) for _ in range(2)]
        [job.result() for job in jobs]
run(main)
"""


def test_interrupted_is_130_without_a_traceback():
    process = subprocess.Popen(
        [sys.executable, "-c", WORK],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert [process.stdout.readline() for _ in range(2)] == ["started\n"] * 2
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=90)
    assert process.returncode == 130 and said == "l2dual: interrupted\n"


def test_a_reader_that_leaves_early_is_no_error(tmp_path):
    line = f"{sys.executable} -m l2dual validate {' '.join([str(tmp_path)] * 200)} --all | head -n 1"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True)
    assert "Traceback" not in done.stderr and "Broken pipe" not in done.stderr
