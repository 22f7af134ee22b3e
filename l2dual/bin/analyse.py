"""Stage 11: what the encoders and decoders of trained systems share.

    python -m l2dual.bin.analyse --data data/x/test --exp exp/RUN1 exp/RUN2 --out exp/cka.json
    python -m l2dual.bin.analyse --what probes --data data/x/test --fit_data data/x/valid \
        --exp exp/RUN1 exp/RUN2 --out exp/probes.json

cka          encoders, block by block
decoders     decoders, layer by layer, with teacher forcing
subspaces    what the two decoders of one dual-output system read of its encoder
gradients    cosines of the two losses' gradients, which training logged
probes       linear probes of the encoders for surface and meaning (needs fit_data)
retrained    new decoders trained on each frozen encoder (needs fit_data; minutes each)
"""

import argparse
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path

from l2dual.analysis.kinds import KINDS, Analysis, AnalysisMeta, write_analysis
from l2dual.bin import positive_int
from l2dual.data.datadir import DataDir
from l2dual.errors import UsageError, run
from l2dual.files import read_yaml
from l2dual.scoring.score import read_run
from l2dual.training.runs import made_by_command

BY = {  # module and function; imported when it is asked for
    "cka": ("entanglement", "analyse"),
    "decoders": ("decoders", "compare_decoders"),
    "subspaces": ("subspaces", "overlaps"),
    "gradients": ("gradients", "cosines"),
    "probes": ("probes", "probe"),
    "retrained": ("retrained", "retrain"),
}
ON_TWO_SPLITS = ("probes", "retrained")
OF_DECODERS = ("decoders", "subspaces", "retrained")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--what", choices=KINDS, default="cka")
    parser.add_argument("--data", type=Path, required=True, help="one split, after stage 3")
    parser.add_argument("--fit_data", type=Path, help="split to fit probes or decoders on")
    parser.add_argument("--exp", type=Path, nargs="+", required=True, help="trained runs")
    parser.add_argument("--max_utts", type=positive_int, help="most utterances of each split (default: all)")
    parser.add_argument("--decode_config", type=Path, help="settings of the beam search (conf/decode.yaml)")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    args = parser.parse_args()
    made_by = made_by_command("analyse")
    runs = {exp_dir.name: read_run(exp_dir / "run.yaml")["commit"] for exp_dir in args.exp}
    records, info = _records(args), DataDir.load(args.data).info
    facts = {key: info[key] for key in ("corpus", "language", "convention")}
    # Of cached features it is the data that they are of, as in exp/results.json
    facts |= {"data": info.get("features_of", str(args.data.parent)), "split": args.data.name}
    write_analysis(args.out, Analysis(AnalysisMeta(args.what, **facts, runs=runs, **made_by), records))
    print(_summary(args.what, [record.reason for record in records], args.out.name.removesuffix(".tmp")))


def _records(args: argparse.Namespace) -> list:
    from l2dual.analysis.entanglement import AnalysisOptions
    from l2dual.models.search import SearchOptions
    from l2dual.training.load import has_decoders

    search = SearchOptions()
    if args.decode_config:
        search = SearchOptions.from_config(read_yaml(args.decode_config), str(args.decode_config))
    options = AnalysisOptions(max_utts=args.max_utts, search=search)
    if args.what in OF_DECODERS:
        args.exp = [exp_dir for exp_dir in args.exp if has_decoders(exp_dir)]
        if not args.exp:
            return []
    module, function = BY[args.what]
    records_of = getattr(import_module(f"l2dual.analysis.{module}"), function)
    if args.what == "gradients":
        return records_of(args.exp)
    if args.what not in ON_TWO_SPLITS:
        return records_of(args.data, args.exp, options)
    if args.fit_data is None:
        raise UsageError(f"--what {args.what} needs --fit_data, a split to fit on")
    return records_of(args.data, args.fit_data, args.exp, options)


def _summary(what: str, reasons: Iterable[str | None], out: str) -> str:
    """How many values were measured, and why others were not: the first reason, the others are in ``out``."""
    if not reasons:
        needed = "train a dual-output system and its baselines (decoders: also test on utterances without errors)"
        return f"{what}: nothing to compare: {needed}"
    lines = [f"{what}: {len(reasons)} records"]
    if lacking := list(dict.fromkeys(filter(None, reasons))):
        more = f" ({len(lacking) - 1} more reasons in {out})" if len(lacking) > 1 else ""
        lines.append(f"  {lacking[0]}{more}")
    return "\n".join(lines)


if __name__ == "__main__":
    run(main)
