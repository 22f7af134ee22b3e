"""AI-Hub's learner corpora: what was to be read and what was heard, in one JSON file a recording.

The sets have the same content under other names, so a field map names the fields (YAML,
data/aihub_*.yaml; see docs/corpora/aihub.md). Meaning is the text to read, canonical too; surface
is the text as it was heard.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from l2dual.corpora import Request
from l2dual.corpora.common import splits
from l2dual.corpora.common.disk import files, whole
from l2dual.data.utterance import SPLITS, Utterance
from l2dual.errors import DataError, UsageError
from l2dual.files import read_yaml
from l2dual.text.cleaning import plain

LANGUAGES = ("ko", "en")
CONVENTIONS = ("heard",)
SURFACE = "annotated"
OPTIONS = ("field_map",)

DATA = Path(__file__).parent / "data"
FIELD_MAPS = {path.stem.removeprefix("aihub_"): path for path in sorted(DATA.glob("aihub_*.yaml"))}
USUAL = {"ko": "505", "en": "71463"}  # of FIELD_MAPS
REQUIRED = ("speaker", "meaning", "surface")
OWN = (*REQUIRED, "audio", "id", "l1")  # fields that are no facts
RESERVED = {"spk", "segment", "speed", "dur"}  # tables utt2<name> that are something else


@dataclass(frozen=True)
class FieldMap:
    """The fields of a set.

    ``labels`` and ``audio`` are glob patterns under ``--db``. ``fields`` has, by name, the dotted
    path in a label; those beside `OWN` become facts. ``values`` says what to write instead of a
    field's value, ``clean`` what to replace in both texts (pattern, replacement). ``splits`` says
    which split a folder is, by a part of its name.
    """

    file: Path
    language: str
    source: str
    labels: str
    audio: str
    fields: Mapping[str, str]
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    clean: tuple[tuple[re.Pattern, str], ...] = ()
    splits: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, file: Path) -> "FieldMap":
        """Read and check a field map.

        Raises:
            UsageError: an entry is missing, unknown or not valid.
        """
        content = read_yaml(file)
        needed = {"language", "source", "labels", "audio", "fields"}
        known = needed | {"values", "clean", "splits"}
        for key in sorted(needed - set(content)):
            raise UsageError(f"{file}: `{key}` is missing: add it (docs/corpora/aihub.md)")
        for key in sorted(set(content) - known):
            raise UsageError(f"{file}: unknown entry `{key}`: use {', '.join(sorted(known))}")
        for key in ("fields", "values", "splits"):
            if not isinstance(content.get(key, {}), dict):
                raise UsageError(f"{file}: `{key}` must hold `name: value` lines")
        for key in ("fields", "splits"):
            content[key] = {str(name): str(value) for name, value in content.get(key, {}).items()}
        for name, replaced in content.get("values", {}).items():
            if not isinstance(replaced, dict) or not all(type(x) in (str, int) for x in chain(*replaced.items())):
                raise UsageError(f"{file}: values: {name}: give `found: written` lines; quote yes, no, dates")
            content["values"][name] = {str(found): str(written) for found, written in replaced.items()}
        for key in ("labels", "audio"):
            if not isinstance(content[key], str) or content[key].startswith("/"):
                raise UsageError(f"{file}: `{key}` must be a pattern below --db, not {content[key]!r}")
        for name in REQUIRED:
            if name not in content["fields"]:
                raise UsageError(f"{file}: `fields` has no `{name}`: add its path in the labels")
        for name in content["fields"]:
            if name in RESERVED or not re.fullmatch(r"[a-z][a-z0-9_]*", name):
                raise UsageError(f"{file}: `fields` can't have `{name}`: choose another name")
        for folder, split in content.get("splits", {}).items():
            if split not in SPLITS:
                raise UsageError(f"{file}: splits: {folder}: `{split}` is none of {SPLITS}")
        try:
            clean = tuple((re.compile(old), new) for old, new in content.pop("clean", []))
            for pattern, new in clean:
                re.compile(f"{pattern.pattern}|").sub(new, "")  # or an error of the replacement
        except (re.error, ValueError, TypeError, IndexError) as error:
            raise UsageError(f"{file}: clean: {error}: give [pattern, replacement]") from None
        return cls(file=file, clean=clean, **content)

    def look_up(self, label: object, name: str, file: Path) -> str:
        """Return what the label in ``file`` has for a field; ``null`` is "".

        Raises:
            DataError: the field's path is not there, or leads to no single value.
        """
        value, path = label, self.fields[name]
        for key in path.split("."):
            if isinstance(value, list) and key.isdigit() and int(key) < len(value):
                value = value[int(key)]
            elif isinstance(value, dict) and key in value:
                value = value[key]
            else:
                there = f"keys {', '.join(value)}" if isinstance(value, dict) else repr(value)[:60]
                raise DataError(
                    f"{file}: no `{path}`: `{key}` is not there, but {there}; "
                    f"correct `{name}` under `fields` in {self.file}"
                )
        if isinstance(value, (dict, list)):
            raise DataError(
                f"{file}: `{path}` is not a single value; "
                f"correct `{name}` under `fields` in {self.file}"
            )
        text = "" if value is None else str(value).strip()
        return self.values.get(name, {}).get(text, text)

    def text(self, raw: str) -> str:
        """Return a text of the corpus cleaned, without punctuation."""
        for pattern, replacement in self.clean:
            raw = pattern.sub(replacement, raw)
        return plain(raw)

    def split(self, label: Path) -> str:
        """Return the split of a label file by the folders it lies in; "" if the map gives none."""
        if not self.splits:
            return ""
        for folder, split in self.splits.items():
            if any(folder in whole(part) for part in label.parts[:-1]):
                return split
        raise DataError(
            f"{label}: in no folder named {' or '.join(self.splits)}; give --db the folder above "
            f"them, or correct `splits` in {self.file}"
        )


def prepare(db: Path, request: Request) -> tuple[list[Utterance], dict]:
    """Read a set of AI-Hub as its field map says.

    Left out are recordings without a text to read or a text heard (free speech), and labels without
    a recording (a part of the set is enough). Where the two texts differ by spaces only, surface
    gets those of meaning: nobody hears a space.

    Args:
        db: the set's directory, unpacked.
        request: ``field_map``, a name in FIELD_MAPS or a YAML file (by default that of the
            language), and ``seed`` of the splits.

    Raises:
        UsageError: the field map is not right.
        DataError: a label is not as the field map says, or nothing is left.
    """
    db = Path(db)
    field_map = FieldMap.load(field_map_file(request.field_map or USUAL[request.language]))
    if field_map.language != request.language:
        raise UsageError(
            f"{field_map.file}: for language {field_map.language}, but the recipe's is "
            f"{request.language}: give another --field_map, or run the other recipe"
        )
    utterances, counts = read_labels(db, field_map)
    utterances, split_facts = splits.settle(utterances, request.seed)
    info = {
        "licence": "AI-Hub terms of use: on application, not to be passed on",
        "source": field_map.source,
        "field_map": field_map.file.name,
        **counts,
    }
    return utterances, info | split_facts


def field_map_file(choice: str) -> Path:
    """The file of a field map: ours, by its name, or the user's."""
    file = FIELD_MAPS.get(str(choice), Path(choice))
    if not file.is_file():
        some = ", ".join(FIELD_MAPS)
        raise UsageError(f"--field_map {choice}: no such file: give one, or a name: {some}")
    return file


def read_labels(db: Path, field_map: FieldMap) -> tuple[list[Utterance], dict]:
    """Return the utterances of all labels, and how many were left out or changed."""
    recordings = defaultdict(list)
    for path in find(db, field_map, "audio"):
        recordings[whole(path.stem)].append(path)
    labels = find(db, field_map, "labels")
    utterances, left_out, respaced = [], Counter(), 0
    lacking: Counter[str] = Counter()  # labels without a field
    fault: dict[str, str] = {}
    for file in labels:
        label = read_json(file)
        found = {}
        for name in field_map.fields:
            try:
                found[name] = field_map.look_up(label, name, file)
            except DataError as error:
                if name in REQUIRED:
                    raise
                lacking[name] += 1
                fault.setdefault(name, str(error))
        meaning, surface = (field_map.text(found[name]) for name in ("meaning", "surface"))
        stem = Path(found.get("audio", "").replace("\\", "/")).stem or whole(file.stem)
        if not meaning or not surface:
            left_out["no text to read" if not meaning else "no text heard"] += 1
        elif stem not in recordings:
            left_out["no recording"] += 1
        else:
            if surface != meaning and surface.replace(" ", "") == meaning.replace(" ", ""):
                surface, respaced = meaning, respaced + 1
            audio = only_one(recordings[stem], file, field_map)
            split = field_map.split(file.relative_to(db))
            utterances.append(make_utterance(found, meaning, surface, audio, split, file))
    for name, number in lacking.items():
        if number == len(labels):  # a wrong path; else some labels lack the field
            raise DataError(fault[name])
    if not utterances:
        raise DataError(f"{db}: no utterance is left of {len(labels)} labels ({dict(left_out)})")
    return utterances, {"left_out": dict(left_out), "spaces_as_in_meaning": respaced}


def find(db: Path, field_map: FieldMap, name: str) -> list[Path]:
    """Return the files that the map's pattern ``name`` matches, sorted."""
    pattern = getattr(field_map, name)
    paths = files(db, pattern)
    if not paths:
        raise DataError(
            f"{db}: no file {pattern}; unpack the set there, "
            f"or correct `{name}` in {field_map.file}"
        )
    return paths


def only_one(paths: list[Path], file: Path, field_map: FieldMap) -> Path:
    if len(paths) > 1:
        raise DataError(
            f"{file}: its recording may be {paths[0]} or {paths[1]}; "
            f"correct `audio` in {field_map.file} to match only one"
        )
    return paths[0]


def make_utterance(
    found: Mapping[str, str], meaning: str, surface: str, audio: Path, split: str, file: Path
) -> Utterance:
    """Return the utterance of the label in ``file``; ``found`` has the values of its fields."""
    speaker = name_safely(found["speaker"])
    if not speaker:
        raise DataError(f"{file}: the speaker is empty; correct the label")
    return Utterance(
        id=f"{speaker}-{name_safely(found.get('id') or whole(audio.stem))}",
        split=split,
        speaker=speaker,
        audio=audio,
        surface=surface,
        meaning=meaning,
        canonical=meaning,
        l1=found.get("l1") or "unknown",
        facts={name: value for name, value in found.items() if name not in OWN and value},
    )


def read_json(file: Path) -> object:
    try:
        return json.loads(whole(file.read_text(encoding="utf-8-sig")))
    except ValueError as error:  # UnicodeDecodeError is one
        raise DataError(f"{file}: not JSON in UTF-8 ({error}); get the file again") from None


def name_safely(text: str) -> str:
    """Return ``text`` with nothing in it that a file name or a table can't hold."""
    return re.sub(r"[^\w.-]+", "_", text)
