"""Fit the severities to the paper's divergence bins; see l2dual/simulate/severity.py.

    python -m l2dual.bin.fit_severity --language ko --engine espeak

Needs conf/simulate/measure.yaml and a minute. Run it again when rules, prompts or the gate change.
"""

import argparse
from pathlib import Path

import yaml

from l2dual.data.divergence import PAPER
from l2dual.errors import run
from l2dual.files import atomic_write, read_yaml
from l2dual.simulate import MODULES, engines
from l2dual.simulate.fit import fit
from l2dual.simulate.severity import SETTINGS, path

PRESET = Path("conf/simulate/measure.yaml")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--language", required=True, choices=sorted(MODULES))
    parser.add_argument("--engine", default="espeak", choices=engines.ENGINES)
    args = parser.parse_args()
    found = fit(args.language, args.engine, read_yaml(PRESET))
    with atomic_write(path(args.language, args.engine)) as stream:
        stream.write(
            "# Speakers' error scales for each severity: l2dual/simulate/severity.py.\n"
            f"# python -m l2dual.bin.fit_severity --language {args.language} --engine {args.engine}\n"
        )
        yaml.safe_dump(found, stream, sort_keys=False)
    print(path(args.language, args.engine))
    for name, percent in found["reached"]["paper"].items():
        print(f"paper, bin {name}: {percent} %, wanted {PAPER[args.language][name]} %")
    for name, multiple in found["reached"]["of_its_mean"].items():
        print(f"{name}: {multiple} of the mean of paper, wanted {SETTINGS[name]}")


if __name__ == "__main__":
    run(main)
