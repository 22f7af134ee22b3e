"""Parts of the speakers that a model does not hear."""

from l2dual.data.datadir import DataDir
from l2dual.inference.folds import part_of
from l2dual.inference.rater_making import some_speakers


def test_copies_of_a_speaker_at_other_speeds_are_in_one_part(tmp_path):
    speakers = [f"{copy}s{number}" for number in range(8) for copy in ("", "sp0.9-", "sp1.1-")]
    tables = {"utt2spk": {f"{speaker}-1": speaker for speaker in speakers}}
    data = DataDir(tmp_path, tables, {"speed_factors": ["0.9", "1.1"]})
    parts = [part_of(data, part, 3) for part in (1, 2, 3)]
    assert sorted(utt for part in parts for utt in part) == sorted(data["utt2spk"])
    people = [{data.people[utt] for utt in part} for part in parts]
    assert [len(some) for some in people] == [3, 3, 2] and len(set.union(*people)) == 8
    half = some_speakers(data, 0.5)
    assert len(half["utt2spk"]) == 12 and len({*half.people.values()}) == 4
