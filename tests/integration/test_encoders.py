"""Every encoder trains, decodes and is scored; small random weights stand in for pretrained ones."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from l2dual import DualSpeech2Text
from l2dual.data.datadir import read_table, write_table
from l2dual.files import read_yaml
from l2dual.inference.rater_training import WHOLE_SCORES
from tests.checkout import ROOT, TINY, Checkout
from tests.models.conftest import save_weights

CACHED = ("--cache_features", "true")
SCORED = ("--stop_stage", "10")
SUBWORDS = ("--surface_token_type", "whisper", "--meaning_token_type", "whisper")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory, warm) -> Checkout:
    return Checkout(tmp_path_factory.mktemp("l2 dual"), warm)


def two_epochs_of(checkout: Checkout, language: str, name: str) -> Path:
    """conf/train_NAME.yaml for two epochs; small random weights stand in for pretrained ones."""
    config = yaml.safe_load((ROOT / f"conf/train/{name}.yaml").read_text(encoding="utf-8"))
    config |= {"max_epoch": 2, "keep_nbest_models": 1, "scheduler_conf": {"warmup_steps": 1, "decay": 0.5}}
    config["use_matplotlib"] = False  # curves: two thirds of the training's time
    weights = checkout.root / "weights" / "whisper"
    if not weights.exists():
        save_weights(weights, positions=448)
    for part in ("frontend_conf", "encoder_conf", "decoder_conf"):
        if "path" in config[part]:
            config[part]["path"] = str(weights)
    path = checkout.recipe(language) / "conf" / f"train_{name}_2.yaml"
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "language, config, options",
    [
        ("en", "whisper_base", CACHED),
        ("ko", "ssl", (*CACHED, *SCORED)),
        ("en", "whisper_finetune", (*SUBWORDS, *SCORED)),
        ("ko", "e_branchformer", SCORED),
        ("en", "transformer", SCORED),
    ],
)
def test_every_encoder_trains_and_decodes_through_the_recipe(checkout, language, config, options):
    chosen = two_epochs_of(checkout, language, config)
    own = (*TINY, "--systems", "do", "--train_config", str(chosen), "--expdir", "exp encoders", *options)
    checkout.run(language, *own)
    recipe = checkout.recipe(language)
    [run] = recipe.glob(f"exp encoders/tiny*_train_{config}_2/do.seed1")
    assert (run / "decode/test/text.surface").stat().st_size > 0
    cached = list(recipe.glob("dump/*/cached_*/train/wav.scp"))
    assert cached or "--cache_features" not in options
    if options == CACHED:  # other data are decoded from their audio; here it is that of the cached states
        data = cached[0].parents[2]
        checkout.run(language, *own, "--stage", "9", "--stop_stage", "10", "--test_data", f"dump/{data.name}")
        again = run / f"decode_on_{data.name}/test/text.surface"
        assert again.read_text() == (run / "decode/test/text.surface").read_text()
    report = run.parent / "report.html"
    if SCORED[0] not in options:  # what stage 11 found of cached features is not left out
        assert "Overlap of what the two decoders read" in report.read_text()


def test_the_meaning_and_a_rater_guide_a_surface_in_phones(checkout):
    """Of raters, whose marks are drawn, learns a rater in stage 8, which stage 9 asks."""
    chosen = two_epochs_of(checkout, "en", "whisper_finetune")
    own = (*TINY, "--systems", "do", "--train_config", str(chosen), "--expdir", "exp in phones", *SUBWORDS[2:])
    own = (*own, "--surface_convention", "pronounced", "--rater_folds", "0")
    own = (*own, "--decode_config", "../../conf/decode_guided.yaml")
    checkout.run("en", *own, "--stop_stage", "4")
    recipe = checkout.recipe("en")
    for place in ("dump", "data"):
        for table in recipe.glob(f"{place}/*pronounced*/*/text.canonical"):
            write_table(table.with_name("utt2scores"), {utt: marks(text) for utt, text in read_table(table).items()})
    said = checkout.run("en", *own, "--stage", "5").stdout
    assert "| do, 1 seed | all" in said
    [run] = recipe.glob("exp in phones/tiny*/do.seed1")
    packed = DualSpeech2Text.from_pretrained(run / "model.zip")
    assert packed.token_types == {"surface": "phn", "meaning": "whisper"} and packed.lexicon.said and packed.raters
    unpacked = DualSpeech2Text.from_pretrained(run, **read_yaml(ROOT / "conf/decode_guided.yaml"))
    test = next(recipe.glob("dump/*pronounced*/test"))
    kept = {output: read_table(run / f"decode_guided/test/text.{output}") for output in ("surface", "meaning")}
    for utt, file in read_table(test / "wav.scp").items():
        found = unpacked(recipe / file)
        assert (found.surface.text, found.meaning.text) == (kept["surface"][utt], kept["meaning"][utt])
    for made in ("rater", "decode_guided/test"):
        shutil.rmtree(run / made)
    refused = checkout.run("en", *own, "--stage", "9", "--stop_stage", "9", check=False)
    assert refused.returncode and "do.seed1/rater: not found: run stage 8 first" in refused.stderr


def marks(canonical):
    """Scores of one word, by the length of its phones."""
    phones = [2.0 * (len(phone) % 2) for phone in canonical.split()]
    return json.dumps(dict.fromkeys(WHOLE_SCORES, 5) | {"phones": [phones], "words": [5], "word_total": [5]})
