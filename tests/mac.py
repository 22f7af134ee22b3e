"""A corpus as it comes from a Mac: names in parts, and the files that macOS leaves."""

import unicodedata

APPLE = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        " + bytes(range(256))


def from_a_mac(folder):
    """Rename all files and folders to NFD; put `._NAME` beside each, and `.DS_Store` in each."""
    for path in sorted(folder.rglob("*"), reverse=True):  # what lies deepest first
        if path.is_dir():
            (path / ".DS_Store").write_bytes(APPLE)
        path.with_name(f"._{path.name}").write_bytes(APPLE)
        path.rename(path.with_name(unicodedata.normalize("NFD", path.name)))
    (folder / "__MACOSX").mkdir()
    return folder


def without_audio(utterances):
    """What an utterance is but for the path, which is the disk's own."""
    return [{**vars(utterance), "audio": None} for utterance in utterances]


def check_a_copy_from_a_mac(prepare, folder, request):
    """A corpus reads the same after ``from_a_mac``, but for the paths of its recordings."""
    utterances, info = prepare(folder, request)
    from_a_mac(folder)
    same, facts = prepare(folder, request)
    assert without_audio(same) == without_audio(utterances) and facts == info
    assert all(utterance.audio.is_file() for utterance in same)
