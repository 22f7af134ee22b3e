"""Frames as the real encoders give them, and front-ends at the data's sampling rate."""

import argparse
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from espnet2.asr.frontend.default import DefaultFrontend

from l2dual.bin import collect_stats, configure
from l2dual.bin.collect_stats import SMALLEST_MODEL
from l2dual.data.datadir import write_datadir
from l2dual.data.frames import at_rate, chain_of, encoder_frames
from l2dual.data.utterance import Utterance
from l2dual.errors import UsageError
from l2dual.files import read_yaml
from l2dual.training.runs import merge
from l2dual.training.task import L2DualTask
from tests.models.test_pretrained import weights  # noqa: F401 (a fixture)

CONFIGS = sorted((Path(__file__).parents[2] / "conf/train").glob("*.yaml"))
MINI = read_yaml(next(path for path in CONFIGS if path.stem == "mini"))
LAYERS = ("conv2d1", "conv2d2", "conv2d6", "conv2d8", "linear")


@pytest.fixture
def built(weights):  # noqa: F811
    """A function that builds the model of a configuration, of one block and with small weights."""

    def build(config: dict, rate: int):
        for part in ("frontend_conf", "encoder_conf"):
            if "path" in config[part]:
                kind = "xls-r" if "wav2vec2" in config[part]["path"] else "whisper"
                config = merge(config, {part: {"path": weights(kind)}})
        if isinstance(config["frontend_conf"].get("layers"), list):  # of more blocks than there are
            below = [1, 2] if "rank" in config["encoder_conf"] else "all"
            config = merge(config, {"frontend_conf": {"layers": below}})
        if "num_blocks" in config["encoder_conf"]:
            config = merge(config, {"encoder_conf": {"num_blocks": 1}})
        args = vars(L2DualTask.get_parser().parse_args([]))
        args = merge(args, merge(at_rate(config, rate), SMALLEST_MODEL))
        return L2DualTask.build_model(argparse.Namespace(**args)).eval(), config

    return build


def check(model, chain, rate):
    """Compare the count with the model, from the shortest utterance on and at the edges."""
    edges = [n for n in range(rate // 5, rate // 2) if frames(n, chain) > frames(n - 1, chain)]
    for n in [rate // 8, *edges[:3], *(n - 1 for n in edges[:3]), rate, 3 * rate + 7]:
        with torch.no_grad():
            states, lengths = model.encode(torch.randn(1, n) / 10, torch.tensor([n])).of(model.outputs[0])
        assert frames(n, chain) == lengths.item() == states.size(1), n


def frames(samples, chain):
    return encoder_frames(samples, 0, chain)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_frames_are_those_of_the_encoder(built, path):
    model, config = built(read_yaml(path), 16000)
    check(model, chain_of(config, 16000), 16000)


@pytest.mark.parametrize("layer", LAYERS)
def test_frames_after_each_subsampling(built, layer):
    changes = {"encoder": "transformer", "encoder_conf": {"input_layer": layer, "output_size": 32}}
    changes["frontend_conf"] = {"n_fft": 400, "center": True}
    config = {**MINI, **changes}
    model, config = built(config, 16000)
    check(model, chain_of(config, 16000), 16000)


@pytest.mark.parametrize("rate", [8000, 11025, 44100])
def test_frames_at_other_rates(built, rate):
    model, config = built(MINI, rate)
    check(model, chain_of(config, rate), rate)
    assert frames(10 * rate, chain_of(config, rate)) == pytest.approx(248, abs=1)
    assert encoder_frames(rate, rate, 25) == frames(rate, chain_of(config, rate))


def test_the_bound_is_that_of_ctc():
    """With as many frames as tokens the loss is finite, with one less it is not."""
    n = encoder_frames(16000, 16000, 25)
    logits = torch.zeros(n, 1, 50).log_softmax(2)
    losses = [
        torch.nn.functional.ctc_loss(
            logits, torch.arange(1, m + 1)[None], torch.tensor([n]), torch.tensor([m])
        )
        for m in (n, n + 1)
    ]
    assert n == 23 and losses[0].isfinite() and losses[1].isinf()


def test_telephone_speech_has_the_same_windows_and_filters():
    conf = at_rate(MINI, 8000)["frontend_conf"]
    assert {name: conf[name] for name in ("fs", "n_fft", "win_length", "hop_length")} == {
        "fs": 8000, "n_fft": 256, "win_length": 200, "hop_length": 80
    }  # fmt: skip
    narrow = DefaultFrontend(**conf).logmel.melmat  # (bins, filters)
    wide = DefaultFrontend(**MINI["frontend_conf"]).logmel.melmat
    peaks = [mel.argmax(0) for mel in (narrow, wide[:, : narrow.size(1)])]
    assert narrow.size(1) == 62 and (narrow.sum(0) > 0).all()
    assert (peaks[0] - peaks[1]).abs().max() <= 1  # in bins of 31.25 Hz


def test_a_front_end_at_its_own_rate_is_left_as_it_is():
    assert at_rate(MINI, 16000) == MINI
    telephone = {**MINI, "frontend_conf": {"fs": "8k", "n_fft": 256, "hop_length": 80}}
    assert at_rate(telephone, 8000) == telephone


@pytest.mark.parametrize(
    "config, rate, fault",
    [
        ({"frontend": "pretrained", "frontend_conf": {"path": "w"}}, 8000, "pretrained .* 16000 Hz"),
        ({"frontend": "waveform", "encoder": "pretrained"}, 8000, "pretrained .* 16000 Hz"),
        ({"frontend": "s3prl"}, 8000, "frontend s3prl takes 16000 Hz"),
        ({"frontend": "s3prl"}, 16000, "s3prl: its frames are not known"),
        ({"encoder": "rnn"}, 16000, "encoder rnn .* not known: give --frames_per_second"),
        ({"frontend": "pretrained", "frontend_conf": {"path": "w"}}, 16000, "w: no config.json"),
    ],
)
def test_what_cannot_be_counted_is_one_line(config, rate, fault):
    with pytest.raises(UsageError, match=fault) as caught:
        chain_of(config, rate)
    assert "\n" not in str(caught.value)


@pytest.fixture
def telephone(tmp_path):
    """Formatted data at 8 kHz: two utterances of a second in train and in valid."""
    for split in ("train", "valid"):
        data, utterances = tmp_path / "dump" / split, []
        data.mkdir(parents=True)
        for number in range(2):
            audio = data / f"{number}.flac"
            noise = np.random.default_rng(number).normal(0, 0.1, 8000)
            soundfile.write(audio, noise, 8000)
            utterances.append(Utterance(f"s-{number}", split, "s", audio, "a b", "a b", "a b"))
        info = {"corpus": "c", "language": "en", "convention": "heard", "sampling_rate": 8000}
        write_datadir(data, utterances, info | {"audio_format": "flac"})
        (data / "utts").write_text("s-0\ns-1\n")
    return tmp_path


def test_statistics_and_training_have_one_front_end(telephone, root, monkeypatch):
    monkeypatch.chdir(telephone)
    data, config = ["--data", "dump"], ["--train_config", str(root / "conf/train/tiny.yaml")]
    monkeypatch.setattr(sys, "argv", ["collect_stats", *config, *data, "--out", "stats"])
    collect_stats.main()
    system = ["--system", str(root / "conf/systems/do.yaml"), "--seed", "1", "--stats", "stats"]
    tokens = ["--surface_tokens", "tok", "--meaning_tokens", "tok", "--out", "run"]
    monkeypatch.setattr(sys, "argv", ["configure", *config, *data, *system, *tokens])
    configure.main()
    fronts = [read_yaml(Path(file))["frontend_conf"] for file in ("stats/stats.yaml", "run/train.yaml")]
    assert fronts[0] == fronts[1] == at_rate(MINI, 8000)["frontend_conf"]
    assert np.load("stats/train/feats_stats.npz")["sum"].shape == (62,)
    monkeypatch.setattr(sys, "argv", ["configure", "--train_config", "w.yaml", *data, *system, *tokens])
    Path("w.yaml").write_text("frontend: pretrained\nfrontend_conf: {path: w}\n")
    with pytest.raises(UsageError, match="the data are sampled at 8000 Hz"):
        configure.main()
