"""Stage 11: what the encoders and decoders of trained systems share.

    python -m l2dual.bin.analyse --data data/x/test --exp exp/RUN1 exp/RUN2 --out exp/cka.json
    python -m l2dual.bin.analyse --what probes --data data/x/test --fit_data data/x/valid \
        --exp exp/RUN1 exp/RUN2 --out exp/probes.json

cka          encoders, block by block (task similarity, pull)
decoders     decoders, layer by layer, with teacher forcing
subspaces    what the two decoders of one dual-output system read of its encoder
probes       linear probes of the encoders: surface, meaning, first language, speaker (needs fit_data)
swap         trained decoders on other systems' encoders, through a linear map (needs fit_data)
functional   fresh decoders trained on each frozen encoder (needs fit_data; minutes each)
"""

import argparse
from pathlib import Path

from l2dual.analysis.decoders import compare_decoders
from l2dual.analysis.entanglement import Options, analyse
from l2dual.analysis.functional import functional
from l2dual.analysis.probes import probe
from l2dual.analysis.subspaces import overlaps
from l2dual.analysis.swap import swap
from l2dual.bin import natural, positive_int, run
from l2dual.decode import SearchOptions
from l2dual.errors import UsageError
from l2dual.load import CHECKPOINT
from l2dual.runs import made_by_command, read_yaml
from l2dual.score import write_records

ON_ONE_SPLIT = {"cka": analyse, "decoders": compare_decoders, "subspaces": overlaps}
ON_TWO_SPLITS = {"probes": probe, "swap": swap, "functional": functional}
COLUMNS = {  # of a table: where, then numbers
    "cka": ("system_x seed_x system_y seed_y layer_x", "cka null floor ceiling procrustes"),
    "decoders": (
        "set system_x output_x seed_x system_y output_y seed_y layer_x",
        "cka null floor ceiling procrustes",
    ),
    "subspaces": ("system seed layer projection", "value null floor read_cka rank"),
    "probes": (
        "kind system seed layer target tokens",
        "value chance control floor other n_test",
    ),
    "swap": ("output decoder encoder seed encoder_seed", "value own ceiling floor accuracy r2"),
    "functional": ("output system seed", "value floor accuracy loss"),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--what", choices=[*ON_ONE_SPLIT, *ON_TWO_SPLITS], default="cka")
    parser.add_argument("--data", type=Path, required=True, help="one split, after stage 3")
    parser.add_argument("--fit_data", type=Path, help="split to fit probes, maps or decoders on")
    parser.add_argument("--exp", type=Path, nargs="+", required=True, help="trained runs")
    parser.add_argument("--checkpoint", default=CHECKPOINT)
    parser.add_argument("--batch", type=positive_int, default=8, help="utterances in a batch")
    parser.add_argument("--max_utts", type=positive_int, help="utterances of each split at most (all)")
    parser.add_argument("--epochs", type=positive_int, default=10, help="of a fresh decoder")
    parser.add_argument("--decode_config", type=Path, help="beam searches (conf/decode.yaml)")
    parser.add_argument("--ngpu", type=natural, default=0)
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    args = parser.parse_args()
    made_by = made_by_command("analyse")
    records = _records(args)
    if records:
        records[0] |= made_by
    write_records(args.out, records)
    print(table(args.what, records))


def _records(args: argparse.Namespace) -> list[dict]:
    search = SearchOptions()
    if args.decode_config:
        search = SearchOptions.from_config(read_yaml(args.decode_config), str(args.decode_config))
    options = Options(
        checkpoint=args.checkpoint,
        batch_size=args.batch,
        device="cuda" if args.ngpu > 0 else "cpu",
        max_utts=args.max_utts,
        epochs=args.epochs,
        search=search,
    )
    if args.what in ON_ONE_SPLIT:
        return ON_ONE_SPLIT[args.what](args.data, args.exp, options)
    if args.fit_data is None:
        raise UsageError(f"--what {args.what} needs --fit_data, a split to fit on")
    return ON_TWO_SPLITS[args.what](args.data, args.fit_data, args.exp, options)


def table(what: str, records: list[dict]) -> str:
    """One line per record (of probes, those where the outputs differ), and why numbers lack."""
    if not records:
        return f"{what}: no systems to compare: train so_surface, so_meaning and do"
    places, numbers = (names.split() for names in COLUMNS[what])
    lines, reasons = [[*places, *numbers]], {}
    for row in records:
        if what == "probes" and row["tokens"] != "differ":
            continue
        lines.append(
            ["-" if row[name] is None else str(row[name]) for name in places]
            + [_number(row.get(name)) for name in numbers]
        )
        if row["reason"]:
            reasons[row["reason"]] = None
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    rows = ("  ".join(map(str.rjust, line, widths)) for line in lines)
    return "\n".join([*rows, *(f"-: {reason}" for reason in reasons)])


def _number(value: float | int | None) -> str:
    if value is None:
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.2f}"


if __name__ == "__main__":
    run(main)
