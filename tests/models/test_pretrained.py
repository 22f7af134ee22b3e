"""Pretrained encoders, on small random weights in the published formats."""

import numpy as np
import pytest
import soundfile
import torch
from transformers import (
    HubertConfig,
    HubertModel,
    Wav2Vec2Config,
    Wav2Vec2FeatureExtractor,
    Wav2Vec2Model,
    WavLMConfig,
    WavLMModel,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperModel,
)

from l2dual.analysis.activations import collect
from l2dual.data.audio import format_audio
from l2dual.data.datadir import DataDir, write_datadir
from l2dual.data.speech import batches
from l2dual.data.utterance import Utterance
from l2dual.errors import DataError, UsageError
from l2dual.models import features
from l2dual.models.features import cache_features
from l2dual.models.pretrained import PretrainedEncoder, PretrainedFrontend, Upstream

SMALL = dict(hidden_size=16, num_hidden_layers=3, num_attention_heads=2, intermediate_size=24)
SMALL |= dict(conv_dim=[8] * 7, num_conv_pos_embeddings=8, num_conv_pos_embedding_groups=2)
LAYER_NORM = dict(feat_extract_norm="layer", conv_bias=True, do_stable_layer_norm=True)
KINDS = {
    "whisper": None,
    "wav2vec2": (Wav2Vec2Model, Wav2Vec2Config(**SMALL)),
    "xls-r": (Wav2Vec2Model, Wav2Vec2Config(**SMALL, **LAYER_NORM)),
    "hubert": (HubertModel, HubertConfig(**SMALL)),
    "wavlm": (WavLMModel, WavLMConfig(**SMALL, **LAYER_NORM)),
}
BLOCKS, WIDTH = 3, 16


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A function that gives a directory with random weights of a kind of model."""
    folder = tmp_path_factory.mktemp("weights")

    def make(kind: str) -> str:
        path = folder / kind
        if path.exists():
            return str(path)
        torch.manual_seed(0)
        if kind == "whisper":
            sizes = dict(d_model=WIDTH, encoder_layers=BLOCKS, decoder_layers=1, vocab_size=99)
            sizes |= dict(encoder_attention_heads=2, decoder_attention_heads=2)
            sizes |= dict(encoder_ffn_dim=24, decoder_ffn_dim=24, pad_token_id=1)
            sizes |= dict(bos_token_id=1, eos_token_id=1, decoder_start_token_id=1)
            WhisperModel(WhisperConfig(**sizes)).save_pretrained(path)
            WhisperFeatureExtractor().save_pretrained(path)
        else:
            model, config = KINDS[kind]
            model(config).save_pretrained(path)
            stable = config.feat_extract_norm == "layer"
            Wav2Vec2FeatureExtractor(return_attention_mask=stable).save_pretrained(path)
        return str(path)

    return make


@pytest.fixture
def data_dir(tmp_path):
    """A data directory of three recordings of unlike length."""
    rng, utterances = np.random.default_rng(0), []
    for number, seconds in enumerate((1.5, 2.0, 2.5)):
        audio = tmp_path / f"{number}.flac"
        soundfile.write(audio, rng.normal(0, 0.1, int(16000 * seconds)), 16000)
        name = f"s-{number}"
        utterances.append(Utterance(name, "test", "s", audio, "a b", "x y", "x y"))
    facts = {"corpus": "c", "language": "en", "surface_unit": "char", "meaning_unit": "char"}
    write_datadir(tmp_path / "raw", utterances, facts | {"convention": "heard"})
    format_audio(DataDir.load(tmp_path / "raw"), tmp_path / "data", "flac", 16000, 1)
    return tmp_path / "data"


@pytest.mark.parametrize("kind", KINDS)
def test_every_layer_gives_a_state_of_each_frame(weights, batch, kind):
    upstream = Upstream(weights(kind)).eval()
    states, frames = upstream(batch["speech"], batch["speech_lengths"])
    assert len(states) == BLOCKS + 1
    assert {state.shape for state in states} == {(3, int(frames.max()), WIDTH)}
    assert (frames - batch["speech_lengths"] / 320).abs().max() <= 1


@pytest.mark.parametrize("kind", KINDS)
def test_every_trained_parameter_is_used(weights, batch, kind):
    """Several workers would wait for the gradient of one that is not."""
    for module in (PretrainedEncoder(0, weights(kind)), PretrainedFrontend(weights(kind), False)):
        module(batch["speech"], batch["speech_lengths"])[0].square().sum().backward()
        trained = {name: p for name, p in module.named_parameters() if p.requires_grad}
        assert trained and not [name for name, p in trained.items() if p.grad is None]


@pytest.mark.parametrize("kind", ["xls-r", "wavlm"])
def test_a_batch_gives_what_single_utterances_give(weights, batch, kind):
    upstream = Upstream(weights(kind)).eval()
    with torch.no_grad():
        states, frames = upstream(batch["speech"], batch["speech_lengths"])
        for i, length in enumerate(batch["speech_lengths"]):
            alone, n = upstream(batch["speech"][i : i + 1, :length], length[None])
            assert n == frames[i]
            for state, single in zip(states, alone, strict=True):
                torch.testing.assert_close(state[i, : frames[i]], single[0], atol=2e-5, rtol=0)


def test_the_padding_of_twenty_seconds_takes_no_square_of_them(weights):
    """A byte for each two samples would be 100 GB."""
    states, frames = Upstream(weights("xls-r")).eval()(torch.zeros(2, 320_000), torch.tensor([320_000, 160_000]))
    assert frames.tolist() == [999, 499] and states[-1].shape == (2, 999, WIDTH)


@pytest.mark.parametrize("kind", ["wav2vec2", "hubert"])
def test_frozen_front_ends_give_the_same_alone_and_in_a_batch(weights, batch, kind):
    """Their normalization over time sees padding, so they are passed one by one."""
    frontend = PretrainedFrontend(weights(kind))
    features, frames = frontend(batch["speech"], batch["speech_lengths"])
    alone, n = frontend(batch["speech"][2:, :9600], batch["speech_lengths"][2:])
    assert n[0] == frames[2] < frames[0]
    torch.testing.assert_close(features[2, : n[0]], alone[0], atol=1e-6, rtol=0)


def test_waveform_models_give_what_transformers_gives(weights, batch):
    upstream = Upstream(weights("xls-r")).eval()
    wave = batch["speech"][:1]
    normalized = (wave - wave.mean()) / torch.sqrt(wave.var(correction=0) + 1e-7)
    with torch.no_grad():
        states, _ = upstream(wave, batch["speech_lengths"][:1])
        expected = upstream.encoder(normalized).last_hidden_state
    torch.testing.assert_close(states[-1], expected, atol=1e-5, rtol=0)


def test_a_frozen_front_end_is_no_part_of_the_model(weights, build_model, batch):
    model = build_model(frontend="pretrained", frontend_conf={"path": weights("whisper")})
    model(**batch)[0].backward()
    assert not any(name.startswith("frontend") for name in model.state_dict())
    assert all(not p.requires_grad or p.grad is None for p in model.frontend.upstream.parameters())


def test_learned_weights_of_the_layers_are_trained(weights, build_model, batch):
    conf = {"path": weights("hubert"), "layers": [1, 3]}
    model = build_model(frontend="pretrained", frontend_conf=conf)
    model(**batch)[0].backward()
    assert model.frontend.layer_weights.grad.abs().min() > 0
    states, frames = model.frontend.frozen_states(batch["speech"], batch["speech_lengths"])
    mean = states.unflatten(2, (2, WIDTH)).mean(2)
    features, _ = model.frontend(states, frames)
    torch.testing.assert_close(features, mean)  # at first all layers count alike


def test_a_front_end_can_be_fine_tuned(weights, build_model, batch):
    conf = {"path": weights("wavlm"), "frozen": False}
    model = build_model(frontend="pretrained", frontend_conf=conf)
    model(**batch)[0].backward()
    trained = model.frontend.upstream.blocks[0].feed_forward.output_dense.weight
    assert trained.grad.abs().sum() > 0
    assert any(name.startswith("frontend.trained_upstream") for name in model.state_dict())


def test_stacking_joins_neighbouring_frames(weights, batch):
    plain = PretrainedFrontend(weights("whisper"))
    double = PretrainedFrontend(weights("whisper"), stack=2)
    one, n = plain(batch["speech"], batch["speech_lengths"])
    two, half = double(batch["speech"], batch["speech_lengths"])
    assert double.output_size() == 2 * WIDTH and half.tolist() == (n // 2).tolist()
    torch.testing.assert_close(two[0, 3], torch.cat([one[0, 6], one[0, 7]]))


def test_the_shared_encoder_can_be_pretrained(weights, build_model, batch):
    conf = {"path": weights("whisper"), "freeze_blocks": 1}
    changes = dict(frontend="waveform", frontend_conf={}, normalize=None)
    model = build_model(encoder="pretrained", encoder_conf=conf, **changes)
    model(**batch)[0].backward()
    first, second = model.encoder.encoders[:2]
    assert first.fc1.weight.grad is None and second.fc1.weight.grad.abs().sum() > 0
    assert model.encoder.upstream.encoder.conv1.weight.grad is None


@pytest.mark.slow
@pytest.mark.parametrize("chunk", [features.CHUNK, 2])  # in this process, and in others
def test_cached_states_are_what_the_audio_gives(weights, build_model, tmp_path, data_dir, monkeypatch, chunk):
    monkeypatch.setattr(features, "CHUNK", chunk)
    conf = {"path": weights("wav2vec2"), "layers": "all", "stack": 2}
    cache_features(DataDir.load(data_dir), conf, tmp_path / "cached.tmp", nj=1, device="cpu")
    (tmp_path / "cached.tmp").rename(tmp_path / "cached")
    audio, cached = DataDir.load(data_dir), DataDir.load(tmp_path / "cached")
    model = build_model(frontend="pretrained", frontend_conf=conf).eval()
    with torch.no_grad():
        for (utts, speech, lengths), (same, states, frames) in zip(
            batches(audio, 2), batches(cached, 2), strict=True
        ):
            assert utts == same and states.dim() == 3
            direct, n = model.encode(speech, lengths).of(model.outputs[0])
            through_cache, m = model.encode(states, frames).of(model.outputs[0])
            assert n.tolist() == m.tolist()
            torch.testing.assert_close(direct, through_cache, atol=1e-5, rtol=0)


def test_layers_of_a_pretrained_encoder_can_be_analysed(weights, build_model, data_dir):
    changes = dict(frontend="waveform", frontend_conf={}, normalize=None)
    conf = {"path": weights("whisper")}
    model = build_model(encoder="pretrained", encoder_conf=conf, **changes).eval()
    found = collect(model, DataDir.load(data_dir), batch_size=2)["surface"]
    assert len(found.layers) == BLOCKS and np.isfinite(found.layers[0]).all()


@pytest.mark.parametrize(
    "conf, fault",
    [
        ({"path": "/nowhere"}, "/nowhere"),
        ({"path": None, "layers": [9]}, "numbers from 0 to 3"),
        ({"path": None, "layers": "first"}, "`last`, `all`"),
        ({"path": None, "fs": 8000}, "take 16000 Hz, not 8000"),
    ],
)
def test_a_wrong_front_end_is_one_line(weights, conf, fault):
    conf = {**conf, "path": conf["path"] or weights("whisper")}
    with pytest.raises(UsageError, match=fault) as caught:
        PretrainedFrontend(**conf)
    assert "\n" not in str(caught.value)


def test_another_kind_of_model_is_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(UsageError, match="a bert model; l2dual knows whisper"):
        PretrainedEncoder(1, str(tmp_path))


def test_states_of_another_front_end_are_refused(weights):
    with pytest.raises(DataError, match="8 values a frame.*run stage 7"):
        PretrainedFrontend(weights("whisper"))(torch.zeros(1, 5, 8), torch.tensor([5]))


def test_other_rates_than_theirs_are_refused(weights, data_dir, tmp_path):
    data = DataDir.load(data_dir)
    data.info["sampling_rate"] = 8000
    with pytest.raises(UsageError, match="8000 Hz, but a pretrained encoder takes 16000 Hz"):
        cache_features(data, {"path": weights("whisper")}, tmp_path / "out", 1, "cpu")
