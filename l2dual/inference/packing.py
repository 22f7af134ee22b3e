"""Pack a trained run into one file that opens on another machine, without the recipe.

The format is ESPnet's (`espnet_model_zoo` unpacks it): meta.yaml names the files. All of them have short
names of their own, and the configuration names them so.
"""

import io
import re
import sys
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path

import espnet2
import torch
import yaml

import l2dual
from l2dual.data.datadir import DataDir, read_info
from l2dual.data.frames import rate_of
from l2dual.data.weights import Weights, read_json
from l2dual.errors import DataError
from l2dual.files import atomic_write, read_yaml
from l2dual.inference.card import agreements, beside, card, figures
from l2dual.inference.rater import FACTS, FOLDER, WEIGHTS
from l2dual.text.lexicon import FILE as LEXICON
from l2dual.training.load import FORMAT, SEARCH, best_model, load_model, named_files, of_recipe

NAMES = {"stats_file": "stats.npz", "path": "pretrained"}  # by the key of the configuration
FETCHED = "source.json"  # of a pretrained encoder that a tool can fetch again: it is not packed
PRETRAINED = ("config.json", "preprocessor_config.json", "model.safetensors")  # what a pretrained encoder needs
TOKENIZER = "tokenizer.json"  # and what Whisper's decoder needs
PLACE = re.compile(r"(?<![^\s=])/(\\.|[^\s=\\])*/(?=\S)")  # before the name in an absolute path, as bash quotes it
SYNTHESIZED = "none is needed: a synthesizer spoke them"
SAID = ("data", "train_config", "command")  # of run.yaml, where paths may be those of one machine


def pack(exp: Path, out: Path, search: Mapping | None = None) -> None:
    """Write the archive of a run, which searches by the options ``search`` if it is not told others.

    Weights are halved to 16 bits, which changed no hypothesis where it was measured (docs/transcribe.md);
    statistics and pretrained encoders are not. A pretrained encoder that a tool has fetched
    (`l2dual get_whisper`) is named, with what tells it from others of its shape, and not packed.

    Raises:
        DataError: it is not trained, or a part of it is missing or does not fit.
    """
    model = load_model(exp)  # an archive must hold a model that loads
    config, files, fingerprints, sources = _portable(exp)
    facts = read_yaml(exp / "run.yaml")
    results = exp.parent / "results.json"
    found = figures(results, facts["system"]) if results.is_file() else []
    facts |= {"figures": found, "rate": rate_of(config), "rests_on": sources} | about_data(facts, exp)
    facts |= {key: PLACE.sub("", facts[key]) for key in SAID}
    baselines = exp.parent / "baselines.json"
    if baselines.is_file():
        facts["beside"] = beside(baselines, facts["system"])
    agreement = exp.parent / "agreement.json"
    if agreement.is_file() and (exp / FOLDER / FACTS).is_file():
        facts["ratings"] = agreements(agreement, facts["system"])
    facts["parameters"] = sum(one.numel() for one in model.parameters())
    texts = {
        "meta.yaml": _dump(_meta() | {"pretrained": fingerprints}),
        "config.yaml": _dump(config),
        "run.yaml": _dump(facts),
        "README.md": card(facts),
        SEARCH: _dump(dict(search or {})),
    }
    state = torch.load(best_model(exp), map_location="cpu", weights_only=True)
    with atomic_write(out, "wb") as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in texts.items():
            archive.writestr(name, text)
        archive.writestr("model.pth", _weights(state, {name for name, _ in model.named_parameters()}))
        for name, file in files.items():
            archive.write(file, name)
        for name in (f"{FOLDER}/{FACTS}", f"{FOLDER}/{WEIGHTS}", LEXICON):
            if (exp / name).is_file():
                archive.write(exp / name, name)


def _portable(exp: Path) -> tuple[dict, dict[str, Path], dict[str, str], dict[str, dict]]:
    """A run's configuration with the archive's names of files; the file of each name; and, of each pretrained
    encoder that is named alone, its fingerprint, and where it comes from."""
    config = deepcopy(read_yaml(exp / "config.yaml"))
    files, fingerprints, sources = dict[str, Path](), dict[str, str](), dict[str, dict]()
    for place, key, file in named_files(config):
        found = of_recipe(file, exp)
        if found is None:
            raise DataError(f"{file}: no such file, which {exp / 'config.yaml'} names: work in the recipe's directory")
        if (found / FETCHED).is_file():
            name = place[key] = found.resolve().name
            fingerprints[name], sources[name] = Weights(found, "encoder").fingerprint(), read_json(found / FETCHED)
            continue
        name = NAMES.get(key, f"{key.removesuffix('_bpemodel')}.bpe.model")
        place[key] = name
        files |= dict(_files_of(found, name))
    for key in ("config", "output_dir"):
        config[key] = None  # of the machine that it was trained on
    return config, files, fingerprints, sources


def _files_of(file: Path, name: str) -> Iterator[tuple[str, Path]]:
    if not file.is_dir():
        yield name, file
        return
    for inner in PRETRAINED:
        if not (file / inner).is_file():
            raise DataError(f"{file / inner}: no such file: get the pretrained encoder again")
        yield f"{name}/{inner}", file / inner
    if (file / TOKENIZER).is_file():
        yield f"{name}/{TOKENIZER}", file / TOKENIZER


def _weights(state: dict[str, torch.Tensor], parameters: set[str]) -> bytes:
    """A checkpoint with parameters of 16 bits; statistics, which may be large, stay as they are."""
    halved = {
        name: value.half() if name in parameters and value.is_floating_point() else value
        for name, value in state.items()
    }
    stream = io.BytesIO()
    torch.save(halved, stream)
    return stream.getvalue()


def _meta() -> dict:
    return {
        "files": {"model_file": "model.pth"},
        "yaml_files": {"train_config": "config.yaml"},
        "timestamp": datetime.now(UTC).timestamp(),
        "python": sys.version,
        "torch": str(torch.__version__),
        "espnet": espnet2.__version__,
        "l2dual": l2dual.__version__,
        "format": FORMAT,
    }


def about_data(facts: dict, exp: Path) -> dict:
    """Of the data that a run was trained on: the licence (None where they are gone or do not say), and how many
    speakers of each first language and group."""
    found = of_recipe(f"{facts['data']}/train", exp)
    licence = SYNTHESIZED if facts["corpus"] == "simulated" else read_info(found).get("licence") if found else None
    data = None
    if found:
        with suppress(DataError):  # a part of it may be gone
            data = DataDir.load(found)
    if data is None:
        return {"licence": licence, "speakers": []}
    kinds = (data.tables.get(f"utt2{kind}", {}) for kind in ("l1", "group"))
    speakers = [{name: of[utt] for utt, name in data.people.items() if utt in of} for of in kinds]
    return {"licence": licence, "speakers": [dict(Counter(of.values())) for of in speakers]}


def _dump(content: dict) -> str:
    return yaml.safe_dump(content, allow_unicode=True, sort_keys=False)
