"""Measure which pronunciation rules espeak-ng renders audibly; see l2dual/phonology/audible.py.

    python -m l2dual.bin.measure_rules --language en
"""

import argparse
import json

from l2dual import synth
from l2dual.bin import run
from l2dual.files import atomic_write
from l2dual.phonology import MODULES, audible, load


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--language", required=True, choices=sorted(MODULES))
    language = parser.parse_args().language
    phonology = load(language)
    rules = audible.measure(phonology.VOICE, phonology.contrasts())
    table = {"engine": synth.version(), "threshold": audible.THRESHOLD, "rules": rules}
    with atomic_write(audible.FOLDER / f"audible.{language}.json") as stream:
        json.dump(table, stream, indent=1, ensure_ascii=False)
        stream.write("\n")
    for name, row in rules.items():
        print(f"{name:24s} {row['ratio']:6.2f} {'' if row['audible'] else 'dropped'}")


if __name__ == "__main__":
    run(main)
