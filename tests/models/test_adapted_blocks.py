"""Whisper's last blocks with adapters, under both outputs, on small random weights in the published format."""

import shutil

import numpy as np
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from l2dual import DualSpeech2Text
from l2dual.errors import DataError, UsageError
from l2dual.files import read_yaml
from l2dual.inference.packing import pack
from l2dual.models.pretrained import PretrainedFrontend, Upstream
from l2dual.training.load import _fingerprint, load_model
from tests.conftest import select
from tests.models.conftest import WIDTH
from tests.recordings import noise
from tests.systems import RATE, make_run

FILE = "model.safetensors"
SYSTEMS = ("so_surface_ctconly", "so_meaning_attention", "do_split")


@pytest.fixture
def adapted(model):
    """A model whose adapters change something."""

    def build(system="do_split", **changes):
        built = model(system, **{"layers": (1,), "rank": 2} | changes)
        torch.manual_seed(3)
        for name, parameter in built.named_parameters():
            if name.endswith((".up", ".down")):
                torch.nn.init.normal_(parameter, std=0.2)
        return built.eval()

    return build


def states_of(model, speech, lengths):
    with torch.no_grad():
        encoded = model.encode(speech, lengths)
    return {output: encoded.of(output) for output in model.outputs}


def assert_same(found, expected, atol, rtol=0.0):
    assert set(found) == set(expected)
    for output, (states, lengths) in expected.items():
        torch.testing.assert_close(found[output][0], states, atol=atol, rtol=rtol)
        assert torch.equal(found[output][1], lengths)


@pytest.mark.parametrize("rank", [0, 2])
@pytest.mark.parametrize("layers", [(0,), (1,), (1, 2)])
def test_before_training_it_is_the_frozen_model(model, batch, layers, rank):
    every = tuple(range(layers[0], 4))
    frozen, with_blocks = model(layers=every).eval(), model(layers=layers, rank=rank).eval()
    for index in range(3):
        one = select(batch, index)
        given = one["speech"], one["speech_lengths"]
        assert_same(states_of(with_blocks, *given), states_of(frozen, *given), atol=1e-6, rtol=1e-6)


def test_the_adapters_change_what_both_outputs_read(model, adapted, batch):
    given = batch["speech"], batch["speech_lengths"]
    frozen, changed = states_of(model(layers=(1, 2, 3)).eval(), *given), states_of(adapted(), *given)
    assert all((frozen[output][0] - changed[output][0]).abs().max() > 1e-3 for output in frozen)


@pytest.mark.parametrize("system", SYSTEMS)
def test_gradients_reach_every_adapter_and_nothing_frozen(adapted, spoken, system):
    model = adapted(system).train()
    frozen = {name: value.clone() for name, value in model.encoder.adapted.named_buffers()}
    optimizer = torch.optim.SGD(model.parameters(), 1e-2)
    model(**spoken)[0].backward()
    trained = dict(model.encoder.adapted.named_parameters())
    assert len(trained) == 2 * 2 * 6  # up and down, of two blocks, of six matrices
    assert {name.rsplit(".", 1)[1] for name in trained} == {"up", "down"}
    assert all(parameter.grad.abs().max() > 0 for parameter in trained.values())
    optimizer.step()
    assert len(frozen) > 24
    assert all(torch.equal(value, frozen[name]) for name, value in model.encoder.adapted.named_buffers())


def test_both_outputs_train_what_they_share(adapted, spoken):
    """So there are cosines of their gradients, by block."""
    model = adapted().train()
    model.gradient_cosines.interval = 1
    _, stats, _ = model(**spoken)
    cosines = {name: float(value) for name, value in stats.items() if name.startswith("gradient_cosine_")}
    assert set(cosines) == {"gradient_cosine_block1", "gradient_cosine_block2"}
    assert all(0 < abs(value) < 1 for value in cosines.values())
    assert model.shared() is model.encoder.adapted
    assert model.blocks("meaning") == model.blocks("surface")[:2] and len(model.blocks("surface")) == 3


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_batch_gives_what_single_utterances_give(adapted, batch, system):
    model = adapted(system)
    together = states_of(model, batch["speech"], batch["speech_lengths"])
    for index in range(3):
        one = select(batch, index)
        for output, (states, [count]) in states_of(model, one["speech"], one["speech_lengths"]).items():
            assert together[output][1][index] == count
            torch.testing.assert_close(together[output][0][index, :count], states[0], atol=5e-5, rtol=1e-5)


def test_cached_states_give_what_the_audio_gives(adapted, batch):
    """The cache holds the lower layers alone; what padding holds changes nothing."""
    model = adapted(layers=(0, 1))
    given = batch["speech"], batch["speech_lengths"]
    cached, frames = PretrainedFrontend(model.frontend.path, layers=[0, 1]).frozen_states(*given)
    assert cached.shape == (3, 50, 2 * WIDTH)
    assert_same(states_of(model, cached, frames), states_of(model, *given), atol=0)
    inside = torch.arange(50) < frames[:, None]
    spoilt = torch.where(inside[..., None], cached, 9.0)
    for output, (states, lengths) in states_of(model, spoilt, frames).items():
        expected = states_of(model, cached, frames)[output][0]
        for number, length in enumerate(lengths):
            torch.testing.assert_close(states[number, :length], expected[number, :length], atol=1e-5, rtol=0)


def test_lower_layers_are_had_without_the_upper_blocks(weights, batch):
    upstream = Upstream(str(weights)).eval()
    given = batch["speech"], batch["speech_lengths"]
    with torch.no_grad():
        every, _ = upstream(*given)
        del upstream.encoder.layers[2], upstream.encoder.layer_norm
        some, _ = upstream(*given, 1)
    assert len(some) == 2 and all(torch.equal(one, other) for one, other in zip(some, every, strict=False))


@pytest.mark.slow
def test_more_than_thirty_seconds_pass_in_whispers_pieces(model):
    speech = torch.randn(2, 16000 * 61, generator=torch.Generator().manual_seed(3)) / 10
    given = speech, torch.tensor([16000 * 61, 32000])
    frozen, with_blocks = model(layers=(1, 2, 3)).eval(), model(layers=(1,), rank=0).eval()
    found, expected = (states_of(one, *given)["meaning"] for one in (with_blocks, frozen))
    assert torch.equal(found[1], expected[1]) and found[1].tolist() == [3050, 100]
    for number, length in enumerate(found[1]):
        torch.testing.assert_close(found[0][number, :length], expected[0][number, :length], atol=2e-5, rtol=1e-5)


def test_a_checkpoint_holds_adapters_and_heads_alone(adapted, model, spoken):
    one, other = adapted(), model(layers=(1,), rank=2).eval()
    state = one.state_dict()
    kinds = ("encoder.adapted.layers.", "encoder.heads.", "ctcs.", "decoders.meaning.decoders.")
    assert all(name.startswith(kinds) for name in state)
    of_whisper = {name.rsplit(".", 1)[1] for name in state if name.startswith((kinds[0], kinds[3]))}
    assert of_whisper == {"up", "down"}
    with torch.no_grad():
        expected = one(**spoken)[0]
        assert not torch.equal(other(**spoken)[0], expected)
        other.load_state_dict(state)
        assert torch.equal(other(**spoken)[0], expected)


@pytest.fixture
def run(tmp_path, weights, adapted, vocabulary):
    """A run of such a model, as stage 8 leaves it."""
    exp = make_run(tmp_path / "do_split.seed1", "do", 1)
    config, model = read_yaml(exp / "config.yaml"), adapted()
    head = {"stack": 2, "output_size": 8, "attention_heads": 2, "linear_units": 8, "num_blocks": 1}
    config |= {"frontend": "pretrained", "frontend_conf": {"path": str(weights), "layers": [1], "mix": False}}
    config |= {"encoder": "layered", "encoder_conf": {"layers": 1, "heads": {"surface": head}, "rank": 2}}
    config |= {"decoder": "whisper", "decoder_conf": {"path": str(weights), "rank": 2}}
    config |= {"surface_token_list": model.token_lists["surface"], "meaning_token_list": vocabulary}
    config |= {"meaning_token_type": "whisper"}
    config["model_conf"]["loss_weights"] = model.loss_weights
    (exp / "config.yaml").write_text(yaml.safe_dump(config))
    torch.save(model.state_dict(), exp / "valid.acc.ave.pth")
    return exp, model


@pytest.mark.slow
def test_it_is_packed_and_opens_elsewhere(run, tmp_path, monkeypatch):
    exp, model = run
    speech = noise(1.5) * np.linspace(0, 3, int(1.5 * RATE))
    pack(exp, tmp_path / "model.zip")
    monkeypatch.chdir(tmp_path)
    whole, packed = (DualSpeech2Text.from_pretrained(path) for path in (exp, "model.zip"))
    expected = whole((speech, RATE))
    assert expected.meaning.text and packed((speech, RATE)).meaning.text == expected.meaning.text
    for name, parameter in load_model(exp).named_parameters():
        assert torch.equal(parameter, model.get_parameter(name))
        torch.testing.assert_close(packed.model.get_parameter(name), parameter, atol=1e-3, rtol=1e-3)
    [log_probs] = packed.posteriors((speech, RATE)).values()
    assert log_probs.shape == (37, 7)


@pytest.mark.slow
def test_the_weights_that_it_names_are_those_of_its_training(run, weights, tmp_path, monkeypatch):
    """Of 32 bits or of 16, and no others of their shape."""
    exp, _ = run
    cache = tmp_path / "cache/whisper-nano"
    shutil.copytree(weights, cache)
    (cache / "source.json").write_text("{}")
    monkeypatch.setenv("L2DUAL_CACHE", str(cache.parent))
    config = exp / "config.yaml"
    config.write_text(config.read_text().replace(str(weights), str(cache)))
    pack(exp, tmp_path / "model.zip")
    opened = DualSpeech2Text.from_pretrained(tmp_path / "model.zip")

    def save(change):
        _fingerprint.cache_clear()
        save_file({name: change(value) for name, value in load_file(weights / FILE).items()}, cache / FILE)

    save(torch.Tensor.half)
    again = DualSpeech2Text.from_pretrained(tmp_path / "model.zip")
    assert again((noise(1.0), RATE)).meaning.text == opened((noise(1.0), RATE)).meaning.text
    save(lambda value: value * 1.01)
    with pytest.raises(DataError, match="whisper-nano: not the weights that .*model.zip.* was trained on: .*") as error:
        DualSpeech2Text.from_pretrained(tmp_path / "model.zip")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "changes, fault",
    [
        ({"layers": (1, 3)}, "names layer 3 of 3 last, and adapted are the blocks above it: name lower layers"),
        ({"layers": (4,)}, r"layers: \[4\] is neither .* nor numbers from 0 to 3"),
        ({"layers": (1,), "rank": -1}, "rank: -1: of adapters it is a whole number from 0 on"),
        ({"layers": (1,), "rank": 1.5}, "rank: 1.5: of adapters it is a whole number from 0 on"),
    ],
)
def test_what_can_not_be_adapted_is_one_line(model, changes, fault):
    with pytest.raises(UsageError, match=fault) as caught:
        model(**{"rank": 2} | changes)
    assert "\n" not in str(caught.value)


def test_adapters_need_a_frozen_whisper(build_model, weights):
    layered = {"encoder": "layered", "encoder_conf": {"layers": 1, "rank": 2}, "normalize": None}
    with pytest.raises(UsageError, match="rank: adapters need `frontend: pretrained`"):
        build_model(frontend="waveform", frontend_conf={}, **layered)
    conf = {"path": str(weights), "layers": [1], "frozen": False}
    with pytest.raises(UsageError, match="rank: adapters are for blocks of a Whisper with `frozen: true`"):
        build_model(frontend="pretrained", frontend_conf=conf, **layered)


def test_a_cache_that_lacks_a_layer_is_refused(adapted):
    with pytest.raises(DataError, match="16 values a frame, the front-end needs 2 layers of 16: run stage 7"):
        states_of(adapted(layers=(0, 1)), torch.zeros(1, 5, WIDTH), torch.tensor([5]))
