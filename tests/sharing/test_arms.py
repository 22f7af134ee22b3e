"""The systems of conf/systems that share an encoder, and what stage 8 makes of them."""

import shutil
import sys
from pathlib import Path

import pytest
import yaml

from l2dual.bin import configure
from l2dual.bin.configure import lexicon_of
from l2dual.data.datadir import DataDir, read_table, write_table
from l2dual.errors import UsageError
from l2dual.files import read_yaml
from l2dual.models.build import check_sharing
from l2dual.recipe import settings
from l2dual.systems import read_options
from l2dual.text.lexicon import Lexicon
from tests.conftest import ROOT
from tests.systems import make_data

SYSTEMS = ROOT / "conf/systems"
ARMS = sorted(path.stem for path in SYSTEMS.glob("*.yaml") if "sharing" in read_yaml(path))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("data")
    make_data(path / "train", n_speakers=1, per_speaker=1)
    return path


@pytest.fixture
def configured(data, tmp_path, monkeypatch):
    """The train.yaml and run.yaml that the first half of stage 8 writes."""

    def configured(system, *options, size="mini"):
        given = ["--train_config", ROOT / f"conf/train/{size}.yaml", "--system", system, "--seed", 1]
        given += ["--data", data, "--stats", "stats", "--out", tmp_path / "run", *options]
        given += ["--surface_tokens", "tokens", "--meaning_tokens", "tokens"]
        monkeypatch.setattr(sys, "argv", ["configure", *map(str, given)])
        configure.main()
        return [read_yaml(tmp_path / "run" / name) for name in ("train.yaml", "run.yaml")]

    return configured


@pytest.mark.parametrize("arm", ARMS)
def test_an_arm_differs_from_do_in_how_it_shares(arm, configured):
    options = read_options(SYSTEMS / f"{arm}.yaml")
    sharing = options.pop("sharing")
    assert options == read_options(SYSTEMS / "do.yaml")
    training, run = configured(SYSTEMS / f"{arm}.yaml")
    check_sharing(SYSTEMS / f"{arm}.yaml", training)
    assert training["sharing"] == run["sharing"] == sharing and run["blocks"] == 4


@pytest.mark.parametrize("language", ["en", "ko"])
def test_whispers_decoder_writes_the_language_of_the_data(language, configured, tmp_path):
    """And needs no weights for that."""
    train = make_data(tmp_path / "data", n_speakers=1, per_speaker=1)
    (tmp_path / "of").mkdir()
    train = train.rename(tmp_path / "of/train")
    facts = read_yaml(train / "corpus.yaml") | {"language": language}
    (train / "corpus.yaml").write_text(yaml.safe_dump(facts))
    system = SYSTEMS / "so_meaning_attention.yaml"
    training, _ = configured(system, "--data", tmp_path / "of", size="whisper")
    assert training["decoder_conf"]["language"] == language and training["decoder_conf"]["rank"] == 16
    assert "language" not in configured(system, "--data", tmp_path / "of")[0]["decoder_conf"]


def test_what_is_in_phones_has_the_lexicon_of_its_data(configured, data, tmp_path):
    folder = shutil.copytree(data, tmp_path / "phones")
    utts = read_table(folder / "train/text.meaning")
    for name, text in (("meaning", "not hot"), ("canonical", "N AH T HH AH T"), ("surface", "N AH T HH AH D")):
        write_table(folder / f"train/text.{name}", dict.fromkeys(utts, text))
    configured(SYSTEMS / "do.yaml", "--data", folder)  # in letters
    assert Lexicon.load(tmp_path / "run") == Lexicon()
    configured(SYSTEMS / "do.yaml", "--data", folder, "--surface_token_type", "phn")
    lexicon = Lexicon.load(tmp_path / "run")
    assert lexicon.said["T"]["D"] > 0 and lexicon.phones("pot") == ["P", "AH", "T"]
    assert lexicon_of(DataDir(folder, {"text.meaning": utts}, {})) == Lexicon()


def test_the_control_has_as_many_parameters_as_half_depth(build_model):
    def size(system):
        conf = read_yaml(ROOT / "conf/train/mini.yaml")["encoder_conf"]
        conf |= read_options(SYSTEMS / f"{system}.yaml").get("encoder_conf", {})
        return sum(p.numel() for p in build_model(system, encoder_conf=conf).parameters())

    # the branch normalizes twice: 2 x 128 parameters more
    assert size("do_deep") == size("do_branch2") - 256 and size("do_deep") > 1.2 * size("do")


def test_by_ctc_alone_the_outputs_keep_their_weights(configured):
    for name, surface in (("so_surface", 1.0), ("do_branch2", 0.5), ("do_paper", 0.7)):
        training, _ = configured(SYSTEMS / f"{name}.yaml", "--losses", "ctc")
        weights = training["model_conf"]["loss_weights"]
        assert weights["surface"] == {"ctc": pytest.approx(surface), "attention": 0.0}
        assert sum(one["ctc"] for one in weights.values()) == pytest.approx(1)


@pytest.mark.parametrize(
    "name, weights",
    [
        ("so_meaning", {"meaning": {"ctc": 0.5, "attention": 0.5}}),
        ("do_branch2", {"surface": {"ctc": 0.35, "attention": 0.15}, "meaning": {"ctc": 0.25, "attention": 0.25}}),
        ("do_paper", {"surface": {"ctc": 0.2, "attention": 0.5}, "meaning": {"ctc": 0.0, "attention": 0.3}}),
        ("so_surface_ctconly", {"surface": {"ctc": 1.0, "attention": 0.0}}),
    ],
)
def test_fitted_losses_are_those_of_systems_with_both_on_every_output(configured, name, weights):
    training, _ = configured(SYSTEMS / f"{name}.yaml", "--losses", "fitted")
    assert training["model_conf"]["loss_weights"] == weights


@pytest.mark.parametrize(
    "sharing, fault",
    [
        ({"branches": {"depth": 1}}, "unknown mechanism 'branches': use branch"),
        ({"branch": {"depth": 5}}, "depth 5: the encoder has 4 blocks: give 0 to 4"),
        ({"pull": {"meaning": 1.5}}, "meaning 1.5: give a number from 0 to 1"),
        ({"branch": {"depth": 1}, "pull": {"meaning": 0}}, "branch and pull exclude each other: name one"),
        ("branch", "sharing: branch: give one mechanism"),
        ({"branch": 2}, "branch: 2: give its options"),
    ],
)
def test_bad_sharing_is_refused_before_anything_is_made(tmp_path, monkeypatch, sharing, fault):
    (tmp_path / "egs2/l2_en/conf/systems").mkdir(parents=True)
    (tmp_path / "conf").symlink_to(ROOT / "conf")
    monkeypatch.chdir(tmp_path / "egs2/l2_en")
    Path("studies").symlink_to(ROOT / "egs2/l2_en/studies")
    content = read_yaml(SYSTEMS / "do.yaml") | {"sharing": sharing}
    Path("conf/systems/do_bad.yaml").write_text(yaml.safe_dump(content))
    given = ["start", "--language", "en", "--systems", "so_surface so_meaning do_bad"]
    monkeypatch.setattr(sys, "argv", ["settings", *given])
    with pytest.raises(UsageError, match=f"do_bad.yaml: .*{fault}") as raised:
        settings.main()
    assert "\n" not in str(raised.value) and not Path("exp").exists()
