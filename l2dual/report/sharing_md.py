"""SHARING.md of a recipe, and the picture over both languages, from kept studies whose arms share in unlike ways."""

from collections import Counter
from pathlib import Path

from l2dual.files import write_text
from l2dual.report import hypotheses, length, tables
from l2dual.report.choice import VALID, choice
from l2dual.report.page import render, view
from l2dual.report.plots import Figure
from l2dual.report.sharing import Section, picture, sections
from l2dual.report.study import StudyResults

Kept = dict[str, StudyResults]  # the kept studies of a recipe by name
Arms = dict[str, Section]  # the sections of those that have such arms


def sections_of(kept: list[Kept]) -> list[Arms]:
    """The arms of each recipe; a study is tested over all recipes that have it."""
    found: list[Arms] = [{} for _ in kept]
    for name in sorted({name for of in kept for name, study in of.items() if study.results.meta.split != VALID}):
        having = [index for index, of in enumerate(kept) if name in of]
        made = sections([kept[index][name] for index in having], [name] * len(having))
        for index, section in zip(having, made, strict=True):
            if section:
                found[index][name] = section
    return found


def over_all(kept: list[Kept], arms: list[Arms]) -> Figure | None:
    """The picture of the study that most recipes have; of several, that with the most systems, then by name."""
    recipes = Counter(name for of in arms for name in of)
    if not recipes:
        return None
    systems = {name: sum(len(of[name].systems) for of in kept if name in of) for name in recipes}
    chosen = min(recipes, key=lambda name: (-recipes[name], -systems[name], name))
    return picture([of[chosen] for of, found in zip(kept, arms, strict=True) if chosen in found], "")


def write_sharing_md(recipe: Path, kept: Kept, arms: Arms, over: Figure | None) -> list[Path]:
    """Write SHARING.md and its plots of a recipe, if it has such arms."""
    studies = []
    for name, section in arms.items():
        for figure in section.figures:
            write_text(recipe / f"{figure.name}.svg", figure.raw)
        developed = [kept[f"{name}_on_{VALID}"]] if f"{name}_on_{VALID}" in kept else []
        lengths = length.lengths_of(name, kept)
        longer = (length.table(lengths), length.figure(lengths, f"{name}-length")) if len(lengths) > 1 else None
        if longer:
            write_text(recipe / f"{longer[1].name}.svg", longer[1].raw)
        studies.append((name, view(kept[name], name, [], section), choice(developed), longer))
    if not studies:
        return []
    about = {"language": studies[0][1]["name"], "picture": over, "hypotheses": hypotheses.ABOUT, "about": tables.ABOUT}
    return [write_text(recipe / "SHARING.md", render("sharing.md.jinja", {"studies": studies} | about))]
