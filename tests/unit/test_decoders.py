import numpy as np
import pytest
import torch

from l2dual.analysis.cka import debiased_cka
from l2dual.analysis.decoders import _pairs, compare_decoders, force
from l2dual.analysis.entanglement import Options
from l2dual.analysis.positions import aligned, matched, shared_vocabulary_sets
from l2dual.errors import DataError, UsageError
from l2dual.load import CHECKPOINT, load_model
from tests.systems import OUTPUTS, TOKENS, WIDTH, make_data, make_run


def test_alignment_of_positions():
    """sink ~ think: the meaning's t and h stand for one letter and none."""
    sink, think = [1, 2, 3, 4], [9, 8, 2, 3, 4]
    steps = aligned(sink, think)
    assert matched(sink, think) == [(1, 2), (2, 3), (3, 4)]
    assert [i for i, _ in steps if i is not None] == [0, 1, 2, 3]
    assert [j for _, j in steps if j is not None] == [0, 1, 2, 3, 4]
    assert matched([5, 6], [7, 8]) == []
    assert aligned([5], [5, 6]) == [(0, 0), (None, 1)]


def test_sets_of_positions():
    same, other = list(range(20)), list(range(20))
    other[3] = 99
    ids = {"surface": {"u": same, "v": other}, "meaning": {"u": same, "v": same}}
    zero, rest = shared_vocabulary_sets(ids)
    assert set(zero.by_utt) == {"u"} and zero.by_utt["u"]["surface"].tolist() == [4, 12]
    assert set(rest.by_utt) == {"v"}  # position 3 does not match, so all later ones shift by one
    assert rest.by_utt["v"]["meaning"].tolist() == [5, 13]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_data(tmp_path_factory.mktemp("data") / "test", per_speaker=6)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    exp = tmp_path_factory.mktemp("exp")
    return {system: make_run(exp / system, system, 1) for system in OUTPUTS}


def test_forced_in_a_batch_as_alone(runs):
    model = load_model(runs["do"])
    states = torch.randn(3, 12, WIDTH, generator=torch.Generator().manual_seed(0))
    lengths, ids = torch.tensor([12, 9, 5]), [[2, 3, 4, 5, 2], [4, 4], [3]]
    with torch.inference_mode():
        batch = force(model, "meaning", states, lengths, ids)
        assert len(batch) == 2 and batch[0].shape == (3, 6, WIDTH)
        for index, one in enumerate(ids):
            length = lengths[index : index + 1]
            alone = force(model, "meaning", states[index, None, : int(length)], length, [one])
            for together, single in zip(batch, alone, strict=True):
                kept = together[index, : len(one) + 1]
                np.testing.assert_allclose(kept, single[0], atol=1e-5)
        # what comes later in the text is not seen
        longer = force(model, "meaning", states[:1], lengths[:1], [[2, 3, 4, 4, 4]])
    np.testing.assert_allclose(longer[1][0, :4], batch[1][0, :4], atol=1e-5)


def test_all_pairs_on_both_sets(data, runs):
    records = compare_decoders(data, list(runs.values()), Options())
    pairs = {(r.system_x, r.output_x, r.system_y, r.output_y) for r in records}
    assert len(records) == 2 * 6 * 2 and len(pairs) == 6  # sets, pairs, layers
    assert {r.positions for r in records} == {"divergence 0", "matched positions"}
    assert {r.n_utts for r in records} == {36}
    for record in records:
        assert record.n_frames >= 4 * WIDTH
        assert record.null is not None and record.floor is not None
        assert (record.system_x, record.seed_x) != (record.system_y, record.seed_y) or record.system_x == "do"


def test_two_dual_systems_are_not_set_beside():
    runs = {f"{system}{seed}": {"system": system} for system in ("so_surface", "do", "arm") for seed in (1, 2)}
    sides = [
        (name, output)
        for name, run in runs.items()
        for output in (OUTPUTS[run["system"]] if run["system"] in OUTPUTS else OUTPUTS["do"])
    ]
    pairs = {
        frozenset((runs[run]["system"], output) for run, output in pair) for pair in _pairs(sides, runs)
    }
    within = {frozenset((system, output) for output in OUTPUTS["do"]) for system in ("do", "arm")}
    single = ("so_surface", "surface")
    across = {frozenset((single, side)) for one in within for side in one}
    assert pairs == within | across


def test_one_decoder_under_two_names(data, runs, tmp_path):
    """A dual system whose decoders are equal, on equal targets: the same representation."""
    twin = make_run(tmp_path / "twin", "do", 1)
    state = torch.load(twin / CHECKPOINT, weights_only=True)
    for name in [name for name in state if name.startswith("decoders.meaning")]:
        state[name] = state[name.replace("meaning", "surface")]
    torch.save(state, twin / CHECKPOINT)
    records = compare_decoders(data, [twin], Options())
    zero = [record for record in records if record.positions == "divergence 0"]
    assert len(zero) == 2
    for record in zero:
        assert record.cka == pytest.approx(1)
    for record in records:
        assert record.null < record.cka


def test_two_vocabularies_are_pooled(data, tmp_path):
    tokens = [*TOKENS[:2], "c", "b", "a", *TOKENS[5:]]
    run = make_run(tmp_path / "do", "do", 1, tokens=tokens)
    records = compare_decoders(data, [run], Options())
    assert {r.positions for r in records} == {"pooled utterances"}
    assert {r.n_frames for r in records} == {72}
    meaning = make_run(tmp_path / "so", "so_meaning", 1)
    with pytest.raises(UsageError, match="another vocabulary of meaning"):
        compare_decoders(data, [run, meaning], Options())


def test_too_little_or_broken(tmp_path, data, runs):
    few = make_data(tmp_path / "few", n_speakers=1, per_speaker=2)
    for record in compare_decoders(few, [runs["do"]], Options()):
        assert record.cka is None and "needs 32" in record.reason
    assert compare_decoders(data, [runs["so_surface"]], Options()) == []
    broken = make_run(tmp_path / "broken", "so_meaning", 1)
    (broken / CHECKPOINT).unlink()
    with pytest.raises(DataError, match=f"broken/{CHECKPOINT}"):
        compare_decoders(few, [runs["so_surface"], broken], Options())


def test_sample_is_the_forced_positions(data, runs):
    """A record's value, computed anew from whole utterances."""
    from l2dual.analysis.decoders import ForcedDecoders, token_ids
    from l2dual.datadir import DataDir
    from l2dual.speech import batches

    directory, model = DataDir.load(data), load_model(runs["do"])
    ids, shared = token_ids(directory, {runs["do"]: {"outputs": OUTPUTS["do"]}})
    sets = shared_vocabulary_sets(ids)
    samples = ForcedDecoders(directory, ids, sets, Options(batch_size=1))(model, runs["do"])
    sides = {"surface": [], "meaning": []}
    with torch.inference_mode():
        for (utt,), speech, lengths in batches(directory, 1):
            if utt in sets[1].by_utt:
                states, frames = model.encode(speech, lengths)
                for output, kept in sides.items():
                    layer = force(model, output, states, frames, [ids[output][utt]])[1][0]
                    kept.append(layer[sets[1].by_utt[utt][output]].numpy())
    expected = debiased_cka(*(np.concatenate(kept) for kept in sides.values()))
    both = (samples["matched positions", output].layers[1] for output in sides)
    assert shared and debiased_cka(*both) == pytest.approx(expected, abs=1e-6)
