"""Small systems as stage 8 leaves them, untrained, and noise to run them on."""

from pathlib import Path

import numpy as np
import soundfile
import torch
import yaml

from l2dual.data.datadir import write_datadir, write_table
from l2dual.data.utterance import Utterance
from l2dual.systems import read_options, read_system
from l2dual.training.load import CHECKPOINT
from l2dual.training.task import L2DualTask

RATE = 16000
WIDTH = 8
TOKENS = ["<blank>", "<unk>", "a", "b", "c", "<space>", "<sos/eos>"]
OUTPUTS = {"so_surface": ["surface"], "so_meaning": ["meaning"], "do": ["surface", "meaning"]}
SYSTEMS = Path(__file__).parents[1] / "conf/systems"


def facts_of(system, folder=SYSTEMS):
    """What run.yaml says of a system; of one that is not there, what it says of do."""
    path = folder / f"{system}.yaml"
    one = read_system(path if path.is_file() else SYSTEMS / "do.yaml")
    baselines = {output: list(names) for output, names in one.baselines.items()}
    facts = {"outputs": list(one.outputs), "label": one.label, "order": one.order, "baselines": baselines}
    sharing = read_options(path).get("sharing", {}) if path.is_file() else {}
    return {"system": system} | facts | {"sharing": sharing, "blocks": 4}


def make_data(path, n_speakers=12, per_speaker=3):
    """Noise in bursts, 0.6 to 4 seconds an utterance, as stage 3 leaves it."""
    rng = np.random.default_rng(0)
    path.mkdir()
    utterances, durations = [], {}
    for speaker in range(n_speakers):
        for number in range(per_speaker):
            utt = f"s{speaker:02d}-{number}"
            seconds = rng.uniform(0.6, 4.0)
            envelope = np.repeat(rng.uniform(0, 0.5, 50), int(seconds * RATE / 50))
            wave = envelope * rng.normal(size=len(envelope))
            soundfile.write(path / f"{utt}.wav", wave.clip(-1, 1), RATE)
            durations[utt] = len(wave) / RATE
            audio = path / f"{utt}.wav"
            meaning = "abc cab" * int(1 + 2 * seconds / 3)
            surface = meaning if number % 2 else meaning.replace("bc", "bb", 1)
            texts = surface, meaning, meaning
            utterances.append(
                Utterance(utt, "test", f"s{speaker:02d}", audio, *texts, l1=f"l{speaker % 2}")
            )
    info = {"corpus": "noise", "language": "en", "convention": "heard", "audio_format": "wav"}
    info |= {"surface_unit": "char", "meaning_unit": "char"}
    write_datadir(path, utterances, info)
    write_table(path / "utt2dur", durations)
    return path


def make_run(
    exp, system, seed, data="dump/noise", width=WIDTH, tokens=TOKENS, folder=SYSTEMS, attention=0.4, sharing=None
):
    """A run as stage 8 leaves it: the weights it starts from, moved a little."""
    facts = facts_of(system, folder)
    weights = {output: {"ctc": 0.1, "attention": attention} for output in facts["outputs"]}
    changes = {
        "seed": seed,
        "surface_token_list": TOKENS,
        "meaning_token_list": tokens,
        "frontend_conf": {"fs": RATE, "n_fft": 512, "hop_length": 160, "center": False},
        "specaug": None,
        "normalize": None,
        "encoder": "slim_conformer",
        "encoder_conf": {
            "output_size": width,
            "attention_heads": 2,
            "linear_units": 16,
            "num_blocks": 2,
            "subsampling_channels": 4,
            "rel_pos_type": "latest",
        },
        "decoder_conf": {"attention_heads": 2, "linear_units": 16, "num_blocks": 2},
        "model_conf": {"loss_weights": weights, "lsm_weight": 0.1},
        "sharing": sharing or {},
    }
    args = L2DualTask.get_parser().parse_args(["--output_dir", str(exp)])
    vars(args).update(changes)
    exp.mkdir()
    (exp / "config.yaml").write_text(yaml.safe_dump(vars(args)), encoding="utf-8")
    state = L2DualTask.build_model(args).state_dict()
    torch.manual_seed(10 * (list(OUTPUTS).index(system) if system in OUTPUTS else len(system)) + seed)
    for name, weight in state.items():
        if name.startswith("encoder.encoders") and name.endswith(("weight", "bias")):
            weight += 0.3 * weight.abs().mean() * torch.randn(weight.shape)
    torch.save(state, exp / CHECKPOINT)
    facts |= {"seed": seed, "data": data}
    facts |= {"corpus": "noise", "language": "en", "convention": "heard", "commit": "abc"}
    facts |= {"train_config": "t.yaml", "decode_config": "d.yaml", "command": "./run.sh"}
    (exp / "run.yaml").write_text(yaml.safe_dump(facts), encoding="utf-8")
    return exp
