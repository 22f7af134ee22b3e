"""The models that are here: language, what they were trained on, their figures, and what they are not for.

    l2dual models
"""

import argparse
import textwrap

from l2dual.errors import DataError, one_line, run
from l2dual.inference.card import CORPUS, NOT_FOR, agreed, told
from l2dual.inference.shelf import facts_of, models
from l2dual.text import LANGUAGES


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args()
    found = models()
    for name, archive in found.items():
        try:
            lines = _lines(facts_of(archive))
        except DataError as error:
            lines = [one_line(str(error))]
        print(name)
        for line in lines:
            print(textwrap.fill(line, 100, initial_indent="    ", subsequent_indent="      "))
    print(f"None of them is for {NOT_FOR}." if found else "none: train one with ./run_all.sh, or give --model FILE")


def _lines(facts: dict) -> list[str]:
    """What is to be known of a model."""
    outputs, size = " and ".join(facts["outputs"]), round(facts["parameters"] / 1e6, 1)
    figures = ", ".join(told(one) for one in facts["figures"])
    ratings = ", ".join(agreed(one) for one in facts.get("ratings", []))
    rated = [f"rater of pronunciation: {ratings}"] * bool(ratings)
    return [
        f"{LANGUAGES.get(facts['language'], facts['language'])}, {outputs}, surface as {facts['convention']}",
        f"{facts['system']}, seed {facts['seed']}, {size} M parameters; trained on "
        f"{CORPUS.get(facts['corpus'], facts['corpus'])}; licence of the data: {facts['licence'] or 'not known'}",
        f"error rates, means over the seeds of its study: {figures}" if figures else "not scored",
        *rated,
    ]


if __name__ == "__main__":
    run(main)
