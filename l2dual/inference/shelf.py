"""The models that are there: those that come with l2dual, those of recipes, and those kept in a cache."""

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import l2dual
from l2dual.errors import DataError
from l2dual.files import YAML_BYTES, parse_yaml, user_cache
from l2dual.inference.archive import BROKEN, unpacked
from l2dual.text import LANGUAGES

SHIPPED = Path(__file__).parent / "models"
RECIPES = Path(l2dual.__file__).parents[1] / "egs2"
NEEDED = set("system seed outputs corpus language convention parameters licence figures".split())  # of run.yaml


def models() -> dict[str, Path]:
    """The archives by name: those that l2dual brings, the cache's, then the recipes', the newest first."""
    found = {path.stem: path for folder in (SHIPPED, user_cache()) for path in sorted(folder.glob("*.zip"))}
    for path in sorted(RECIPES.glob("*/exp/*/*/model.zip"), key=lambda one: -one.stat().st_mtime):
        recipe, _, study, run = path.relative_to(RECIPES).parts[:4]
        found[f"{recipe}/{study}/{run}"] = path
    return found


def facts_of(archive: Path) -> dict:
    """What the run.yaml of an archive says, without unpacking the rest.

    Raises:
        DataError: it is no archive of a model.
    """
    try:
        with zipfile.ZipFile(archive) as packed, packed.open("run.yaml") as stream:
            facts = parse_yaml(stream.read(YAML_BYTES).decode("utf-8"))
            if isinstance(facts, dict) and facts.keys() >= NEEDED:
                return facts
            why = "its run.yaml lacks what it needs"
    except (*BROKEN, KeyError, ValueError, OSError) as error:
        why = str(error)
    raise DataError(f"{archive}: not a model.zip ({why}): pack the run again (stage 12)")


def usual(language: str) -> Path:
    """The model of a language that is used where none is named: the first with both outputs.

    Raises:
        DataError: there is none.
    """
    for archive in models().values():
        try:
            facts = facts_of(archive)
        except DataError:
            continue
        if facts["language"] == language and len(facts["outputs"]) == 2:
            return archive
    raise DataError(f"no {LANGUAGES[language]} model here: give --model, or train one with ./run_all.sh")


@contextmanager
def open_model(model: str) -> Iterator[Path]:
    """The directory of a model, for the block: a run, or an archive unpacked.

    Args:
        model: a directory, a file or a name of `models`.

    Raises:
        DataError: there is no such model.
    """
    path = Path(model)
    if not path.exists():
        path = models().get(model, path)
    if path.is_file():
        with unpacked(path) as directory:
            yield _checked(directory, path)
    elif path.is_dir():
        yield _checked(path, path)
    else:
        raise DataError(f"{model}: no such model: give a run's directory or a model.zip, or see `l2dual models`")


def _checked(directory: Path, named: Path) -> Path:
    from l2dual.training.load import is_model  # takes seconds

    if not is_model(directory):
        raise DataError(f"{named}: no model of l2dual: give a run's directory or a model.zip")
    return directory
