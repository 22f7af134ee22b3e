"""ESPnet without what takes seconds to import: its names and functions are there, and a training does without."""

import re
import subprocess
import sys
from importlib import import_module

import pytest
import torch
import yaml
from espnet2.train import trainer

from l2dual.bin.train import helped
from l2dual.data.datadir import SCP_TYPE
from l2dual.files import read_yaml
from l2dual.models.build import ESPNET, OURS, class_of
from l2dual.systems import OUTPUTS, read_options
from l2dual.training.runs import merge
from l2dual.training.task import L2DualTask
from tests.systems import TOKENS, make_data

NOT_NEEDED = "torch._dynamo.utils transformers scipy.stats sympy espnet2.tasks.asr espnet2.gan_tts".split()
TRAIN = f"""
import sys, torch
from l2dual.bin.train import main
main()
print("loaded:", *sorted({NOT_NEEDED} & sys.modules.keys()))
print("compiled:", torch.compile(lambda x: x + 1, backend="eager")(torch.ones(1)).item())
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ESPNET)
def test_the_names_of_classes_are_espnets(kind):
    theirs = getattr(import_module("espnet2.tasks.asr"), f"{kind}_choices")
    assert ESPNET[kind].split() == [*theirs.classes]
    for name in theirs.classes.keys() - OURS.get(kind, {}).keys():
        assert class_of(kind, name) is theirs.get_class(name)


def test_an_unknown_name_is_answered_by_all(capsys):
    with pytest.raises(SystemExit):
        L2DualTask.get_parser().parse_args(["--encoder", "conformr"])
    said = capsys.readouterr().err
    assert "argument --encoder: invalid choice: 'conformr' (choose from " in said
    assert all(name in said for name in ("multiconv_conformer", "slim_conformer"))


def test_the_help_has_every_option():
    options = {name for action in L2DualTask.get_parser()._actions for name in action.option_strings}
    told = {name for line in re.findall(r"^  (--.*)", helped(), re.M) for name in re.findall(r"--\w+", line)}
    assert told == options - {"-h", "--help", "--config"}


@pytest.mark.slow
def test_attention_is_plotted_by_espnets_function(build_model, batch):
    model = build_model("so_surface").eval()
    given = {name: values for name, values in batch.items() if "meaning" not in name}
    found = trainer.calculate_all_attentions(model, given | {"utt_id": ["a", "b", "c"]})
    [cross] = [maps for name, maps in found.items() if name.endswith("src_attn")]
    for one, length in zip(cross, batch["surface_lengths"], strict=True):  # (heads, tokens and the end, frames)
        torch.testing.assert_close(one.sum(-1), torch.ones(len(one), length + 1))


@pytest.mark.slow
def test_a_training_imports_none_of_it(root, tmp_path):
    data = make_data(tmp_path / "data", n_speakers=2)
    config = merge(read_yaml(root / "conf/train/tiny.yaml"), read_options(root / "conf/systems/do.yaml"))
    config |= {"batch_type": "unsorted", "batch_size": 2, "max_epoch": 2, "output_dir": str(tmp_path)}
    config |= {f"{output}_token_list": TOKENS for output in OUTPUTS}
    (data / "utts").write_text("".join(f"{line.split()[0]}\n" for line in (data / "wav.scp").open()))
    tables = [[str(data / "wav.scp"), "speech", SCP_TYPE]] + [[str(data / f"text.{o}"), o, "text"] for o in OUTPUTS]
    for split in ("train", "valid"):
        config |= {f"{split}_data_path_and_name_and_type": tables, f"{split}_shape_file": [str(data / "utts")]}
    (tmp_path / "train.yaml").write_text(yaml.safe_dump(config))
    words = [sys.executable, "-c", TRAIN, "--config", tmp_path / "train.yaml"]
    done = subprocess.run(words, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.splitlines()[-2:] == ["loaded:", "compiled: 2.0"]
    assert (tmp_path / "valid.acc.ave.pth").exists()
