import re
from dataclasses import replace

import pytest
import soundfile

from l2dual.corpora import Request
from l2dual.corpora.table import prepare
from l2dual.data.datadir import DataDir, read_table, write_datadir
from l2dual.errors import DataError

HEARD = Request(language="en", convention="heard")
PHONES = Request(language="en", convention="pronounced")
BY_DICTIONARY = replace(PHONES, canonical="dictionary")
KOREAN = Request(language="ko", convention="pronounced", canonical="dictionary")
HEADER = ["audio", "speaker", "meaning", "surface"]
ROWS = [["a.wav", f"s{i}", f"i think {i}", f"i sink {i}"] for i in range(6)]


@pytest.fixture
def write(tmp_path):
    """Write a table and the audio files that it may name."""

    def write(header=HEADER, rows=ROWS, name="own.csv", encoding="utf-8", newline="\n"):
        (tmp_path / "two words.wav").touch()
        (tmp_path / "a.wav").touch()
        mark = "\t" if name.endswith("tsv") else ","
        path = tmp_path / name
        text = newline.join(mark.join(row) for row in [header, *rows]) + newline
        path.write_bytes(text.encode(encoding))
        return path

    return write


def changed(line, column, value):
    """The rows with one value changed."""
    rows = [list(row) for row in ROWS]
    rows[line][column] = value
    return rows


def test_the_documented_example(root, tmp_path):
    table = root / "docs" / "corpora" / "examples" / "learners.csv"
    utterances, info = prepare(table, HEARD)
    assert len(utterances) == 6 and info["splits"] == {"method": "as given"}
    first = utterances[0]
    assert (first.id, first.split, first.l1) == ("mina-0000050", "train", "korean")
    assert (first.surface, first.meaning, first.canonical) == (
        "i sink so",
        "i think so",
        "i think so",
    )
    assert first.segment == (0.05, 1.33) and first.facts == {"level": "B1", "gender": "f"}
    for utterance in utterances:
        assert utterance.segment[1] <= soundfile.info(utterance.audio).duration
    for split in ("train", "valid", "test"):
        some = [u for u in utterances if u.split == split]
        write_datadir(tmp_path / split, some, info)
        assert len(DataDir.load(tmp_path / split)["utt2segment"]) == 2
    text, segments = (read_table(tmp_path / "train" / name) for name in ("text", "segments"))
    assert text == read_table(tmp_path / "train/text.meaning")
    assert segments["mina-0000050"] == "mina-0000050 0.050 1.330"


@pytest.mark.slow
@pytest.mark.parametrize("package", ["lhotse", "datasets"])
def test_other_toolkits_read_a_directory(root, tmp_path, monkeypatch, package):
    """The lines that the page gives, run on the example."""
    pytest.importorskip(package)
    table = root / "docs" / "corpora" / "examples" / "learners.csv"
    utterances, info = prepare(table, HEARD)
    some = [u for u in utterances if u.split == "train"]
    write_datadir(tmp_path / "data/TAG/train", some, info)
    page = (root / "docs/corpora/table.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    found = {}
    monkeypatch.chdir(tmp_path)
    exec(next(block for block in blocks if f"from {package}" in block), found)
    if package == "lhotse":
        rows = [(s.text, s.surface, s.start, round(s.end, 2)) for s in found["supervisions"]]
        assert len(found["recordings"]) == 2
    else:
        rows = [
            (row["text.meaning"], row["text.surface"], *map(float, row["utt2segment"].split()))
            for row in found["dataset"]
        ]
    assert rows == [
        ("i think so", "i sink so", 0.05, 1.33),
        ("very good", "bery good", 1.43, 2.34),
    ]


@pytest.mark.parametrize(
    "options",
    [
        {"encoding": "utf-8-sig"},
        {"newline": "\r\n"},
        {"name": "own.tsv"},
        {"header": [" Audio", "SPEAKER ", "meaning", "surface"]},
        {"rows": [[cell and f'"{cell}"' for cell in row] for row in ROWS]},
        {"rows": [*ROWS, ["", "", "", ""]]},
    ],
)
def test_ways_to_write_it(write, options):
    expected = prepare(write(), HEARD)[0]
    assert prepare(write(**options), HEARD)[0] == expected
    assert [u.id for u in expected] == sorted(f"s{i}-a" for i in range(6))


def test_without_splits_they_are_assigned(write):
    utterances, info = prepare(write(), HEARD)
    assert {u.split for u in utterances} == {"train", "valid", "test"}
    assert info["dropped"] == {} and info["overlap"]["train-test"]["prompts"] == 0


def test_without_surface(write):
    rows = [row[:3] for row in ROWS]
    for request in (HEARD, PHONES):
        utterances, _ = prepare(write(HEADER[:3], rows), request)
        assert {(u.surface, u.canonical) for u in utterances} == {(None, None)}


def test_canonical_under_pronounced(write):
    rows = [["a.wav", f"s{i}", "think" if i else "sing", "S IH1 ng k"] for i in range(6)]
    rows = [[*row, split] for row, split in zip(rows, 2 * ["train", "valid", "test"], strict=True)]
    utterances, _ = prepare(write([*HEADER, "split"], rows), BY_DICTIONARY)
    assert [(u.surface, u.canonical) for u in utterances[:2]] == [
        ("S IH NG K", "S IH NG"),
        ("S IH NG K", "TH IH NG K"),
    ]
    with pytest.raises(DataError, match="nothing says what is right: add a column canonical.*or write"):
        prepare(write([*HEADER, "split"], rows), PHONES)
    rows = [[*row, "TH <err>"] for row in rows]
    utterances, _ = prepare(write([*HEADER, "split", "canonical"], rows), PHONES)
    assert {u.canonical for u in utterances} == {"TH <err>"}


def test_korean_pronunciation(write):
    rows = [["a.wav", f"s{i}", f"같이 가{'요' * i}", f"가티 가{'요' * i}"] for i in range(6)]
    assert prepare(write(rows=rows), KOREAN)[0][0].canonical == "가치 가"


@pytest.mark.parametrize(
    "request_, meaning, said",
    [
        (KOREAN, "맛있는 밥", ["마신는 밥", "마딘는 밥"]),
        (KOREAN, "12:30! UN에서", ["열뚜시 삼십뿐 유에네서"]),  # pronounced as it is written
        (KOREAN, "우리의 시계", ["우리의 시계", "우리에 시게"]),
        (BY_DICTIONARY, "the idea", ["DH AH0 AY0 D IY1 AH0", "DH IY AY D IY AH"]),
        (BY_DICTIONARY, "either", ["IY DH ER", "ay dh er"]),
    ],
)
def test_every_licensed_form_is_right(write, request_, meaning, said):
    rows = [["a.wav", f"s{i}", meaning, said[i % len(said)]] for i in range(6)]
    rows = [[*row, split] for row, split in zip(rows, 2 * ["train", "valid", "test"], strict=True)]
    utterances, _ = prepare(write([*HEADER, "split"], rows), request_)
    assert [u.canonical for u in utterances] == [u.surface for u in utterances]


def test_ids_and_names_with_spaces(write):
    ids = ["x", *(f"s{i}-x" for i in range(1, 6))]
    rows = [["two words.wav", f"s{i}", f"yes {i}", "yes", name] for i, name in enumerate(ids)]
    assert [u.id for u in prepare(write([*HEADER, "id"], rows), HEARD)[0]][:2] == ["s0-x", "s1-x"]
    rows = [row[:4] for row in rows]
    assert prepare(write(rows=rows), HEARD)[0][0].id == "s0-two_words"


def test_dev_is_valid_and_valid_may_be_missing(write):
    for splits in (["train", "dev", "test"], ["train", "train", "test"]):
        rows = [[*row, split] for row, split in zip(ROWS, 2 * splits, strict=True)]
        utterances, info = prepare(write([*HEADER, "split"], rows), HEARD)
        assert {u.split for u in utterances} == {"train", "valid", "test"}
        assert info["splits"]["method"].startswith("as given")


@pytest.mark.parametrize(
    "header, rows, message",
    [
        (HEADER[1:], [], "own.csv, line 1: no column 'audio' among 'speaker'.*; add it"),
        ([*HEADER[:3], "surfce"], ROWS, "own.csv, line 1: unknown column 'surfce'; is it 'surface'"),
        ([*HEADER[:3], "meaning"], ROWS, "own.csv, line 1: columns 'meaning' and 'meaning' may both"),
        (HEADER, changed(2, 0, "b.wav"), "own.csv, line 4: no such audio file: "),
        (HEADER, changed(2, 0, "?? a.wav"), "line 4: no such audio file: .*save it as 'CSV UTF-8'"),
        (HEADER, changed(2, 1, ""), "own.csv, line 4: speaker is empty; fill it in"),
        (HEADER, changed(2, 2, " "), "own.csv, line 4: meaning is empty; fill it in"),
        (HEADER, changed(2, 3, ""), "own.csv, line 4: surface is empty; fill it in"),
        (HEADER, changed(3, 3, "yes, sir"), "own.csv, line 5: 5 values for 4 columns, with 'sir'; quote"),
        ([*HEADER, ""], [[*r, "x" * (r is ROWS[3])] for r in ROWS], "line 5: a nameless column, with 'x'; quote"),
        ([*HEADER[:3], "", "surface"], [[*r[:3], "", *r[3:], "x"] for r in ROWS], "line 2: 6 values for 5 columns"),
        (HEADER, changed(3, 2, "it costs $5"), "own.csv, line 5: meaning has '.', which is said as a word"),
        (HEADER, changed(3, 3, "yes <noise>"), "own.csv, line 5: surface has '<noise>', a tag and no word"),
        (HEADER, changed(3, 3, '"yes" sir'), "own.csv, line 5: .*; correct the quotation marks"),
        (HEADER, changed(3, 1, "s2"), "own.csv, line 5: id s2-a is that of .*own.csv, line 4 too; give"),
        ([*HEADER[:3], "canonical"], ROWS, "own.csv: canonical without surface"),
        ([*HEADER[:3], "split"], changed(0, 3, "tran")[:1], "line 2: split 'tran': write train"),
        ([*HEADER[:3], "start"], changed(0, 3, "x")[:1], "line 2: start 'x' and end ''"),
    ],
)
def test_bad_tables(write, header, rows, message):
    with pytest.raises(DataError, match=message) as caught:
        prepare(write(header, rows), HEARD)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("start, end", [("0.5", ""), ("2", "1"), ("-1", "1"), ("nan", "1")])
def test_bad_parts(write, start, end):
    rows = [[*row, start, end] for row in ROWS[:1]]
    with pytest.raises(DataError, match="line 2: start .*write two numbers of seconds"):
        prepare(write([*HEADER, "start", "end"], rows), HEARD)


def test_words_are_no_phones(write):
    with pytest.raises(DataError, match="line 2: 'i' is no ARPAbet phone; .*`heard`"):
        prepare(write(), BY_DICTIONARY)


def test_no_table(write, tmp_path):
    with pytest.raises(DataError, match="none.csv: no such table"):
        prepare(tmp_path / "none.csv", HEARD)
    with pytest.raises(DataError, match="own.csv: 0 speaker"):
        prepare(write(rows=[]), replace(HEARD, seed=2))
