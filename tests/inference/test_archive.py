"""Archives: what they hold, that they open elsewhere, and that those of strangers do no harm."""

import json
import os
import shutil
import stat
import zipfile
from argparse import Namespace

import pytest
import torch
import yaml
from espnet2.main_funcs.pack_funcs import unpack

from l2dual import DualSpeech2Text
from l2dual.data.datadir import DataDir, write_datadir
from l2dual.data.speed import perturb_speed
from l2dual.data.utterance import Utterance
from l2dual.errors import DataError
from l2dual.inference.archive import unpacked
from l2dual.inference.packing import about_data, pack
from l2dual.inference.shelf import facts_of
from l2dual.training.task import L2DualTask
from tests.systems import make_run


def changed(archive, path, **content):
    """A copy of an archive with other content in some members."""
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            new.writestr(name, content.pop(name.replace(".", "_"), old.read(name)))
    return path


def yaml_of(archive, name, **changes):
    with zipfile.ZipFile(archive) as opened:
        return yaml.safe_dump(yaml.safe_load(opened.read(name)) | changes)


def refused(path, said):
    with pytest.raises(DataError, match=said) as error:
        DualSpeech2Text.from_pretrained(path)
    assert "\n" not in str(error.value) and str(path) in str(error.value)


def test_it_holds_the_model_and_its_card(archive):
    with zipfile.ZipFile(archive) as opened:
        names = ["meta.yaml", "config.yaml", "run.yaml", "README.md", "decode.yaml", "model.pth"]
        assert opened.namelist() == names
        card = opened.read("README.md").decode()
        facts = yaml.safe_load(opened.read("run.yaml"))
        with opened.open("model.pth") as stream:
            state = torch.load(stream, weights_only=True)
    assert {value.dtype for value in state.values() if value.is_floating_point()} == {torch.float16, torch.float32}
    assert "| licence of the data | not known |" in card and "Not for grading" in card and "{" not in card
    assert facts["parameters"] > 0 and facts["rate"] == 16000


def test_espnet_unpacks_it_and_it_opens_under_any_path(archive, model, folder):
    unpack(archive, "first place")
    os.rename("first place", "second place")  # the paths that ESPnet wrote in it are now wrong
    assert DualSpeech2Text.from_pretrained("second place")("recording.wav") == model("recording.wav")


def test_it_does_not_say_where_data_lay(run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    facts = yaml.safe_load((run / "run.yaml").read_text())
    facts["command"] = r"./run.sh --db /home/me/my\ data/x --train_args --encoder_conf\ path=/a/b --test_data dump/x"
    (tmp_path / "run/run.yaml").write_text(yaml.safe_dump(facts | {"train_config": "/home/me/own.yaml"}))
    pack(tmp_path / "run", tmp_path / "model.zip")
    with zipfile.ZipFile(tmp_path / "model.zip") as opened:
        said = yaml.safe_load(opened.read("run.yaml"))
    assert said["command"] == r"./run.sh --db x --train_args --encoder_conf\ path=b --test_data dump/x"
    assert (said["train_config"], said["data"]) == ("own.yaml", facts["data"])


def test_figures_are_of_the_study(run, tmp_path):
    study = tmp_path / "study"
    shutil.copytree(run, study / "do.seed1")
    interval = [0.1, 0.2]
    records = [{"measure": "error_rate", "system": "do", "output": "surface", "unit": "char", "value": 0.151}]
    records[0]["interval"] = interval
    records.append(records[0] | {"measure": "learner_error_rate", "value": 0.8})
    facts = yaml.safe_load((run / "run.yaml").read_text())
    one = {"name": "do.seed1", "trained_on": "d", "decode_config": None, "decode_dir": "x"}
    names = "system seed outputs label order baselines train_config commit command".split()
    one |= {name: facts[name] for name in names}
    meta = dict.fromkeys("surface split data normalizer clusters commit command".split(), "x")
    meta |= {"corpus": "noise", "language": "en", "convention": "heard", "units": {"surface": ["char"]}}
    meta |= dict.fromkeys(("n_utts", "n_speakers", "n_clusters"), 7) | {"n_learner_tokens": {}, "bins": {}}
    meta |= {"runs": [one], "warnings": []}
    (study / "results.json").write_text(json.dumps({"meta": meta, "records": records}))
    pack(study / "do.seed1", tmp_path / "model.zip")
    with zipfile.ZipFile(tmp_path / "model.zip") as opened:
        card = opened.read("README.md").decode()
    assert "- surface CER 15.1 % [10.0, 20.0], on 7 utterances of noise" in card
    assert "- surface CER at learner's tokens 80.0 % [10.0, 20.0], on 7" in card


@pytest.mark.slow
def test_a_frozen_encoder_is_packed_with_it(tmp_path, folder):
    from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperModel

    torch.manual_seed(0)
    sizes = dict.fromkeys(("encoder_layers", "decoder_layers", "pad_token_id", "bos_token_id", "eos_token_id"), 1)
    sizes |= {"d_model": 16, "vocab_size": 99, "encoder_attention_heads": 2, "decoder_attention_heads": 2}
    WhisperModel(WhisperConfig(**sizes, decoder_start_token_id=1)).save_pretrained(tmp_path / "weights")
    WhisperFeatureExtractor().save_pretrained(tmp_path / "weights")
    run = make_run(tmp_path / "run", "do", 1)
    config = yaml.safe_load((run / "config.yaml").read_text())
    config |= {"frontend": "pretrained", "frontend_conf": {"path": "weights"}}
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    torch.save(L2DualTask.build_model(Namespace(**config)).state_dict(), run / "valid.acc.ave.pth")
    expected = DualSpeech2Text.from_pretrained(run)("recording.wav")
    pack(run, tmp_path / "model.zip")
    shutil.rmtree(tmp_path / "weights")
    found = DualSpeech2Text.from_pretrained("model.zip")("recording.wav")
    assert found.meaning.text == expected.meaning.text and found.surface.text == expected.surface.text
    assert found.meaning.text
    with zipfile.ZipFile("model.zip") as opened:
        assert "pretrained/model.safetensors" in opened.namelist()


@pytest.mark.slow
def test_another_version_or_architecture_is_refused(archive, tmp_path):
    path = tmp_path / "other.zip"
    refused(changed(archive, path, meta_yaml=yaml_of(archive, "meta.yaml", format=9)), "in another form than that of")
    config = yaml_of(archive, "config.yaml", encoder="quantum")
    refused(changed(archive, path, config_yaml=config), "can't build this architecture")
    config = yaml_of(archive, "config.yaml", encoder_conf={"qubits": 3})
    refused(changed(archive, path, config_yaml=config), "can't build this architecture")
    config = yaml_of(archive, "config.yaml", normalize="global_mvn", normalize_conf={"stats_file": "/etc/passwd"})
    refused(changed(archive, path, config_yaml=config), "/etc/passwd: no such file, which .* names: pack it again")
    refused(changed(archive, path, model_pth=b"PK nothing"), "not a checkpoint")
    refused(changed(archive, path, run_yaml=b"system: do"), "run.yaml: lacks language or convention")


def test_paths_and_links_that_lead_out_are_refused(tmp_path):
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    for member in ("../out", "/tmp/out", "a/../../out", "..\\out", link):
        path = tmp_path / "bad.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(member, "/etc/passwd")
        with pytest.raises(DataError, match="a link or a path that leads out of it"), unpacked(path):
            pass


def test_no_archive_is_one_line(tmp_path):
    (tmp_path / "text.zip").write_text("hello")
    refused(tmp_path / "text.zip", "not a model.zip")
    refused(tmp_path, "no model of l2dual")
    refused(tmp_path / "none.zip", "no such model")
    with zipfile.ZipFile(tmp_path / "empty.zip", "w"):
        pass
    refused(tmp_path / "empty.zip", "no model of l2dual")
    with zipfile.ZipFile(tmp_path / "broken.zip", "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("run.yaml", "language: en\n" * 99)
    content = bytearray((tmp_path / "broken.zip").read_bytes())
    content[40:44] = b"\xff" * 4  # of the compressed text
    (tmp_path / "broken.zip").write_bytes(content)
    refused(tmp_path / "broken.zip", "not a model.zip")
    with pytest.raises(DataError, match="not a model.zip"):
        facts_of(tmp_path / "broken.zip")


def test_a_bomb_is_not_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr("l2dual.inference.archive.MOST_BYTES", 1000)
    with zipfile.ZipFile(tmp_path / "big.zip", "w") as archive:
        archive.writestr("meta.yaml", "a" * 1001)
    refused(tmp_path / "big.zip", "this is no model")


def test_an_untrained_run_is_not_packed(tmp_path):
    run = make_run(tmp_path / "run", "do", 1)
    (run / "valid.acc.ave.pth").unlink()
    with pytest.raises(DataError, match="no such checkpoint"):
        pack(run, tmp_path / "model.zip")
    assert not (tmp_path / "model.zip").exists()


def test_a_copy_at_another_speed_is_no_other_speaker(run, tmp_path):
    utterances = [Utterance(f"s{n}-1", "train", f"s{n}", tmp_path / "a.wav", *["so"] * 3, l1="thai") for n in range(3)]
    write_datadir(tmp_path / "data/train", utterances, {"corpus": "x", "licence": "CC BY 4.0"})
    data = perturb_speed(DataDir.load(tmp_path / "data/train"), [0.9, 1.0, 1.1])
    data.write(tmp_path / "faster/train")
    found = about_data({"corpus": "x", "data": str(tmp_path / "faster")}, run)
    assert found == {"licence": "CC BY 4.0", "speakers": [{"thai": 3}, {}]}
    (tmp_path / "faster/train/utt2spk").unlink()  # cleaned up in part
    assert about_data({"corpus": "x", "data": str(tmp_path / "faster")}, run) == found | {"speakers": []}
    gone = about_data({"corpus": "x", "data": str(tmp_path / "gone")}, run)
    assert gone == {"licence": None, "speakers": []}
