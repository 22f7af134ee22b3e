"""Tables as spreadsheets and scripts write them: read alike, or refused with file, line and remedy."""

import sys
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from l2dual.bin.prepare import main
from l2dual.corpora import Request
from l2dual.corpora.common.spreadsheet import parse_columns
from l2dual.corpora.table import prepare, preview
from l2dual.data.datadir import DataDir
from l2dual.errors import DataError, L2DualError, UsageError, run
from tests.commands import python_m

HEARD = Request("en", "heard")
HEADER = ["audio", "speaker", "meaning", "surface", "split"]
WORDS = ["think", "rice", "very", "thank", "this", "three", "bath", "zoo"]
ERRORS = ["sink", "lice", "bery", "sank", "dis", "tree", "bass", "joo"]
PLACES = ["train", "train", "train", "valid", "valid", "test", "test", "test"]
ROWS = [
    [f"a{i}.wav", f"s{i}", f"i say {WORDS[i]} now", f"i say {ERRORS[i]} now", PLACES[i]]
    for i in range(8)
]


@pytest.fixture
def folder(tmp_path):
    """A folder with the recordings that ROWS name, reached by no cached listing."""
    for row in ROWS:
        (tmp_path / row[0]).touch()
    return tmp_path


def text(separator=",", header=HEADER, rows=ROWS, newline="\n", quote=""):
    lines = [header, *([quote + cell + quote for cell in row] for row in rows)]
    return "".join(separator.join(line) + newline for line in lines)


def shuffled(order):
    return {"header": [HEADER[i] for i in order], "rows": [[row[i] for i in order] for row in ROWS]}


def with_column(name, value):
    return {"header": [*HEADER, name], "rows": [[*row, value] for row in ROWS]}


def renamed(*names):
    return text(header=list(names))


VARIANTS = {  # name: (what is written, encoding)
    "comma": (text(), "utf-8"),
    "semicolon": (text(";"), "utf-8"),
    "tab": (text("\t"), "utf-8"),
    "bar": (text("|"), "utf-8"),
    "sep line": ("sep=;\n" + text(";"), "utf-8"),
    "sep line, a rare separator": ("sep=#\r\n" + text("#", newline="\r\n"), "utf-8"),
    "sep line after a byte-order mark": ("sep=;\r\n" + text(";", newline="\r\n"), "utf-8-sig"),
    "byte-order mark": (text(), "utf-8-sig"),
    "UTF-16, Excel's Unicode text": (text("\t", newline="\r\n"), "utf-16"),
    "UTF-16 without a mark": (text("\t"), "utf-16-le"),
    "UTF-16 of the other order": (text("\t"), "utf-16-be"),
    "CRLF": (text(newline="\r\n"), "utf-8"),
    "CR": (text(newline="\r"), "utf-8"),
    "no line end": (text().rstrip("\n"), "utf-8"),
    "all quoted": (text(quote='"'), "utf-8"),
    "all quoted, tabs": (text("\t", quote='"'), "utf-8"),
    "blank lines": ("\n\n" + text(newline="\n\n"), "utf-8"),
    "rows of separators": (text() + ",,,,\n,,,,\n", "utf-8"),
    "empty columns at the end": (text(newline=",,\n"), "utf-8"),
    "other order": (text(**shuffled([4, 2, 0, 3, 1])), "utf-8"),
    "a column of notes": (text(**with_column("Notes", "checked")), "utf-8"),
    "an empty column of ours": (text(**with_column("level", "")), "utf-8"),
    "case and spaces": (renamed(" Audio", "SPEAKER ", "Meaning", "surface", "Split"), "utf-8"),
    "usual names": (renamed("File Name", "Speaker ID", "Text", "Heard", "Set"), "utf-8"),
    "other usual names": (renamed("Path", "Learner", "Transcript", "As heard", "subset"), "utf-8"),
    "Common Voice's names": (renamed("path", "client_id", "sentence", "heard", "split"), "utf-8"),
    "punctuation in the meaning": (text(rows=[[*r[:2], f"I say {r[2][6:]}.", *r[3:]] for r in ROWS]), "utf-8"),
    "commas quoted": (
        text(rows=[[*r[:2], f'"I say, {r[2][6:]}!"', *r[3:]] for r in ROWS]),
        "utf-8",
    ),
    "cells padded": (text(" , "), "utf-8"),
    "backslashes": (text(rows=[[f".\\{r[0]}", *r[1:]] for r in ROWS]), "utf-8"),
    "splits by other names": (
        text().replace("train", "Training").replace("valid", "DEV").replace("test", "eval"),
        "utf-8",
    ),
    "Apple doubles": (text(rows=[*ROWS, *([f"._{r[0]}", *r[1:]] for r in ROWS)]), "utf-8"),
}


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("file", ["own.csv", "own.tsv", "own.txt"])
def test_all_of_these_are_one_table(folder, name, file):
    (folder / "plain.csv").write_text(text())
    expected, _ = prepare(folder / "plain.csv", HEARD)
    written, encoding = VARIANTS[name]
    (folder / file).write_bytes(written.encode(encoding))
    found, info = prepare(folder / file, HEARD)
    assert found == expected
    assert len(found) == 8 and {u.canonical for u in found} == {u.meaning for u in found}
    assert info["notes"][0].startswith("separator ")


@pytest.mark.parametrize(
    "encoding, speaker, language",
    [
        ("cp949", "김서연", "en"),
        ("cp949", "김서연", "ko"),
        ("cp1252", "José Núñez", "en"),
        ("cp1252", "Éloïse", "en"),
    ],
)
def test_old_encodings_are_read_with_a_note(folder, encoding, speaker, language):
    rows = [[r[0], f"{speaker} {i}", *r[2:]] for i, r in enumerate(ROWS)]
    (folder / "own.csv").write_bytes(text(rows=rows).encode(encoding))
    found, info = prepare(folder / "own.csv", Request(language, "heard"))
    assert {u.speaker for u in found} == {f"{speaker} {i}".replace(" ", "_") for i in range(8)}
    assert any(f"read as {encoding}" in note for note in info["notes"])


def test_columns_by_name(folder):
    written = text(header=["x", "who", "Prompt text", "What they said", "split"])
    (folder / "own.csv").write_text(written)
    with pytest.raises(DataError, match="line 1: no column 'audio' among 'split', 'x', .*--columns"):
        prepare(folder / "own.csv", HEARD)
    columns = parse_columns("audio=x, speaker=WHO,meaning=Prompt text,surface=What they said")
    found, _ = prepare(folder / "own.csv", Request("en", "heard", columns=columns))
    (folder / "plain.csv").write_text(text())
    assert found == prepare(folder / "plain.csv", HEARD)[0]
    with pytest.raises(UsageError, match="no column 'transcript'; there are: audio, speaker"):
        prepare(folder / "own.csv", Request("en", "heard", columns={"transcript": "x"}))
    with pytest.raises(DataError, match="line 1: no column 'y'; there are: 'x', 'who'"):
        prepare(folder / "own.csv", Request("en", "heard", columns={"audio": "y"}))
    with pytest.raises(UsageError, match="--columns 'meaning': write it as meaning=Text"):
        parse_columns("meaning")


def test_quotes_in_tabs_are_text_and_said(folder):
    rows = [[*r[:2], f'"{r[2]}' if i == 2 else r[2], *r[3:]] for i, r in enumerate(ROWS)]
    (folder / "own.tsv").write_text(text("\t", rows=rows))
    found, info = prepare(folder / "own.tsv", HEARD)
    assert len(found) == 8 and found[2].meaning == "i say very now"
    assert "quotation marks are read as text: line 4" in info["notes"]


def test_a_line_break_in_a_cell_is_said(folder):
    rows = [[*r[:2], '"i say\nrice now"' if i == 1 else r[2], *r[3:]] for i, r in enumerate(ROWS)]
    (folder / "own.csv").write_text(text(rows=rows))
    found, info = prepare(folder / "own.csv", HEARD)
    assert found[1].meaning == "i say rice now" and len(found) == 8
    assert any(note.startswith("line 3: a value holds a line break") for note in info["notes"])


def test_rows_are_not_joined_by_a_stray_quote(folder):
    rows = [list(row) for row in ROWS]
    rows[2][2], rows[5][2] = '"' + rows[2][2], rows[5][2] + '"'
    (folder / "own.csv").write_text(text(rows=rows))
    with pytest.raises(DataError, match="line 4: a value runs on for .* lines: write it in one, or close"):
        prepare(folder / "own.csv", HEARD)


def test_names_of_speakers_and_files(folder):
    """Spaces, Hangul in either form, signs; two speakers never become one."""
    names = ["Kim Seo-yeon", "김 서연", "a/b", "../up", ".x", "O'Neil", "x:y", "Z (2)"]
    rows = [[f"녹음 {i}.wav", name, *r[2:]] for i, (name, r) in enumerate(zip(names, ROWS, strict=True))]
    for i, row in enumerate(rows):
        (folder / unicodedata.normalize("NFD" if i % 2 else "NFC", row[0])).touch()
    (folder / "own.csv").write_text(text(rows=rows), encoding="utf-8")
    found, _ = prepare(folder / "own.csv", HEARD)
    assert len({u.speaker for u in found}) == 8 and all(u.audio.is_file() for u in found)
    for utterance in found:
        assert not set(utterance.id) & set(" /\\'():") and not utterance.id.startswith(".")
        assert utterance.id.startswith(utterance.speaker + "-")
    rows[1][1] = "Kim_Seo-yeon"
    (folder / "own.csv").write_text(text(rows=rows), encoding="utf-8")
    with pytest.raises(DataError, match="line 3: speakers 'Kim Seo-yeon' and 'Kim_Seo-yeon' get one"):
        prepare(folder / "own.csv", HEARD)


@pytest.mark.parametrize(
    "written, on_disk, found",
    [
        ("a b.wav", ["a b.wav", "a  b.wav"], "a b.wav"),
        ("a  b.wav", ["a b.wav", "a  b.wav"], "a  b.wav"),
        (" a b.wav ", ["a b.wav"], "a b.wav"),
        ("a b.wav", [" a\u00a0b.wav"], " a\u00a0b.wav"),
        ("가 나.wav", [unicodedata.normalize("NFD", "가 나.wav")], unicodedata.normalize("NFD", "가 나.wav")),
        ("a b.wav", ["a  b.wav", "a   b.wav"], None),
        ("a b.wav", ["a b.wav "], None),
    ],
)
def test_a_recording_is_found_if_one_is_meant(tmp_path, written, on_disk, found):
    for name in on_disk:
        (tmp_path / name).touch()
    rows = [[written, "s", "yes", "test"]]
    (tmp_path / "own.csv").write_text(text(header=["audio", "speaker", "meaning", "split"], rows=rows))
    if found:
        assert prepare(tmp_path / "own.csv", HEARD)[0][0].audio == tmp_path / found
    else:
        with pytest.raises(DataError, match="line 2: .*(no such audio file|rename it)"):
            prepare(tmp_path / "own.csv", HEARD)


def test_all_bad_rows_are_listed_at_once(folder):
    rows = [list(row) for row in ROWS]
    rows[0][0] = "none.wav"
    rows[1][1] = rows[1][2] = ""
    rows[3][4] = "trial"
    rows[4].append("more")
    (folder / "own.csv").write_text(text(rows=rows))
    with pytest.raises(DataError, match="own.csv: 5 faults; correct them all") as caught:
        prepare(folder / "own.csv", HEARD)
    lines = [note.split(": ", 1)[0].rpartition(", ")[2] for note in caught.value.__notes__]
    assert lines == ["line 2", "line 3", "line 3", "line 5", "line 6"]
    (folder / "own.csv").write_text(text(rows=[["none.wav", *r[1:]] for r in ROWS * 5]))
    with pytest.raises(DataError, match=r"own.csv: 40 faults \(the first 20 are listed\)") as caught:
        prepare(folder / "own.csv", HEARD)
    assert len(caught.value.__notes__) == 20


REFUSED = {  # name: (bytes, file and line, remedy)
    "a workbook": (b"PK\x03\x04....", "own.csv: ", "save it as 'CSV UTF-8'"),
    "a NUL": (text().encode().replace(b"rice", b"r\0ce"), "own.csv, line 3: ", "save it as"),
    "nothing": (b"", "own.csv, line 1: ", "write a line of column names"),
    "one column": (b"audio\na.wav\n", "own.csv, line 1: ", "separate values by a comma"),
    "no speaker": (b"audio,text\n", "own.csv, line 1: ", "--columns speaker=NAME"),
    "no text": (b"audio,speaker\n", "own.csv: ", "give the meaning, the surface or both"),
    "surface alone": (b"audio,speaker,heard\n", "own.csv: ", "add a column canonical"),
    "two texts": (
        renamed("audio", "speaker", "Text", "Sentence", "split").encode(),
        "own.csv, line 1: ",
        "choose by --columns meaning=NAME",
    ),
    "a misspelt name": (
        renamed("audio", "speaker", "meaning", "surfce", "split").encode(),
        "own.csv, line 1: ",
        "--columns surface='surfce'",
    ),
    "Excel's error": (text().replace("i say very now", "#NAME?").encode(), "line 4: ", "write the text"),
    "damaged text": (text().replace("very", "v\ufffdry").encode(), "line 4: ", "as UTF-8 again"),
    "no words": (text().replace("i say very now", "???").encode(), "line 4: ", "fill it in"),
    "a Windows path": (text().replace("a2.", "C:\\a\\a2.").encode(), "line 4: ", "write / and"),
    "a command": (text().replace("a2.wav", "cat a2.wav |").encode(), "line 4: ", "to an audio file"),
    "other case": (text().replace("a2.wav", "A2.WAV").encode(), "line 4: ", "there is 'a2.wav'"),
    "IPA": (text().replace("sink", "sɪŋk").encode(), "line 2: ", "ARPAbet phones and"),
    "a long name": (text().replace("s2", "s" * 300).encode(), "line 4: ", "give a shorter one"),
    "a long path": (text().replace("a2.wav", "a" * 300).encode(), "line 4: ", "correct the path"),
    "an open quote": (text().replace("s2", '"s2').encode(), "line 4: ", "close it"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_names_file_line_and_remedy(folder, name):
    data, where, remedy = REFUSED[name]
    (folder / "own.csv").write_bytes(data)
    with pytest.raises(DataError) as caught:
        prepare(folder / "own.csv", HEARD)
    lines = [str(caught.value), *getattr(caught.value, "__notes__", ())]
    assert any(where in line and remedy in line and "own.csv" in line for line in lines)
    assert not any("\n" in line for line in lines)


def test_a_directory_is_no_table(folder):
    (folder / "own.csv").mkdir()
    with pytest.raises(DataError, match="own.csv: no such table"):
        prepare(folder / "own.csv", HEARD)


@given(data=st.binary(max_size=300), begin=st.sampled_from(["", "audio,speaker,meaning\n"]))
def test_any_bytes_are_read_or_refused(folder, data, begin):
    (folder / "own.csv").write_bytes(begin.encode() + data)
    with pytest.raises(L2DualError):  # no row can name a recording, or there are too few speakers
        prepare(folder / "own.csv", HEARD)


@given(st.lists(st.text(alphabet=st.sampled_from('ab,;\t"|. \''), max_size=12), min_size=8, max_size=8))
def test_rows_neither_merge_nor_vanish(folder, texts):
    """Whatever signs a text holds, each quoted row is one utterance with its own letters."""
    quoted = ['"' + f"i say {t}".replace('"', '""') + '"' for t in texts]
    rows = [[r[0], r[1], q, r[4]] for r, q in zip(ROWS, quoted, strict=True)]
    (folder / "own.csv").write_text(text(header=["audio", "speaker", "meaning", "split"], rows=rows))
    found, _ = prepare(folder / "own.csv", HEARD)
    assert [u.speaker for u in found] == [r[1] for r in ROWS]
    letters = [[c for c in u.meaning if c in "ab"] for u in found]
    assert letters == [[*"a", *(c for c in t if c in "ab")] for t in texts]


# No silent wrong truth ----------------------------------------------------------------------------


@pytest.fixture
def stage_1(folder, monkeypatch, capsys):
    """Run stage 1 on own.csv: its exit status, what it printed, and its errors."""

    def stage_1(*options, convention="heard"):
        argv = ["prepare", "--corpus", "table", "--language", "en", "--convention", convention]
        argv += ["--db", str(folder / "own.csv"), "--out", str(folder / "data"), *options]
        monkeypatch.setattr(sys, "argv", argv)
        status = 0
        try:
            run(main)
        except SystemExit as end:
            status = end.code
        return status, *capsys.readouterr()

    return stage_1


def test_stage_1_says_the_edits_and_what_the_test_set_lacks(folder, stage_1):
    (folder / "own.csv").write_text(text())
    status, said, errors = stage_1()
    assert status == 0, errors
    assert "test: 4 learner's edits in 42 characters (9.5 per 100)" in said
    assert "speakers or voices with errors in the test set: 3; intervals need 6" in said
    assert "utterances in the test set: 3; intervals need 20" in said
    rows = [[*r[:2], r[2], r[3] if r[4] != "test" else r[2], r[4]] for r in ROWS]
    (folder / "own.csv").write_text(text(rows=rows))
    assert "the test set has no learner's error" in stage_1()[1]


def test_stage_1_lists_bad_rows_and_fails(folder, stage_1):
    (folder / "own.csv").write_text(text(rows=[["none.wav", *r[1:]] for r in ROWS]))
    status, _, errors = stage_1()
    assert status == 1
    assert [line.count("no such audio file") for line in errors.splitlines()] == [1] * 8 + [0]
    assert "8 faults; correct them all" in errors.splitlines()[-1]


def test_test_only_data_are_prepared(folder, stage_1):
    rows = [[*r[:3], "test"] for r in ROWS]
    (folder / "own.csv").write_text(text(header=["audio", "speaker", "meaning", "split"], rows=rows))
    status, said, errors = stage_1()
    assert status == 0, errors
    assert "test set only" in said and "--test_data" in said
    assert sorted(path.name for path in (folder / "data").iterdir()) == ["test"]
    assert DataDir.load(folder / "data/test").info["surface"] == "none"


def test_a_surface_without_meaning_is_prepared(folder, stage_1):
    rows = [[r[0], r[1], "S IH NG K", "TH IH NG K", "test"] for r in ROWS]
    header = ["audio", "speaker", "surface", "canonical", "split"]
    (folder / "own.csv").write_text(text(header=header, rows=rows))
    status, _, errors = stage_1(convention="pronounced")
    assert status == 0, errors
    data = DataDir.load(folder / "data/test")
    assert data.info["meaning"] == "none" and "text.meaning" not in data.tables
    assert set(data["text.surface"].values()) == {"S IH NG K"}


def test_phones_need_what_is_right(folder, stage_1):
    rows = [[*r[:2], "think", "S IH NG K", r[4]] for r in ROWS]
    (folder / "own.csv").write_text(text(rows=rows))
    status, _, errors = stage_1(convention="pronounced")
    assert status == 1 and "add a column canonical" in errors
    status, said, errors = stage_1("--canonical", "dictionary", convention="pronounced")
    assert status == 0, errors
    assert "test: 3 learner's edits in 12 phones (25.0 per 100)" in said


def test_what_is_written_otherwise_is_not_counted_as_errors(folder):
    phones = "DH IH S IH Z N AA T DH AH W EY"
    rows = [[*r[:2], "this is not the way", phones, r[4]] for r in ROWS]
    (folder / "own.csv").write_text(text(rows=rows))
    with pytest.raises(DataError, match="ARPAbet phones, but the convention is `heard`: write --surface"):
        prepare(folder / "own.csv", HEARD)
    rows = [[*r[:2], r[2], "something else again", r[4]] for r in ROWS]
    (folder / "own.csv").write_text(text(rows=rows))
    with pytest.raises(DataError, match="per 100.* can't be right.*not written as the meaning is"):
        prepare(folder / "own.csv", HEARD)


# The preview --------------------------------------------------------------------------------------


def test_preview(folder, capsys):
    (folder / "own.csv").write_bytes(renamed("Path", "Who", "Text", "Heard", "Set").encode("utf-16"))
    assert preview(folder / "own.csv", {"speaker": "Who"})
    said = capsys.readouterr().out
    assert "encoding utf-16; columns: audio is 'Path', speaker is 'Who', meaning is 'Text'" in said
    assert "splits: as given: train 3, valid 2, test 3" in said
    assert said.count("  surface   i say") == 3 and "errors    think > sink" in said
    assert "--columns speaker=Who" in said.splitlines()[-1]


def test_preview_without_a_surface(folder, capsys):
    (folder / "own.csv").write_text(text(header=[*HEADER[:3], "split"], rows=[[*row[:3], row[4]] for row in ROWS]))
    assert preview(folder / "own.csv")
    assert capsys.readouterr().out.splitlines()[-1].endswith("heard --systems so_meaning_attention")


def test_preview_of_a_table_to_test_on(folder, capsys):
    (folder / "own.csv").write_text(text(rows=[[*row[:4], "test"] for row in ROWS]))
    assert preview(folder / "own.csv")
    assert capsys.readouterr().out.splitlines()[-1].endswith("heard --stop_stage 4")


def test_preview_says_what_will_be_refused(folder, capsys):
    rows = [["none.wav", *ROWS[0][1:]], *ROWS[1:]]
    (folder / "own.csv").write_text(text(rows=rows))
    assert not preview(folder / "own.csv")
    said = capsys.readouterr().out
    assert "refused: 1 faults" in said and "line 2: no such audio file" in said
    assert "7 utterances of 7 speakers" in said
    rows = [[*r[:2], "think", "S IH NG K", r[4]] for r in ROWS]
    (folder / "own.csv").write_text(text(rows=rows))
    assert not preview(folder / "own.csv")
    assert "--canonical dictionary" in capsys.readouterr().out.splitlines()[-1]
    assert preview(folder / "own.csv", canonical="dictionary")
    said = capsys.readouterr().out
    assert said.count("errors    th > s") == 3 and "convention pronounced" in said
    assert said.splitlines()[-1].endswith("--surface_convention pronounced --canonical dictionary")


def test_validate_takes_a_table(folder):
    (folder / "own.csv").write_text(text())
    command = ["l2dual", "validate", folder / "own.csv"]
    done = python_m(*command)
    assert done.returncode == 0 and "nothing is refused" in done.stdout and "--base" not in done.stdout, done.stderr
    (folder / "own.csv").write_text(text(rows=ROWS[:1]))
    done = python_m(*command)
    assert done.returncode == 1 and "no utterance has the split test" in done.stdout
