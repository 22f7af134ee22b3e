"""Studies: named sets of settings. `studies/NAME.yaml` defines one, `exp/NAME/study.yaml` records one.

A call names a study, or its options make one of their own, with a name that says what differs. What
a study is stays: a call that would change its data or training is refused.

    python -m l2dual.recipe.studies --language en OPTION...     the directory of a call's study
"""

import fcntl
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from l2dual.errors import UsageError, run
from l2dual.files import atomic_write, is_id, read_yaml
from l2dual.recipe.definition import (
    DEFINING,
    Definition,
    define,
    differences,
    one_form,
    stem,
    variant,
)
from l2dual.recipe.options import OPTIONS, nearest, parse

DEFAULT = "mini"
OF_RECORDINGS = "whisper"  # the study that gives the model where the corpus is not simulated
FILES = Path("studies")
RUNS = "*.seed*"  # directories of a study
IN_ITS_FILE = ("decode_config", "zero_shot")  # which a call may change
OF_A_STUDY = (*DEFINING, "systems", "seeds", "rater_folds", *IN_ITS_FILE)
TOKENS = ("surface_token_type", "meaning_token_type", "token_joint", "nbpe")
OF_A_MODEL = ("train_config", "train_args", "losses", "cache_features", *TOKENS, "systems")


@dataclass(frozen=True)
class Study:
    """The study of one call. ``options``: all of them, also those that no study has; ``recorded``: its own."""

    name: str
    language: str
    base: str
    options: dict[str, str]
    recorded: dict[str, str]
    definition: Definition
    said: str  # what it is, in one line

    @property
    def directory(self) -> Path:
        """``exp/NAME``."""
        return Path(self.options["expdir"], self.name)


def choose(given: dict[str, str], language: str) -> Study:
    """The study that a call of a recipe means; run in the recipe's directory.

    Raises:
        UsageError: an unknown study, options that do not fit, or another study of that name.
    """
    expdir = Path(one_form(given.get("expdir") or OPTIONS["expdir"].default))
    name = given.get("study", "")
    known = name in names(expdir)
    base = name if known else given.get("base") or DEFAULT
    if name and not is_id(name):
        raise UsageError(f"--study '{name}' can be no directory: use letters, digits, _ and -")
    if base not in names(expdir):
        raise _unknown(base, expdir)
    if name and not known and not given.keys() & {"base", *DEFINING}:
        raise _unknown(name, expdir)
    start = options_of(base, expdir)
    corpus = given.get("corpus", start["corpus"])
    begins = base  # of the name
    if corpus != start["corpus"] and not known:  # of the base's options only those of its model fit
        base, begins = (base, f"{corpus}_{base}") if "base" in given else (corpus, corpus)
        start = _defaults() | {"corpus": corpus} | _model(given, expdir)
        if given.get("train_args"):
            given = given | {"train_args": f"{start['train_args']} {given['train_args']}".lstrip()}
    options = start | given | {"expdir": str(expdir)}
    options["db"] = one_form(options["db"] or os.environ.get(options["corpus"].upper(), ""))  # of db.sh
    old, new = define(start, language), define(options, language)
    if known and (found := differences(old, new)):
        raise _refused(name, found, f"give them with --base {name} instead, which makes a study of its own")
    name = name or _free(variant(begins, old, new, given), new, language, expdir)
    options |= _recorded(Path(expdir, name), new)
    recorded = {key: (start if key in IN_ITS_FILE else options)[key] for key in OF_A_STUDY}
    changes = [
        f"{key} {new[key] or options[key]}"
        for key in DEFINING
        if key in given and new[key] != old[key] and key != "corpus"
    ]
    said = f": {base}, but with {', '.join(changes)}" if changes else "" if name == base else f": {base}"
    return Study(name, language, base, options, recorded, new, f"study {name} ({Path(expdir, name)}){said}")


def _model(given: Mapping[str, str], expdir: Path) -> dict[str, str]:
    """The options of the base's model, for another corpus; none where a call names a model and no base."""
    if "base" not in given and "train_config" in given:
        return {}
    options = options_of(given.get("base") or OF_RECORDINGS, expdir)
    return {option: options[option] for option in OF_A_MODEL}


def names(expdir: Path) -> list[str]:
    """The studies of a recipe: of files, then of ``expdir``."""
    made = (path.parent.name for path in sorted(expdir.glob("*/study.yaml")))
    return list(dict.fromkeys([*(path.stem for path in sorted(FILES.glob("*.yaml"))), *made]))


def _unknown(name: str, expdir: Path) -> UsageError:
    there = names(expdir)
    return UsageError(
        f"no study '{name}': did you mean {nearest(name, there)}? There are {', '.join(there)}. "
        "A new name needs an option of data or training, as --severity double"
    )


def _defaults() -> dict[str, str]:
    return {name: option.default for name, option in OPTIONS.items()}


def options_of(name: str, expdir: Path) -> dict[str, str]:
    """The options of a study that a file or a record has, and the defaults of the others."""
    file = FILES / f"{name}.yaml"
    content = read_yaml(file) if file.is_file() else read_yaml(expdir / name / "study.yaml")["options"]
    options = {}
    for option, value in content.items():
        if option not in OF_A_STUDY:
            raise UsageError(f"{file}: {option}: no option of a study; did you mean {nearest(option, OF_A_STUDY)}?")
        options[option] = _text(value)
        if options[option]:
            OPTIONS[option].check(option, options[option])
    return _defaults() | options


def _text(value: object) -> str:
    """A value of YAML as an option's: lists are words, and booleans true or false."""
    if isinstance(value, list):
        return " ".join(map(_text, value))
    return str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)


def _free(name: str, new: Definition, language: str, expdir: Path) -> str:
    """``name``, or a longer one if a file defines another study of that name."""
    for free in (name, f"{name}_{stem(new['train_config'])}"):
        file = FILES / f"{free}.yaml"
        if not file.is_file() or not differences(define(options_of(free, expdir), language), new):
            return free
    return f"{name}_own"


def _refused(name: str, found: list[str], remedy: str) -> UsageError:
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    return UsageError(f"study {name} is another: {', '.join(found[:3])}{more}: {remedy}")


def _recorded(directory: Path, new: Definition) -> dict[str, str]:
    """How a study with runs was written, where it may be in several ways; UsageError if it is another than ``new``."""
    record = directory / "study.yaml"
    if not (record.is_file() and any(directory.glob(RUNS))):
        return {}
    content = read_yaml(record)
    if found := differences(content.get("definition", {}), new):
        remedy = "restore that, or give this one a new name (--study NAME)"
        raise _refused(directory.name, found, remedy)
    written = content.get("options", {})
    return {name: written[name] for name in ("train_args", "train_config") if name in written}


def record(study: Study, command: str) -> None:
    """Write ``exp/NAME/study.yaml``, and ``train.yaml`` if ``--train_args`` changes the model.

    Raises:
        UsageError: a run that is under way would have them changed.
    """
    defaults = _defaults()
    options = {key: value for key, value in study.recorded.items() if value != defaults[key]}
    about = {"study": study.name, "language": study.language, "base": study.base, "options": options}
    files = {"study.yaml": about | {"definition": study.definition}}
    if study.options["train_args"]:
        files["train.yaml"] = study.definition["model"]
    for name, content in files.items():
        path = study.directory / name
        if path.is_file() and not differences(_defining(read_yaml(path)), _defining(content)):
            continue  # its first line says who wrote it; a changed file would train all anew
        _check_free(study.directory)
        with atomic_write(path) as stream:
            stream.write(f"# {command}\n")
            yaml.safe_dump(content, stream, allow_unicode=True, sort_keys=False)


def _defining(content: dict) -> dict:
    return content.get("definition", content)


def _check_free(directory: Path) -> None:
    """Raise a UsageError if a run holds the directory, as `claim` of l2dual.sh does."""
    lock = directory / ".run"
    if not lock.is_file():
        return
    with lock.open() as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UsageError(
                f"another run uses {directory}: {stream.read().strip()}: wait for it, or stop it"
            ) from error


def main() -> None:
    given = parse(sys.argv[1:])
    print(choose(given, given.pop("language")).directory)


if __name__ == "__main__":
    run(main)
