"""What makes a study what it is: data, audio and training, resolved from its options.

A definition is a flat mapping: the defining options that matter, with what follows from others filled
in, and, as ``simulated`` and ``model``, what the files that they name hold. Two studies are one if
their definitions are equal. Names of directories are made of what differs from the usual.
"""

import hashlib
import os
import re
import shlex
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any, NoReturn

import yaml

from l2dual.corpora import facts
from l2dual.errors import UsageError
from l2dual.files import parse_yaml, read_yaml
from l2dual.recipe.options import OPTIONS
from l2dual.training.runs import merge

PUBLISHED = ("speechocean762", "l2arctic", "ksponspeech", "pansori")  # one corpus, wherever its copy lies
SIMULATED = ("simulate", "severity", "errors", "engine", "prompts")
DEFINING = [name for name, option in OPTIONS.items() if option.defines]
BY_CONTENT = ("simulate", "train_config", "train_args")  # what they name is in the definition
USUAL_STACK = 2  # of the heads over Whisper's layers
USUAL_WINDOWS = {"n_fft": 512, "hop_length": 160, "center": False}  # of conf/train/*.yaml

Definition = dict[str, Any]


def conf(kind: str, name: str) -> Path:
    """The file of ``conf/KIND`` with a name, the recipe's own before the shared one; a path as it is."""
    if "/" in name or name.endswith((".yaml", ".yml")):
        return Path(name)
    own = Path("conf", kind, f"{name}.yaml")
    return own if own.exists() else Path("../..") / own


def define(options: Mapping[str, str], language: str) -> Definition:
    """The definition that a full set of options gives.

    Raises:
        UsageError: options that do not fit together, or a file that is not there.
    """
    corpus = _corpus(options["corpus"], language)
    convention = options["surface_convention"] or corpus.conventions[0]
    if convention not in corpus.conventions:
        provided = " or ".join(corpus.conventions)
        raise UsageError(f"corpus {options['corpus']} provides its surface as {provided}, not {convention}")
    definition: Definition = {name: options[name] for name in DEFINING}
    definition["surface_convention"] = convention
    if options["corpus"] == "simulated":
        definition["simulated"] = read_yaml(conf("simulate", options["simulate"]))
    else:
        definition |= {name: OPTIONS[name].default for name in SIMULATED}
    if options["corpus"] in (*PUBLISHED, "simulated"):
        definition["db"] = ""  # the published corpus, wherever it lies
    definition |= _tokens(options, language, convention)
    file = train_config(options)
    if not file.is_file():
        raise UsageError(f"{file}: no such file: check --train_config")
    definition["train_config"] = str(file)
    definition["model"] = merge(read_yaml(file), train_changes(options["train_args"]))
    return definition


def _corpus(name: str, language: str):
    corpus = facts(name)
    if language not in corpus.languages:
        raise UsageError(f"corpus {name} is in {','.join(corpus.languages)}: run it in egs2/l2_{corpus.languages[0]}")
    return corpus


def _tokens(options: Mapping[str, str], language: str, convention: str) -> dict[str, str]:
    letters = {"en": "char", "ko": "jamo"}[language]
    phones = (language, convention) == ("en", "pronounced")
    surface = options["surface_token_type"] or ("phn" if phones else letters)
    meaning = options["meaning_token_type"] or letters
    # under heard both outputs are written in one alphabet
    joint = options["token_joint"] or str(convention == "heard" and surface == meaning).lower()
    if joint == "true" and surface != meaning:
        raise UsageError(f"--token_joint true needs one token type: surface is {surface}, meaning {meaning}")
    nbpe = options["nbpe"] if "bpe" in (surface, meaning) else OPTIONS["nbpe"].default
    return {"surface_token_type": surface, "meaning_token_type": meaning, "token_joint": joint, "nbpe": nbpe}


def train_config(options: Mapping[str, str]) -> Path:
    """The training configuration; by default that of the simulated corpus's size."""
    if options["train_config"]:
        return conf("train", options["train_config"])
    own = conf("train", Path(options["simulate"]).stem)
    return own if own.is_file() else conf("train", "mini")


def train_changes(text: str) -> dict[str, Any]:
    """What ``--train_args`` changes: ``--name value``, ``--name_conf key=value...``, as ESPnet reads them.

    Raises:
        UsageError: it has another form.
    """
    try:
        parts = [part for word in shlex.split(text) for part in _halves(word)]
    except ValueError as error:
        raise UsageError(f'--train_args "{text}": {error}: check the quotes') from error
    changes: dict[str, Any] = {}
    name = ""
    for part in parts:
        if part.startswith("--"):
            name = part[2:].replace("-", "_")
            changes.setdefault(name, None)
        elif not name:
            raise UsageError(f'--train_args "{text}": give --name value, as "--max_epoch 20"')
        elif name.endswith("_conf") and "=" in part:
            key, _, text_of_value = part.partition("=")
            value = _value(text_of_value)
            for inner in reversed(key.split(".")):
                value = {inner: value}
            changes[name] = merge(changes[name] or {}, value)
        else:
            changes[name] = _value(part)
    for name, value in changes.items():
        if value is None:
            raise UsageError(f'--train_args "{text}": --{name} needs a value')
    return changes


def check_train_args(text: str) -> None:
    """Refuse options that ESPnet's parser does not know.

    Raises:
        UsageError: the parser's own words.
    """
    from l2dual.training.task import L2DualTask  # takes seconds

    def refuse(message: str) -> NoReturn:
        raise UsageError(f'--train_args "{text}": {message}: see python -m l2dual.bin.train --help')

    parser = L2DualTask.get_parser()
    parser.error = refuse
    parser.parse_args(shlex.split(text))


def _halves(word: str) -> list[str]:
    return word.split("=", 1) if word.startswith("--") else [word]


def _value(text: str) -> Any:
    """A number, also as 1e-3, which YAML takes for text; else what YAML reads."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    try:
        return parse_yaml(text)
    except ValueError as error:
        raise UsageError(f"--train_args: '{text}' is no value: {error}") from error


def differences(old: Definition, new: Definition) -> list[str]:
    """What two definitions differ in, as "severity is paper, not double"."""
    old, new = (_flat({k: v for k, v in each.items() if k not in BY_CONTENT}) for each in (old, new))
    old, new = (each | {"db": one_form(str(each.get("db", "")))} for each in (old, new))
    found = []
    for name in dict.fromkeys([*old, *new]):
        before, after = (str(each.get(name, "")) for each in (old, new))
        if before != after:
            change = f"is {before}, not {after}" if after else f"is {before}, not unset"
            change = change if before else f"is unset, not {after}"
            found.append(f"{name.removeprefix('model.')} {change}")
    return found


def one_form(path: str) -> str:
    """A path, however it was written: absolute, or below the recipe, which may be copied with what it holds."""
    if not path:
        return path
    whole = Path(os.path.abspath(path))
    return str(whole.relative_to(Path.cwd()) if whole.is_relative_to(Path.cwd()) else whole)


def _flat(content: Mapping, prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in content.items():
        name = f"{prefix}{key}"
        flat |= _flat(value, f"{name}.") if isinstance(value, Mapping) else {name: value}
    return flat


# Names ---------------------------------------------------------------------------------------------
def variant(base: str, old: Definition, new: Definition, given: Container[str]) -> str:
    """The name of a study that starts from another: the base's, and the ``given`` options that differ."""
    parts = [base]
    for name in (name for name in DEFINING if name in given or name == "db"):
        same_file = name in ("simulate", "train_config") and _content(name, old) == _content(name, new)
        if new[name] != old[name] and not same_file:
            parts.append(_part(name, new[name]))
    return _short("_".join(filter(None, parts)))


def _content(name: str, definition: Definition) -> Any:
    if name == "simulate":
        return definition.get("simulated")
    return read_yaml(Path(definition["train_config"]))


def _part(name: str, value: str) -> str:
    if name == "corpus":
        return ""  # its name is the base's
    if name in ("db", "simulate", "train_config", "prompts", "field_map"):
        return stem(value)
    if name in ("severity", "errors", "engine", "surface_convention", "audio_format", "losses"):
        return value
    if name in ("surface_token_type", "meaning_token_type"):
        return f"{name.split('_')[0]}-{value}"
    if name in ("assume_surface", "canonical"):
        return {"true": "assumed", "dictionary": "dictionary"}.get(value, f"{name}-{value}")
    if name == "cache_features":
        return "cached" if value == "true" else "uncached"
    if name == "token_joint":
        return "joint" if value == "true" else "apart"
    if name == "columns":
        return f"columns-{digest(value)}"
    if name == "train_args":
        return clean(value.replace("--", "").replace("_conf", ""))
    short = {"data_seed": "data", "speed_factors": "sp", "leave_out_l1": "without-"}
    return short.get(name, name) + clean(value or "default")


def clean(text: str) -> str:
    """Text as a part of a directory's name."""
    return re.sub(r"[^\w.]+", "-", text).strip("-")


def stem(path: str) -> str:
    """A file's name without suffix, as a part of a directory's name."""
    return clean(Path(path).stem)


def digest(text: str) -> str:
    """A few letters that stand for a text that is too long for a name."""
    return hashlib.sha256(text.encode()).hexdigest()[:6]


def _short(name: str) -> str:
    return name if len(name) <= 100 else f"{name[:92]}-{digest(name)}"


def data_tag(definition: Definition) -> str:
    """The name of a data directory, with every setting of stage 1 that is not the usual one."""
    corpus, convention = definition["corpus"], definition["surface_convention"]
    if corpus == "simulated":
        parts = [corpus, stem(definition["simulate"]), convention]
    else:
        parts = [corpus, convention, *([stem(definition["db"])] if definition["db"] else [])]
    for name in ("assume_surface", "canonical", "severity", "errors", "engine", "prompts", "columns", "field_map",
                 "data_seed"):  # fmt: skip
        if definition[name] != OPTIONS[name].default:
            parts.append(_part(name, definition[name]))
    return _short("_".join(parts))


def format_tag(definition: Definition, data: str) -> str:
    """The name of ``data`` with its speeds, format and rate."""
    tag = data + (f"_sp{clean(definition['speed_factors'])}" if definition["speed_factors"] else "")
    if definition["audio_format"] != "flac":
        tag += f"_{definition['audio_format']}"
    return tag + ("" if definition["fs"] == "16000" else f"_{definition['fs']}")


def dump_tag(definition: Definition, formatted: str) -> str:
    """The name of ``formatted`` data after the filter: its limits, and the encoder that it fits."""
    tag = formatted
    for name in ("min_seconds", "max_seconds"):
        if float(definition[name]) != float(OPTIONS[name].default):
            tag += f"_{name[:3]}{definition[name]}"
    if definition["leave_out_l1"]:
        tag += f"_without-{clean(definition['leave_out_l1'])}"
    if definition["frames_per_second"]:
        return f"{tag}_{definition['frames_per_second']}fps"
    frames = frames_tag(definition["model"])
    return f"{tag}_{frames}" if frames else tag


def frames_tag(config: Mapping) -> str:
    """How an encoder shortens speech, where that is not the usual: conv2d after windows of 10 ms."""
    front, encoder = config.get("frontend_conf") or {}, config.get("encoder_conf") or {}
    parts = []
    pretrained = "pretrained" in (config.get("frontend"), config.get("encoder"))
    if pretrained:
        weights = front if config.get("frontend") == "pretrained" else encoder
        parts += [stem(str(weights.get("path", "pretrained"))), *([str(front["stack"])] if "stack" in front else [])]
    elif config.get("frontend", "default") != "default":
        parts.append(f"{config['frontend']}-{digest(yaml.safe_dump(front))}")
    else:
        windows = {key: front.get(key) for key in USUAL_WINDOWS}
        if windows != USUAL_WINDOWS:
            parts.append(f"windows-{digest(yaml.safe_dump(windows))}")
    layer = encoder.get("input_layer", "linear" if config.get("encoder") in ("layered", "pretrained") else "conv2d")
    usual = {"linear"} if pretrained else {"conv2d", "linear"} if parts else {"conv2d"}
    parts += [] if layer in usual else [str(layer)]
    stacks = {head["stack"] for head in (encoder.get("heads") or {}).values() if "stack" in (head or {})}
    parts += [f"stack{stack}" for stack in sorted(stacks - {USUAL_STACK})]
    return "-".join(parts)
