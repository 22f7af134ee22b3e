"""The directories of tests/data/faults.py."""

import unicodedata

import pytest

from l2dual.data.validate import Options
from tests.data.faults import TEXTS, make_directory


@pytest.fixture
def good(tmp_path):
    return make_directory(tmp_path / "train")


@pytest.fixture
def options(tmp_path):
    """Token lists as stage 5 writes them for jamo."""
    letters = sorted(set(unicodedata.normalize("NFD", "".join(TEXTS) + "가a")) - {" "})
    file = tmp_path / "tokens.txt"
    file.write_text("\n".join(["<blank>", "<unk>", "<space>", *letters, "<sos/eos>"]) + "\n")
    return Options(tokens={"surface": file, "meaning": file}, encoder=25.0)
