"""Pronunciation rules as data: the class, and the loader that both languages share.

``rules/<language>.yaml`` holds ``classes`` (names for sets of units) and ``rules`` (per L1 a list;
a language may keep its native rules there too, under a name of its own)::

    classes:
      vowel: AA AE AH
    rules:
      korean:
        - name: th-s            # one name, one change: under another L1 only the rate and the
          from: TH              #   source may differ
          to: S                 # units and spaces; empty `to`: deletion, empty `from`: insertion
          preceded_by: vowel    # optional: units or classes; one must stand before the site
          followed_by: "# K"    # optional: likewise after it; "#" is the word boundary
          position: initial     # optional: which sites; what the words mean is the language's
          rate: 0.3             # probability per site for a learner of average proficiency
          source: Author (year), what it reports
"""

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml

from l2dual.errors import DataError

BOUNDARY = "#"
FOLDER = Path(__file__).parent / "rules"
KEYS = {"name", "from", "to", "preceded_by", "followed_by", "position", "rate", "source"}


@dataclass(frozen=True)
class Rule:
    """One change of pronunciation; an empty context or position allows any."""

    name: str
    l1: str
    old: tuple[str, ...]
    new: tuple[str, ...]
    preceded_by: frozenset[str]
    followed_by: frozenset[str]
    position: str
    rate: float
    source: str

    def fits(self, before: str, after: str) -> bool:
        """Whether a site between the units ``before`` and ``after`` (or "#") has the context."""
        return (not self.preceded_by or before in self.preceded_by) and (
            not self.followed_by or after in self.followed_by
        )


class Error(NamedTuple):
    """What goes wrong at one site once the learner's error scale reaches ``threshold``."""

    threshold: float
    site: int
    rule: Rule
    draw: float  # uniform: which other sound, in the arm of random substitution


def draw_errors(sites: Sequence[Sequence[Rule]], rng: np.random.Generator) -> list[Error]:
    """The error of each site, in the order in which they appear as the error scale grows.

    ``sites``: per site the rules that may apply there. Each draws a uniform number of its own and
    applies where that is below rule.rate * scale; the one with the least threshold takes the site.
    So a higher scale keeps every error of a lower one.
    """
    errors = []
    for site, rules in enumerate(sites):
        uniforms = rng.random(len(rules) + 1)
        if rules:
            rates = np.array([rule.rate for rule in rules])
            first = int(np.argmin(uniforms[:-1] / rates))
            threshold = float(uniforms[first] / rates[first])
            errors.append(Error(threshold, site, rules[first], float(uniforms[-1])))
    return sorted(errors, key=lambda error: error.threshold)


def confusable(rules: Iterable[Rule], audible: Container[str]) -> set[frozenset[str]]:
    """Pairs of units that a rule changes into each other, unheard."""
    silent = (rule for rule in rules if rule.name not in audible)
    return {frozenset(rule.old + rule.new) for rule in silent if len(rule.old + rule.new) == 2}


def pick(choices: Sequence, draw: float):
    """The choice that the uniform number ``draw`` falls on."""
    return choices[int(draw * len(choices))]


@cache
def load_rules(
    language: str, units: Container[str], positions: Container[str] = frozenset()
) -> dict[str, tuple[Rule, ...]]:
    """The rules of ``rules/<language>.yaml`` by L1, in the file's order.

    ``units`` and ``positions`` (both hashable) are what the language knows; anything else raises
    a DataError that names the file and the rule.
    """
    return read_rules(FOLDER / f"{language}.yaml", units, positions)


def read_rules(
    path: Path, units: Container[str], positions: Container[str] = frozenset()
) -> dict[str, tuple[Rule, ...]]:
    """As load_rules, from any file."""
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    classes = {name: str(members).split() for name, members in data.get("classes", {}).items()}
    rules: dict[str, tuple[Rule, ...]] = {}
    changes: dict[str, Rule] = {}
    for l1, entries in data["rules"].items():
        rules[l1] = tuple(_rule(path, l1, entry, classes, units, positions) for entry in entries)
        if len({rule.name for rule in rules[l1]}) < len(entries):
            raise DataError(f"{path}: {l1} has two rules of one name; rename one")
        for rule in rules[l1]:
            change = replace(rule, l1="", rate=0.0, source="")
            if changes.setdefault(rule.name, change) != change:
                raise DataError(
                    f"{path}: {l1}/{rule.name} is another change than the rule of that name"
                    " under another L1; rename it"
                )
    return rules


def _rule(path, l1, entry, classes, units, positions) -> Rule:
    name = f"{l1}/{entry.get('name', '?')}"
    missing = {"name", "from", "to", "rate", "source"} - entry.keys()
    if missing or entry.keys() - KEYS:
        wrong = sorted(missing or entry.keys() - KEYS)[0]
        raise DataError(f"{path}: {name}: key '{wrong}' is {'missing' if missing else 'unknown'}")

    def read(key: str) -> list[str]:
        return str(entry[key] if entry.get(key) is not None else "").split()

    def context(key: str) -> frozenset[str]:
        return frozenset(unit for word in read(key) for unit in classes.get(word, [word]))

    rule = Rule(
        name=entry["name"],
        l1=l1,
        old=tuple(read("from")),
        new=tuple(read("to")),
        preceded_by=context("preceded_by"),
        followed_by=context("followed_by"),
        position=entry.get("position", ""),
        rate=float(entry["rate"]),
        source=str(entry["source"]),
    )
    used = {*rule.old, *rule.new, *rule.preceded_by, *rule.followed_by} - {BOUNDARY}
    unknown = sorted(unit for unit in used if unit not in units)
    if unknown:
        raise DataError(f"{path}: {name}: '{unknown[0]}' is neither a unit nor a class")
    if rule.position and rule.position not in positions:
        raise DataError(f"{path}: {name}: unknown position '{rule.position}'")
    if rule.old == rule.new:
        raise DataError(f"{path}: {name}: changes nothing; `from` and `to` are alike")
    if not 0 < rule.rate <= 1:
        raise DataError(f"{path}: {name}: the rate must be above 0 and at most 1")
    return rule
