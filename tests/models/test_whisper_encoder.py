"""Whisper's encoder against transformers', on small random weights in the published format."""

import json
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration, WhisperModel

from l2dual.data.weights import model_folder, pretrained_config
from l2dual.errors import UsageError
from l2dual.models.pretrained import PretrainedFrontend, Upstream
from l2dual.models.whisper import log_mel

SIZES = dict(d_model=16, encoder_layers=3, encoder_attention_heads=2, encoder_ffn_dim=24, vocab_size=99)
SIZES |= dict(decoder_layers=1, decoder_attention_heads=2, decoder_ffn_dim=24, init_std=0.3)
SIZES |= dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id"), 1)


def save(path: Path, kind: type = WhisperModel, dtype: torch.dtype = torch.float32, shard: str = "1GB", **sizes) -> str:
    """Random weights, biases and normalizations too."""
    torch.manual_seed(0)
    model = kind(WhisperConfig(**SIZES | sizes))
    for name, parameter in model.named_parameters():
        if "embed" not in name:
            torch.nn.init.normal_(parameter, 1.0 if "norm.weight" in name else 0.0, 0.3)
    model.to(dtype).save_pretrained(path, max_shard_size=shard)
    WhisperFeatureExtractor(sizes.get("num_mel_bins", 80)).save_pretrained(path)
    return str(path)


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> str:
    return save(tmp_path_factory.mktemp("weights") / "whisper")


def speech(samples: int, number: int = 1) -> torch.Tensor:
    return torch.randn(number, samples, generator=torch.Generator().manual_seed(3)) / 10


def states_of(path: str | Path, wave: torch.Tensor) -> list[torch.Tensor]:
    upstream = Upstream(str(path)).eval()
    with torch.no_grad():
        return upstream(wave, torch.full((len(wave),), wave.size(1)))[0]


@pytest.mark.parametrize("bins", [80, 128])
@pytest.mark.parametrize("samples", [201, 12345, 48000])
def test_features_are_those_of_transformers(samples, bins):
    wave = speech(samples)[0] * torch.linspace(0, 3, samples)
    options = dict(sampling_rate=16000, return_tensors="pt", padding="longest", truncation=False)
    [expected] = WhisperFeatureExtractor(bins)(wave.numpy(), **options)["input_features"]
    with torch.autocast("cpu", torch.bfloat16):
        found = log_mel(wave, bins)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_features_of_silence_and_of_ten_milliseconds():
    assert log_mel(torch.zeros(16000), 80).unique().tolist() == [-1.5]  # -10, from a loudest of -10
    assert log_mel(speech(160)[0], 80).shape == (80, 1)


@pytest.mark.parametrize(
    "sizes",
    [
        {"max_source_positions": 1500},  # 30 s
        {"max_source_positions": 60, "d_model": 24, "encoder_attention_heads": 4, "num_mel_bins": 128},
        {"max_source_positions": 7, "encoder_layers": 1, "encoder_ffn_dim": 5, "encoder_attention_heads": 1},
    ],
)
def test_states_are_those_of_transformers(tmp_path, sizes):
    """Its encoder takes only as many frames as there are positions."""
    path = save(tmp_path / "whisper", **sizes)
    wave = speech(320 * sizes["max_source_positions"], 2)
    theirs = WhisperModel.from_pretrained(path).eval().encoder
    mels = torch.stack([log_mel(one, sizes.get("num_mel_bins", 80)) for one in wave])
    with torch.no_grad():
        expected = theirs(mels, output_hidden_states=True)
    ours = states_of(path, wave)
    for state, reference in zip(ours, [*expected.hidden_states[:-1], expected.last_hidden_state], strict=True):
        torch.testing.assert_close(state, reference, atol=1e-4, rtol=0)
    assert set(Upstream(path).state_dict()) == {f"encoder.{name}" for name in theirs.state_dict()}


def test_padding_changes_nothing(path):
    wave, lengths = speech(16000, 3), torch.tensor([16000, 9800, 500])  # 100, 61 and 3 frames
    upstream = Upstream(path).eval()
    with torch.no_grad():
        states, frames = upstream(wave, lengths)
        for number, length in enumerate(lengths):
            alone, [count] = upstream(wave[number : number + 1, :length], length[None])
            assert count == frames[number]
            for state, single in zip(states, alone, strict=True):
                torch.testing.assert_close(state[number, :count], single[0], atol=2e-5, rtol=0)


def test_weights_of_any_packing_are_read(path, tmp_path):
    wave = speech(8000)
    expected = states_of(path, wave)[-1]
    whole = states_of(save(tmp_path / "whole", WhisperForConditionalGeneration), wave)[-1]
    assert not torch.equal(whole, expected)  # it draws its weights in another order
    inner = WhisperForConditionalGeneration.from_pretrained(tmp_path / "whole").model
    inner.save_pretrained(tmp_path / "inner")
    assert torch.equal(whole, states_of(tmp_path / "inner", wave)[-1])
    assert torch.equal(expected, states_of(save(tmp_path / "shards", shard="20KB"), wave)[-1])
    assert len(list((tmp_path / "shards").glob("model-*-of-*.safetensors"))) > 2
    for dtype, near in ((torch.float16, 0.02), (torch.bfloat16, 0.2)):
        half = states_of(save(tmp_path / str(dtype), dtype=dtype), wave)[-1]
        assert half.dtype == torch.float32
        torch.testing.assert_close(half, expected, atol=near, rtol=0)


def test_fine_tuning_changes_no_file(path):
    before = (Path(path) / "model.safetensors").read_bytes()
    upstream = Upstream(path)
    upstream(speech(8000), torch.tensor([8000]))[0][-1].square().sum().backward()
    torch.optim.SGD([one for one in upstream.parameters() if one.requires_grad], 0.1).step()
    assert (Path(path) / "model.safetensors").read_bytes() == before
    assert not torch.equal(upstream.encoder.conv1.weight, Upstream(path).encoder.conv1.weight)


def test_what_is_forgotten_is_drawn_anew(path):
    upstream = Upstream(path)
    trained = upstream.state_dict()
    drawn = []
    for seed in (1, 1, 2):
        upstream.forget(seed)
        drawn.append(upstream.state_dict())
    assert all(torch.equal(value, drawn[1][name]) for name, value in drawn[0].items())
    name = "encoder.layers.0.fc1.weight"
    assert not torch.equal(drawn[0][name], drawn[2][name]) and not torch.equal(drawn[0][name], trained[name])
    assert drawn[0][name].std() == pytest.approx(0.3, rel=0.2)
    assert torch.equal(drawn[0]["encoder.layer_norm.weight"], torch.ones(16))
    positions = WhisperModel(WhisperConfig(**SIZES)).encoder.embed_positions.weight
    torch.testing.assert_close(drawn[0]["encoder.embed_positions.weight"], positions, atol=1e-5, rtol=0)


def config(**changes):
    return lambda folder: change_json(folder / "config.json", changes)


def change_json(file: Path, changes: dict) -> None:
    content = json.loads(file.read_text()) | changes
    file.write_text(json.dumps({name: value for name, value in content.items() if value is not None}))


def tensors(**changes):
    def change(folder: Path) -> None:
        state = load_file(folder / "model.safetensors")
        state |= {name.replace("__", "."): value for name, value in changes.items()}
        save_file({name: value for name, value in state.items() if value is not None}, folder / "model.safetensors")

    return change


@pytest.mark.parametrize(
    "spoil, fault",
    [
        (config(d_model=24), r"encoder.conv1.weight is \(16, 80, 3\), and by config.json \(24, 80, 3\)"),
        (config(encoder_layers=4), "lack encoder.layers.3.self_attn.q_proj.weight"),
        (config(d_model="16"), "config.json: d_model: 16 is no whole number above 0"),
        (config(encoder_attention_heads=3), "d_model: 16 is not divided by the number of heads"),
        (config(d_model=None), "config.json: lacks d_model: get the model again"),
        (config(dropout=2), "dropout: 2 is no number from 0 to 1"),
        (config(activation_function="relu"), "activation_function: relu is not Whisper's"),
        (tensors(encoder__conv2__bias=None), "lack encoder.conv2.bias: get the model again"),
        (tensors(encoder__conv2__bias=torch.zeros(16, dtype=torch.int8)), "encoder.conv2.bias is of torch.int8"),
        (lambda folder: (folder / "model.safetensors").unlink(), "model.safetensors: no such file"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"0" * 99), "safetensors: .*get the model again"),
        (lambda folder: (folder / "config.json").write_text("{"), "config.json: not JSON"),
        (lambda folder: (folder / "config.json").write_text("[]"), "config.json: holds no object"),
        (lambda folder: (folder / "config.json").unlink(), "no config.json"),
        (
            lambda folder: change_json(folder / "preprocessor_config.json", {"hop_length": 80}),
            "preprocessor_config.json: hop_length is 80, and for this model Whisper's is 160",
        ),
    ],
)
def test_a_spoilt_model_is_one_line(tmp_path, spoil, fault):
    path = save(tmp_path / "whisper")
    spoil(Path(path))
    with pytest.raises(UsageError, match=fault) as caught:
        Upstream(path)
    assert "\n" not in str(caught.value)


def test_nothing_heavy_is_imported(path, monkeypatch):
    for name in ("transformers", "torch._dynamo.utils", "librosa", "scipy.signal"):
        monkeypatch.setitem(sys.modules, name, None)
    frontend = PretrainedFrontend(path, layers="all")
    assert frontend(speech(8000), torch.tensor([8000]))[0].shape == (1, 25, 16)


def test_a_model_of_the_hub_is_found_in_its_cache(path, tmp_path, monkeypatch):
    """As `download: true` leaves it there."""
    import huggingface_hub

    repository = tmp_path / "models--openai--whisper-nano"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs/main").write_text("abc")
    (repository / "snapshots").mkdir()
    (repository / "snapshots/abc").symlink_to(path)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UsageError, match="no config.json: give the directory of a model"):
        model_folder("openai/whisper-nano")
    assert pretrained_config("openai/whisper-nano", download=True).d_model == 16
    wave = speech(8000)
    found, _ = PretrainedFrontend("openai/whisper-nano", download=True)(wave, torch.tensor([8000]))
    assert torch.equal(found, states_of(path, wave)[-1])
    with pytest.raises(UsageError, match="openai/none: no such directory, and not to be had of the hub") as caught:
        model_folder("openai/none", download=True)
    assert "\n" not in str(caught.value)


def test_whisper_takes_long_speech_in_pieces(path, caplog):
    """In a batch as alone; the pieces see nothing of each other."""
    upstream = Upstream(path).eval()
    speech = torch.randn(2, 16000 * 61, generator=torch.Generator().manual_seed(3)) / 10
    lengths = torch.tensor([16000 * 61, 32000])
    with torch.no_grad():
        states, frames = upstream(speech, lengths)
        changed, _ = upstream(torch.cat([speech[:1, :-16000], -speech[:1, :16000]], 1), lengths[:1])
        alone, _ = upstream(speech[1:, :32000], lengths[1:])
    assert frames.tolist() == [3050, 100]
    assert {state.shape for state in states} == {(2, 3050, 16)}
    assert "61 s of speech in 3 equal pieces" in caplog.text
    torch.testing.assert_close(states[-1][1, :100], alone[-1][0], atol=2e-5, rtol=0)
    same = (changed[-1][0] == states[-1][0]).all(1)
    assert same[:2034].all() and not same[2034:].any()


def test_speech_of_thirty_seconds_is_one_piece(path, caplog):
    upstream = Upstream(path).eval()
    with torch.no_grad():
        _, frames = upstream(torch.zeros(1, 480000), torch.tensor([480000]))
    assert frames.tolist() == [1500] and not caplog.text
