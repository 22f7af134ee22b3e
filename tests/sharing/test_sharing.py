"""What each mechanism shares, and that nothing else changes."""

import copy

import pytest
import torch

from l2dual.errors import UsageError
from l2dual.models.search import DualDecoder, SearchOptions
from l2dual.sharing import MECHANISMS
from tests.conftest import select

DEPTH = 2  # blocks of the tiny encoder
HYBRID = {"ctc": 0.3, "attention": 0.7}
BOTH = {"model_conf": {"loss_weights": {"surface": HYBRID, "meaning": HYBRID}}}
ONE = {
    "surface": {"model_conf": {"loss_weights": {"surface": HYBRID, "meaning": {"ctc": 0.0, "attention": 0.0}}}},
    "meaning": {"model_conf": {"loss_weights": {"meaning": HYBRID, "surface": {"ctc": 0.0, "attention": 0.0}}}},
}
SHARINGS = {
    "branch 0": {"branch": {"depth": 0}},
    "branch 1": {"branch": {"depth": 1}},
    "pull": {"pull": {"meaning": 0.3}},
    "surface first": {"surface_first": {"depth": 1}},
    "surface first, attached": {"surface_first": {"depth": 1, "detached": False}},
    "meaning first": {"meaning_first": {"depth": 1}},
}


@pytest.fixture
def make(build_model):
    def make(sharing=None, seed=1, **changes):
        return build_model("do", seed, **(BOTH | changes), sharing=sharing or {})

    return make


@pytest.fixture
def single(build_model):
    return lambda output: build_model("do", 1, **ONE[output])


def steps(model, batch, count=5):
    """The loss of each of some steps of Adam, without clipping."""
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    losses = []
    for _ in range(count):
        losses.append(train_step(model, optimizer, batch))
    return losses


def train_step(model, optimizer, batch):
    optimizer.zero_grad()
    loss, stats, _ = model(**batch)
    loss.backward()
    optimizer.step()
    return stats


def same(one, other, tolerance=1e-5):
    return all(torch.allclose(a, b, atol=tolerance, rtol=0) for a, b in zip(one, other, strict=True))


def test_a_branch_at_the_encoders_depth_is_todays_system_to_the_bit(make, batch):
    shared, branch = make(), make({"branch": {"depth": DEPTH}})
    steps(shared, batch), steps(branch, batch)
    assert shared.state_dict().keys() == branch.state_dict().keys()
    assert all(torch.equal(branch.state_dict()[name], value) for name, value in shared.state_dict().items())


@pytest.mark.parametrize("output", ["surface", "meaning"])
def test_two_encoders_are_two_single_output_systems(make, single, batch, output):
    apart, alone = make({"branch": {"depth": 0}}), single(output)
    steps(apart, batch), steps(alone, batch)
    assert same(alone.encoder.parameters(), apart.encoder.encoders[output].parameters())
    assert same(alone.decoders[output].parameters(), apart.decoders[output].parameters())


@pytest.mark.parametrize("output, other", [("surface", "meaning"), ("meaning", "surface")])
def test_without_its_pull_the_other_output_is_the_single_output_system(make, single, batch, output, other):
    pull, alone = make({"pull": {other: 0}}), single(output)
    steps(pull, batch), steps(alone, batch)
    assert same(alone.encoder.parameters(), pull.encoder.encoder.parameters())
    moved = zip(make().decoders[other].parameters(), pull.decoders[other].parameters(), strict=True)
    assert any(not torch.equal(*pair) for pair in moved)  # it learns all the same


def test_a_full_pull_is_todays_system(make, batch):
    shared, pull = make(), make({"pull": {}})
    steps(shared, batch), steps(pull, batch)
    assert same(shared.parameters(), pull.parameters(), 0)


@pytest.mark.parametrize("first", ["surface", "meaning"])
@pytest.mark.parametrize("depth", [1, DEPTH])
def test_the_first_output_is_the_single_output_system(make, single, batch, first, depth):
    ordered, alone = make({f"{first}_first": {"depth": depth}}), single(first)
    found, expected = steps(ordered, batch), steps(alone, batch)
    for one, other in zip(found, expected, strict=True):
        for name in (f"loss_ctc_{first}", f"loss_att_{first}"):
            assert torch.allclose(one[name], other[name], atol=1e-4)


def gradients(model, batch, output):
    """Names of the parameters that the loss of one output reaches."""
    stats, losses = {}, {}
    encoded = model.encode(batch["speech"], batch["speech_lengths"])
    tokens, lengths = model._target(output, batch, None)
    losses = model._output_loss(output, encoded.states[output], encoded.lengths, tokens, lengths, None, stats)
    model.zero_grad()
    losses.backward()
    return {name for name, p in model.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}


def test_what_a_loss_reaches(make, batch):
    branch = make({"branch": {"depth": 1}})
    for output, other in (("surface", "meaning"), ("meaning", "surface")):
        reached = gradients(branch, batch, output)
        assert any(name.startswith("encoder.trunk") for name in reached)
        assert any(name.startswith(f"encoder.private.{output}") for name in reached)
        assert not any(f".{other}." in name for name in reached)
    detached = gradients(make({"surface_first": {"depth": 1}}), batch, "meaning")
    assert not any("trunk" in name or ".surface." in name for name in detached)
    assert "encoder.told.weight" in detached
    attached = gradients(make({"surface_first": {"depth": 1, "detached": False}}), batch, "meaning")
    assert "ctcs.surface.ctc_lo.weight" in attached and any("trunk" in name for name in attached)


@pytest.mark.parametrize("pull", [0.3, 0.7])
def test_the_gradient_is_as_much_as_the_pull(make, batch, pull):
    full, weak = make(), make({"pull": {"meaning": pull}})
    gradients(full, batch, "meaning"), gradients(weak, batch, "meaning")
    for whole, part in zip(full.encoder.parameters(), weak.encoder.encoder.parameters(), strict=True):
        assert torch.allclose(whole.grad * pull, part.grad, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("sharing", SHARINGS.values(), ids=SHARINGS)
def test_padding_changes_nothing_and_a_batch_decodes_as_its_utterances(make, batch, sharing):
    model = make(sharing).eval()
    decode = DualDecoder(model, SearchOptions(beam_size=2, maxlenratio=0.5))
    with torch.no_grad():
        whole = model.encode(batch["speech"], batch["speech_lengths"])
        found = decode(batch["speech"], batch["speech_lengths"])
        for index in range(3):
            one = select(batch, index)
            alone = model.encode(one["speech"], one["speech_lengths"])
            length = int(alone.lengths)
            assert length == int(whole.lengths[index])
            for output in model.outputs:
                assert torch.allclose(
                    whole.states[output][index, :length], alone.states[output][0], atol=1e-4
                )
                assert found[output][index] == decode(one["speech"], one["speech_lengths"])[output][0]


@pytest.mark.parametrize("sharing", SHARINGS.values(), ids=SHARINGS)
def test_every_parameter_is_trained_and_a_copy_gives_the_same(make, batch, sharing):
    model = make(sharing)
    loss, _, _ = model(**batch)
    loss.backward()
    assert not [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    other = make(sharing, seed=2)
    other.load_state_dict(copy.deepcopy(model.state_dict()))
    assert torch.equal(model.eval()(**batch)[0], other.eval()(**batch)[0])
    for output in model.outputs:
        assert len(model.blocks(output)) == DEPTH


@pytest.mark.parametrize("sharing", SHARINGS.values(), ids=SHARINGS)
def test_a_training_goes_on_from_its_checkpoint(make, batch, sharing):
    whole, resumed = make(sharing), make(sharing, seed=2)
    optimizer = torch.optim.Adam(whole.parameters(), 1e-3)
    saved = {}
    for step in range(4):
        if step == 2:
            saved = copy.deepcopy({"model": whole.state_dict(), "optimizer": optimizer.state_dict()})
        train_step(whole, optimizer, batch)
    resumed.load_state_dict(saved["model"])
    optimizer = torch.optim.Adam(resumed.parameters(), 1e-3)
    optimizer.load_state_dict(saved["optimizer"])
    for _ in range(2):
        train_step(resumed, optimizer, batch)
    assert same(whole.parameters(), resumed.parameters(), 0)


def test_the_outputs_start_alike(make):
    model = make({"branch": {"depth": 1}})
    assert same(*(model.encoder.private[output].parameters() for output in model.outputs), 0)


@pytest.mark.parametrize(
    "sharing, fault",
    [
        ({"branches": {"depth": 1}}, "unknown mechanism 'branches': use branch, meaning_first, pull"),
        ({"branch": {"depth": 3}}, "depth 3: the encoder has 2 blocks: give 0 to 2"),
        ({"branch": {"depth": -1}}, "depth -1"),
        ({"branch": {"depth": 1.5}}, "depth 1.5"),
        ({"branch": {"dept": 1}}, "unknown option 'dept': use depth"),
        ({"branch": {}}, "give depth"),
        ({"branch": {"depth": 1}, "pull": {"meaning": 0}}, "branch and pull exclude each other"),
        ({"pull": {"meaning": 1.1}}, "meaning 1.1: give a number from 0 to 1"),
        ({"pull": {"meaning": "half"}}, "meaning half"),
        ({"surface_first": {"depth": 0}}, "give 1 to 2"),
        ({"surface_first": {"depth": 1, "detached": 2}}, "give true or false"),
    ],
)
def test_bad_settings_are_named(make, sharing, fault):
    with pytest.raises(UsageError, match=fault):
        make(sharing)


def test_a_system_that_can_not_share(build_model):
    with pytest.raises(UsageError, match="one output, surface"):
        build_model("so_surface", sharing={"branch": {"depth": 1}})
    weights = {"surface": {"ctc": 0.0, "attention": 1.0}, "meaning": HYBRID}
    with pytest.raises(UsageError, match="no CTC on the surface"):
        build_model("do", model_conf={"loss_weights": weights}, sharing={"surface_first": {"depth": 1}})


@pytest.mark.parametrize("name", MECHANISMS)
def test_every_mechanism_has_its_paragraph_and_a_test(name, root):
    assert f"\n## {name}\n" in (root / "docs/sharing.md").read_text(encoding="utf-8")
    assert name in {mechanism for sharing in SHARINGS.values() for mechanism in sharing}
