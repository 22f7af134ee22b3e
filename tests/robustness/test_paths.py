"""Names in data are never paths, and nothing is written through a symbolic link."""

import errno
import os
import sys
import unicodedata
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from l2dual.bin import filter as stage_4
from l2dual.bin import prepare
from l2dual.bin import validate as command
from l2dual.data.audio import format_audio
from l2dual.data.datadir import TABLES, DataDir, read_table, write_datadir
from l2dual.data.utterance import Utterance
from l2dual.errors import DataError, L2DualError, describe
from l2dual.files import NAME_BYTES, atomic_write, file_name, is_id

INFO = "corpus: c\nlanguage: en\nconvention: heard\nsurface_unit: char\nmeaning_unit: char\n"
OUTSIDE = "OUTSIDE"  # stands for the absolute path of a directory that must not change
HOSTILE = {
    "absolute": f"{OUTSIDE}/evil",
    "up": "../../../up",
    "far up": "../" * 20 + f"{OUTSIDE}/evil",
    "parent": "..",
    "this": ".",
    "hidden": ".hidden",
    "below": "a/b",
    "backslash": "..\\..\\up",
    "NUL": "a\0b",
    "escape": "a\x1b]0;x\x07b",
    "right to left": "a\u202eb",
    "long": "a" * 300,
    "long Hangul": "가" * 100,
    "NFD": unicodedata.normalize("NFD", "가"),
    "command": "$(touch${IFS}evil)",
    "pipe": "a|touch\u00a0evil|",
    "option": "-rf",
}


@pytest.fixture
def outside(tmp_path, monkeypatch) -> Path:
    """Where no command may change a thing; the current directory is beside it."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/evil").write_text("secret of another\n")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "outside"


def snapshot(root: Path, apart: tuple[Path, ...]) -> dict:
    return {
        path: (path.lstat().st_mode, path.read_bytes() if path.is_file() else None)
        for path in root.rglob("*")
        if not any(path == part or part in path.parents for part in apart)
    }


@contextmanager
def changing_only(root: Path, *apart: Path):
    """Fail if anything under ``root`` but ``apart`` is made, changed or removed; errors may end it."""
    before = snapshot(root, apart)
    with suppress(L2DualError, SystemExit):
        yield
    assert snapshot(root, apart) == before


def record(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, 0.1 * np.random.default_rng(1).standard_normal(24000), 24000)
    return path


def make_data(path: Path, name: str, speaker: str) -> Path:
    """A data directory with one good utterance and one of this name and speaker."""
    audio = record(path.parent / "recordings/a.wav")
    tables = {
        "wav.scp": f"s1-1 {audio}\n{name} {audio}\n",
        "utt2spk": f"s1-1 s1\n{name} {speaker}\n",
        "utt2l1": f"s1-1 kor\n{name} kor\n",
    }
    for text in ("text.meaning", "text.surface", "text.canonical"):
        tables[text] = f"s1-1 i think\n{name} i think\n"
    path.mkdir()
    for table, content in tables.items():
        (path / table).write_text(content, encoding="utf-8")
    (path / "corpus.yaml").write_text(INFO)
    return path


@pytest.fixture(params=HOSTILE)
def hostile(request, outside) -> str:
    return HOSTILE[request.param].replace(OUTSIDE, str(outside))


def validate(path: Path, *options: str) -> None:
    """l2dual validate, in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["validate", str(path), *options])
        command.main()


def stage(module, monkeypatch, **options) -> None:
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    monkeypatch.setattr(sys, "argv", ["stage", *words])
    module.main()


@pytest.mark.parametrize("place", ["utterance", "speaker"])
def test_a_hostile_name_in_a_data_directory(hostile, place, outside, monkeypatch, capsys):
    """Each step is tried on its own: earlier ones may refuse what a later one must withstand."""
    name, speaker = (hostile, "s1") if place == "utterance" else ("s1-2", hostile)
    data, root = make_data(Path("data").absolute(), name, speaker), outside.parent
    with changing_only(root):
        validate(data)
    found = capsys.readouterr().out
    assert "\x1b" not in found and "\0" not in found
    if not is_id(hostile):
        assert any(f": {check}: " in found for check in ("id", "control", "nfc", "missing"))
    formatted, filtered = Path("formatted").absolute(), Path("filtered").absolute()
    with changing_only(root, formatted):
        format_audio(DataDir.load(data), formatted, "flac", 16000, 1)
    with changing_only(root, filtered):
        stage(stage_4, monkeypatch, data=formatted, split="train", out=filtered, frames_per_second=25)
    backup = data.with_name("data.backup1")
    with changing_only(root, data, backup):
        validate(data, "--fix")
    with changing_only(root):
        validate(data)
    assert "s1-1" in read_table(data / "wav.scp")


def test_a_hostile_speaker_in_a_table(hostile, outside, monkeypatch):
    record(Path("db/a.wav"))
    rows = [f"a.wav,i think,s{n},i sink,s{n}-1,{s}" for n, s in enumerate(("train", "valid", "test"))]
    rows.append(f'a.wav,i think,"{hostile}",i sink,x,train')
    Path("db/t.csv").write_text("audio,meaning,speaker,surface,id,split\n" + "\n".join(rows) + "\n")
    corpus_to_stage_4("table", Path("db/t.csv"), outside, monkeypatch)


def test_a_hostile_speaker_in_a_kaldi_directory(hostile, outside, monkeypatch):
    for split in ("train", "valid", "test"):
        name = f"{hostile}-1" if split == "train" else f"{split}-1"
        path = Path("db", split)
        path.mkdir(parents=True)
        (path / "wav.scp").write_text(f"{name} {record(Path('recordings/a.wav').absolute())}\n")
        (path / "text").write_text(f"{name} i think\n")
        (path / "text.surface").write_text(f"{name} i sink\n")
        (path / "utt2spk").write_text(f"{name} {name[:-2]}\n")
    corpus_to_stage_4("kaldi", Path("db"), outside, monkeypatch)


def corpus_to_stage_4(corpus, db, outside, monkeypatch) -> None:
    """Stages 1, 3 and 4, each of which may refuse, and write only what it is to write."""
    data, formatted, filtered = (Path(name).absolute() for name in ("data", "formatted", "filtered"))
    root, words = outside.parent, {"language": "en", "convention": "heard"}
    with changing_only(root, data):
        stage(prepare, monkeypatch, corpus=corpus, db=db, out=data, **words)
    if (data / "train/wav.scp").is_file():
        assert all(map(is_id, read_table(data / "train/utt2spk").values()))
        with changing_only(root, formatted):
            format_audio(DataDir.load(data / "train"), formatted, "flac", 16000, 1)
        with changing_only(root, filtered):
            stage(stage_4, monkeypatch, data=formatted, split="train", out=filtered, frames_per_second=25)


def test_stage_1_refuses_what_is_no_id(hostile, tmp_path):
    if is_id(hostile):
        return
    for name, speaker in ((f"s1-{hostile}", "s1"), (f"{hostile}-1", hostile)):
        if not is_id(name) or not is_id(speaker):
            utterance = Utterance(name, "train", speaker, Path("a.wav"), "a", "a", "a")
            with pytest.raises(DataError, match="is no name") as error:
                write_datadir(tmp_path / "data", [utterance], {})
            assert "\n" not in str(error.value) and not (tmp_path / "data").exists()


names = st.text() | st.text(alphabet="aA.가가\0/~_-é ", max_size=8) | st.text(min_size=250)


@settings(max_examples=300, database=None)
@given(names, names, st.sampled_from(["", ".flac", ".wav"]))
def test_file_names_are_safe_bounded_and_apart(one, other, suffix):
    made = file_name(one, suffix)
    assert made == Path(made).name and made not in (".", "..") and made[0] not in ".-"
    assert made.endswith(suffix) and len(made.encode()) <= NAME_BYTES
    assert made.isprintable() and not set(made) & set("/\\$`|;&<>*?\"' ")
    if one != other:
        folded = (unicodedata.normalize("NFD", file_name(n, suffix)).casefold() for n in (one, other))
        assert len(set(folded)) == 2


@pytest.mark.parametrize("name", ["s01-3", "spk_1", "speaker0102-000010014", "a.b@c=d+e"])
def test_an_ordinary_name_stays(name):
    assert file_name(name, ".flac") == f"{name}.flac" and is_id(name)


def test_a_table_that_leads_out_is_neither_shown_nor_written(outside, capsys):
    for name in (*TABLES, "corpus.yaml", "spk2utt", "utt2age"):
        data = make_data(Path(f"data_{name}"), "s1-2", "s1")
        (data / name).unlink(missing_ok=True)
        (data / name).symlink_to(outside / "evil")
        with changing_only(outside.parent):
            validate(data, "--all")
        shown = capsys.readouterr()
        assert f"link (error):\n  {data}/{name}\n" in shown.out
        with changing_only(outside.parent):
            validate(data, "--fix")
        shown = shown.out + "".join(capsys.readouterr())
        assert "secret" not in shown and "copy the file into" in shown


def test_fix_follows_no_link_that_waits_for_it(outside):
    data = make_data(Path("data"), "s1-2", "s1")
    (data / "text.meaning").write_text("s1-1 i  think\ns1-2 i think\n")
    (data / "text.meaning.tmp").symlink_to(outside / "evil")
    (data / "README").symlink_to(outside / "evil")
    Path("data.backup1").symlink_to(outside)
    apart = [Path(name).absolute() for name in ("data", "data.backup2")]
    with changing_only(outside.parent, *apart):
        validate(data, "--fix")
    assert read_table(data / "text.meaning")["s1-1"] == "i think"
    assert Path("data.backup2/README").is_symlink()


def test_links_within_a_directory_or_to_it_are_fine(outside):
    data = make_data(Path("real"), "s1-2", "s1")
    (data / "text.canonical").unlink()
    (data / "text.canonical").symlink_to("text.meaning")
    (data / "text.surface").write_text("s1-1 i  think\ns1-2 i think\n")
    Path("data").symlink_to("real")
    validate(Path("data"), "--fix")
    assert read_table("real/text.surface")["s1-1"] == "i think"
    assert read_table("real/text.canonical")["s1-1"] == "i think"
    assert read_table("real.backup1/text.surface")["s1-1"] == "i  think"


def test_what_is_written_is_whole_or_as_before(tmp_path, outside):
    path = tmp_path / "a"
    path.symlink_to(outside / "evil")
    with atomic_write(path) as stream:
        stream.write("new\n")
    assert path.read_text() == "new\n" and not path.is_symlink()
    assert (outside / "evil").read_text() == "secret of another\n"
    for fault in (KeyError, KeyboardInterrupt):
        with pytest.raises(fault), atomic_write(path) as stream:
            stream.write("half")
            raise fault
    assert path.read_text() == "new\n"
    assert sorted(tmp_path.iterdir()) == [path, tmp_path / "here", outside]
    with atomic_write(path, "wb") as stream:
        stream.write(b"\0")
    umask = os.umask(0)
    os.umask(umask)
    assert path.read_bytes() == b"\0" and path.stat().st_mode & 0o777 == 0o666 & ~umask


@pytest.mark.timeout(60)
def test_devices_pipes_and_directories_are_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "directory").mkdir()
    for path in (tmp_path / "fifo", tmp_path / "directory", Path("/dev/null")):
        with pytest.raises(DataError, match="not a regular file"), atomic_write(path):
            pass


def test_a_full_or_closed_disk_is_named(tmp_path):
    with pytest.raises(OSError) as error, atomic_write(tmp_path / "a"), open("/dev/full", "w") as full:
        full.write("x")
    assert describe(error.value).startswith(f"{tmp_path}/a: the disk is full: free")
    with pytest.raises(OSError) as error, atomic_write("/sys/l2dual/a"):
        pass
    assert describe(error.value).startswith("/sys/l2dual: ")
    said = describe(OSError(errno.EROFS, "", "/ro/a"))
    assert said == "/ro/a: the file system is read-only: choose another place"
