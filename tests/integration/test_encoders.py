"""Every encoder trains, decodes and is scored; small random weights stand in for pretrained ones."""

from pathlib import Path

import pytest
import yaml

from l2dual import DualSpeech2Text
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
        ("en", "whisper_finetune", ("--surface_convention", "pronounced", *SUBWORDS[2:])),
        ("ko", "e_branchformer", SCORED),
        ("en", "transformer", SCORED),
    ],
)
def test_every_encoder_trains_and_decodes_through_the_recipe(checkout, language, config, options):
    chosen = two_epochs_of(checkout, language, config)
    exp = "exp in phones" if "pronounced" in options else "exp encoders"
    own = (*TINY, "--systems", "do", "--train_config", str(chosen), "--expdir", exp, *options)
    checkout.run(language, *own)
    recipe = checkout.recipe(language)
    [run] = recipe.glob(f"{exp}/tiny*_train_{config}_2/do.seed1")
    assert (run / "decode/test/text.surface").stat().st_size > 0
    if "pronounced" in options:
        packed = DualSpeech2Text.from_pretrained(run / "model.zip")
        assert packed.token_types == {"surface": "phn", "meaning": "whisper"}
        assert packed.lexicon.said
        recording = next(recipe.glob("dump/*pronounced*/test/wav.scp")).read_text().splitlines()[0].partition(" ")[2]
        assert set(packed(recipe / recording).surface.text.split()) <= set(packed.token_lists["surface"])
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
