"""Gather what the page over several recipes shows: the three systems, from result files alone."""

from pathlib import Path

from l2dual.outputs import SINGLE
from l2dual.report import plots
from l2dual.report.analyses import TABLES, analyses
from l2dual.report.entanglement import read_cka, read_gradients
from l2dual.report.findings import Recipe, findings, recipe_of
from l2dual.report.mispronunciations import LEANING, difference_rows
from l2dual.report.page import LANGUAGE, csv_uri, flatten, limitations, rate_rows
from l2dual.report.rates import PAPER, PAPER_BY_BIN, PAPER_CKA

THREE = (*SINGLE.values(), "do")


def gather_both(exps: list[Path]) -> dict:
    """Collect the content of the page over several recipes.

    Raises:
        DataError: a recipe without results.
    """
    recipes = [recipe_of(exp) for exp in exps]
    groups, found = [recipe.group for recipe in recipes], findings(recipes)
    names = [LANGUAGE.get(group.language, group.language) for group in groups]
    detections = [difference_rows(recipe.group, recipe.half) for recipe in recipes]
    return {
        "recipes": recipes,
        "names": names,
        "findings": found,
        "findings_csv": csv_uri(
            [
                {"finding": row["finding"], "language": group.language, "verdict": status, "numbers": said}
                for row in found
                for group, (status, said) in zip(groups, row["verdicts"], strict=True)
            ]
        ),
        "rates": [
            {output: rate_rows(group, output) for output in group.units} for group in groups
        ],
        "detections": detections,
        "detections_csv": csv_uri(detection_records(names, detections)),
        "papers": [PAPER.get(group.language, {}) for group in groups],
        "papers_by_bin": [PAPER_BY_BIN.get(group.language) for group in groups],
        "papers_cka": [PAPER_CKA.get(group.language) for group in groups],
        "plots": [
            plots.degradation_by_bin(recipe.group, recipe.half, output, f"both{index}-{output}")
            for index, recipe in enumerate(recipes)
            for output in recipe.group.units
            if recipe.group.bins and recipe.group.duals
        ],
        "encoders": [
            read_cka(recipe.exp, recipe.group, THREE, f"both{index}-")
            for index, recipe in enumerate(recipes)
        ],
        "decoders": [decoders(recipe) for recipe in recipes],
        "gradients": [
            read_gradients(recipe.exp, recipe.group, THREE, f"both{index}-")
            for index, recipe in enumerate(recipes)
        ],
        "limitations": shared_limitations(recipes, names),
        "simulated": any(group.corpus == "simulated" for group in groups),
        "csv": csv_uri([flatten(r) for group in groups for r in group.records]),
    }


def detection_records(names: list[str], detections: list[list[dict]]) -> list[dict]:
    """The differences in errors found, a row each for the CSV, in points."""
    return [
        {"language": name, "prompt": row["prompt"], "system": row["system"], "baseline": row["baseline"]}
        | {"measure": measure, "points": cell.mean, "p": cell.p, "p_joint": cell.p_joint}
        | flatten({"interval": list(cell.interval or ()), "joint_interval": list(cell.joint_interval or ())})
        for name, rows in zip(names, detections, strict=True)
        for row in rows
        for measure, cell in zip(LEANING, row["cells"], strict=True)
    ]


def decoders(recipe: Recipe) -> dict | None:
    """The table of how alike decoders are, of the three systems; None where none was compared."""
    wanted = [table for table in TABLES if table.file == "decoders"]
    for table in analyses(recipe.exp, recipe.group, wanted):
        rows = [row for row in table["rows"] if _systems(row["labels"][0]) <= set(THREE)]
        return table | {"rows": rows} if rows else None
    return None


def _systems(decoders_label: str) -> set[str]:
    return {decoder.split()[0] for decoder in decoders_label.split(" ~ ")}


def shared_limitations(recipes: list[Recipe], names: list[str]) -> list[str]:
    """The limitations of all recipes, each once, with the language where it is not of all."""
    of_each = [
        limitations([recipe.group], (recipe.exp / "cka.json").is_file()) for recipe in recipes
    ]
    found = []
    for item in dict.fromkeys(item for items in of_each for item in items):
        whose = [name for name, items in zip(names, of_each, strict=True) if item in items]
        found.append(item if len(whose) == len(names) else f"{' and '.join(whose)}: {item}")
    return found
