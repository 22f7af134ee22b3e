"""Measure which pronunciation rules an engine renders audibly; see l2dual/simulate/audible.py.

    python -m l2dual.bin.measure_rules --language en --engine espeak
"""

import argparse
import json

from l2dual.errors import run
from l2dual.files import atomic_write
from l2dual.simulate import MODULES, audible, engines, phonology


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--language", required=True, choices=sorted(MODULES))
    parser.add_argument("--engine", default="espeak", choices=engines.ENGINES)
    args = parser.parse_args()
    rules = audible.measure(args.language, phonology(args.language).contrasts(), args.engine)
    table = {
        "engine": engines.load(args.engine).version(),
        "threshold": audible.THRESHOLDS[args.engine],
        "rules": rules,
    }
    path = audible.FOLDER / f"audible.{args.language}.{args.engine}.json"
    with atomic_write(path) as stream:
        json.dump(table, stream, indent=1, ensure_ascii=False)
        stream.write("\n")
    for name, row in rules.items():
        print(f"{name:24s} {row['ratio']:6.2f} {'' if row['audible'] else 'dropped'}")


if __name__ == "__main__":
    run(main)
