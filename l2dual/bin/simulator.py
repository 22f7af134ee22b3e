"""The simulator's own measurements, which its rules' files hold; run at the project's root.

    python -m l2dual.bin.simulator measure --language ko --engine kokoro    # rules that are heard
    python -m l2dual.bin.simulator fit --language ko --engine espeak        # severities
    python -m l2dual.bin.simulator show                                     # docs/simulator.md

measure  minutes; l2dual/simulate/audible.py. Run it when rules or the engine change
fit      a minute; l2dual/simulate/fit.py. Run it after measure, or when prompts change
show     some minutes; the divergence at each severity, as a table and a plot. Run it after fit
"""

import argparse
from pathlib import Path

from l2dual.data.divergence import PAPER
from l2dual.errors import UsageError, run
from l2dual.files import read_yaml
from l2dual.simulate import MODULES, engines

SIZES = Path("conf/simulate/measure.yaml")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=sorted(ACTIONS))
    parser.add_argument("--language", choices=sorted(MODULES), help="to measure or fit")
    parser.add_argument("--engine", default="espeak", choices=engines.ENGINES)
    args = parser.parse_args()
    if (args.language is None) == (args.action in ("fit", "measure")):
        raise UsageError(f"simulator: --language is for measure and fit; you asked for {args.action}")
    ACTIONS[args.action](args)


def _measure(args: argparse.Namespace) -> None:
    from l2dual.simulate import audible

    for name, row in audible.write_rules(args.language, args.engine).items():
        print(f"{name:24s} {row['ratio']:6.2f} {'' if row['audible'] else 'dropped'}")


def _fit(args: argparse.Namespace) -> None:
    from l2dual.simulate import fit, severity

    reached = fit.write_severities(args.language, args.engine, read_yaml(SIZES))["reached"]
    print(severity.path(args.language, args.engine))
    for name, percent in reached["paper"].items():
        print(f"paper, bin {name}: {percent} %, wanted {PAPER[args.language][name]} %")
    for name, multiple in reached["of_its_mean"].items():
        print(f"{name}: {multiple} of the mean of paper, wanted {severity.SETTINGS[name]}")


def _show(args: argparse.Namespace) -> None:
    from l2dual.report import severity as shown
    from l2dual.simulate import fit

    print(shown.publish(fit.at_each_severity(args.engine, read_yaml(SIZES))))


ACTIONS = {"fit": _fit, "measure": _measure, "show": _show}

if __name__ == "__main__":
    run(main)
