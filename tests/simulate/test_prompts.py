"""The user's own prompts."""

import pytest

from l2dual.errors import DataError
from l2dual.simulate.prompts import clean, read_prompts


def write(tmp_path, text: str, encoding="utf-8"):
    path = tmp_path / "prompts.txt"
    path.write_bytes(text.encode(encoding))
    return path


def test_sentences_are_cleaned_and_put_in_an_order_by_the_seed(tmp_path):
    path = write(tmp_path, "\ufeffIs it  “Tom’s”?\r\nYes, it is.\nNo!\nwhy not (now)\n")
    found = read_prompts(path, "en", 1)
    assert sorted(found) == ["is it tom's", "no", "why not now", "yes it is"]
    assert found == read_prompts(path, "en", 1)
    assert any(found != read_prompts(path, "en", seed) for seed in range(2, 6))


def test_hangul_is_composed(tmp_path):
    (found,) = read_prompts(write(tmp_path, "\u1112\u1161\u11ab\u1100\u1173\u11af 좋아요."), "ko", 1)
    assert found == clean("한글 좋아요") == "한글 좋아요"


@pytest.mark.parametrize(
    "language, text, complaint",
    [
        ("en", "one\n\ntwo\n", "line 2: empty; remove it"),
        ("en", "one\ntwo\nOne.\n", "line 3: the same sentence as line 1; remove it"),
        ("en", "one\nroom 42\n", "line 2: '4' is not one of the letters"),
        ("en", "café", "line 1: 'é' is not one of the letters"),
        ("ko", "가요\nSNS 해요\n12시\n", "line 2: 's' is not .* \\(and 1 more lines\\)"),
        ("ko", "안 돼ㅠㅠ", "line 1: 'ㅠ' is not one of the letters \\(Hangul\\); write it out"),
    ],
)
def test_a_line_that_cannot_be_said_is_named(tmp_path, language, text, complaint):
    path = write(tmp_path, text)
    with pytest.raises(DataError, match=complaint) as caught:
        read_prompts(path, language, 1)
    assert str(caught.value).startswith(f"{path}: ")


def test_a_file_that_is_missing_or_not_utf8_is_named(tmp_path):
    with pytest.raises(DataError, match="nowhere.txt is missing"):
        read_prompts(tmp_path / "nowhere.txt", "ko", 1)
    with pytest.raises(DataError, match="byte 0 is not UTF-8"):
        read_prompts(write(tmp_path, "한글", "cp949"), "ko", 1)
