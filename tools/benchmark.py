#!/usr/bin/env python3
"""How long things take, as ratios within one run: docs/performance.md and docs/performance.json.

    tools/benchmark.sh [--exp egs2/l2_en/exp/mini]     under 15 minutes of one core

EXP is a finished study with so_surface, so_meaning and do. Times are CPU seconds. What is compared runs in
turns; a ratio is the median over the turns. --only replaces the rows of some parts and keeps the others.
"""

import argparse
import contextlib
import gc
import io
import json
import os
import platform
import re
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import soundfile
import torch
from espnet2.legacy.nets.batch_beam_search import BatchBeamSearch
from espnet2.legacy.nets.scorers.ctc import CTCPrefixScorer
from espnet2.legacy.nets.scorers.length_bonus import LengthBonus

from l2dual.analysis.entanglement import AnalysisOptions, analyse
from l2dual.bin import analyse as stage_11
from l2dual.data.audio import format_audio
from l2dual.data.datadir import DataDir
from l2dual.data.divergence import summarize
from l2dual.data.filter import filter_data
from l2dual.data.speech import batches
from l2dual.errors import UsageError, run
from l2dual.files import read_yaml
from l2dual.models.search import DualDecoder, SearchOptions
from l2dual.report.records import load_study
from l2dual.scoring.outcomes import gather, outcomes
from l2dual.training.load import load_model, text_to_ids
from l2dual.training.runs import commit, made_by_command

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / "egs2/l2_en/results/sharing"  # a study with enough seeds for intervals
SYSTEMS = ("so_surface", "so_meaning", "do")
USAGES = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)


class Row(NamedTuple):
    """``value`` is a ratio where ``goal`` is one, else seconds or MB."""

    what: str
    value: float
    goal: float | None
    unit: str
    note: str = ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--exp", type=Path, default=ROOT / "egs2/l2_en/exp/mini")
    parser.add_argument("--only", nargs="+", choices=PARTS, help="parts to measure (all)")
    parser.add_argument("--page", type=Path, default=ROOT / "docs/performance.md", help="to write the table into")
    args = parser.parse_args()
    exp, page = args.exp.resolve(), args.page.resolve()
    for system in SYSTEMS:
        if not (exp / f"{system}.seed1" / "trained").exists():
            raise UsageError(f"{exp}/{system}.seed1: not trained: run egs2/l2_en/run.sh, or give --exp")
    os.chdir(exp.parents[1])  # paths of a study are relative to its recipe
    torch.set_num_threads(1)
    rows: list[Row] = []
    for name in args.only or PARTS:
        print(f"measuring: {name}", file=sys.stderr)
        rows += PARTS[name](exp)
    if not args.only:
        rows.append(Row("peak memory of this benchmark", peak_memory(), None, "MB"))
    write(rows, exp, page, keep=bool(args.only))


def cpu(call: Callable[[], object]) -> float:
    """CPU seconds of a call and of the processes that it starts; what it prints is dropped."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        before = cpu_used()
        call()
        return cpu_used() - before


def cpu_used() -> float:
    """CPU seconds of this process and of its ended children, to the microsecond (os.times counts hundredths)."""
    return sum(used.ru_utime + used.ru_stime for used in map(resource.getrusage, USAGES))


def ratio(ours: Callable[[], object], theirs: Callable[[], object], turns: int = 3) -> float:
    """The median over turns of CPU seconds, ours by theirs."""
    return statistics.median(cpu(ours) / cpu(theirs) for _ in range(turns))


def speech_of(exp: Path, utts: int, split: str = "test") -> tuple[DataDir, list]:
    """Some utterances of a split, every nth by length, in batches of 16."""
    data = data_of(exp, split)
    order = sorted(data["wav.scp"], key=lambda utt: (float(data["utt2dur"][utt]), utt))
    return data, list(batches(data.subset(order[:: max(1, len(order) // utts)][:utts]), 16))


def data_of(exp: Path, split: str) -> DataDir:
    return DataDir.load(Path(read_yaml(exp / "do.seed1" / "run.yaml")["data"]) / split)


def decoding(exp: Path) -> Iterator[Row]:
    """Both outputs of do, by our search and by ESPnet's, which runs once for each output."""
    model = load_model(exp / "do.seed1")
    options = SearchOptions.from_config(read_yaml(ROOT / "conf/decode.yaml"), "conf/decode.yaml")
    decoder = DualDecoder(model, options)
    _, speech = speech_of(exp, 48)
    searches = {output: espnet_search(model, output, options) for output in model.outputs}
    found: dict[str, list] = {"ours": [], "theirs": []}

    def ours() -> None:
        found["ours"] = [decoder(*batch) for _, *batch in speech]

    @torch.inference_mode()
    def theirs() -> None:
        found["theirs"] = [
            {output: espnet_tokens(model, output, searches[output], *batch) for output in searches}
            for _, *batch in speech
        ]

    @torch.inference_mode()
    def encoder() -> None:
        for _, *batch in speech:
            model.encode(*batch)

    value = ratio(ours, theirs, 2)
    pairs = [
        (mine, other)
        for batch, others in zip(found["ours"], found["theirs"], strict=True)
        for output in searches
        for mine, other in zip(batch[output], others[output], strict=True)
    ]
    same = sum(mine == other for mine, other in pairs)
    yield Row("decoding both outputs / ESPnet's search for each", value, 0.15, "", f"{same} of {len(pairs)} alike")
    yield Row("the encoder alone / ESPnet's search for each", ratio(encoder, theirs, 1), None, "")


def espnet_search(model, output: str, options: SearchOptions) -> BatchBeamSearch:
    weight, end = options.ctc_weight[output], model.sos_eos(output)
    size = len(model.token_lists[output])
    return BatchBeamSearch(
        scorers={
            "decoder": model.decoders[output],
            "ctc": CTCPrefixScorer(ctc=model.ctcs[output], eos=end),
            "length_bonus": LengthBonus(size),
        },
        weights={"decoder": 1 - weight, "ctc": weight, "length_bonus": options.penalty},
        beam_size=options.beam_size,
        vocab_size=size,
        sos=end,
        eos=end,
        pre_beam_score_key="full",
    ).eval()


def espnet_tokens(model, output: str, search: BatchBeamSearch, speech, lengths) -> list[list[str]]:
    """The best tokens of each utterance; as ESPnet's asr_inference, one utterance at a time."""
    found = []
    for wave, length in zip(speech, lengths, strict=True):
        states, _ = model.encode(wave[None, :length], length[None]).of(output)
        ids = search(states[0])[0].yseq[1:-1].tolist()
        found.append([model.token_lists[output][number] for number in ids if number])
    return found


def training(exp: Path) -> Iterator[Row]:
    """Steps on the same batches; and what a training spends beside its forward and backward passes."""
    data, speech = speech_of(exp, 96, "train")
    steps = {system: step_of(exp / f"{system}.seed1", data, speech) for system in SYSTEMS}

    def singles() -> None:
        steps["so_surface"]()
        steps["so_meaning"]()

    yield Row("a training step of do / one of each single-output system", ratio(steps["do"], singles), 0.65, "")
    for trained in sorted(exp.glob("do_*.seed1/trained")):
        arm = step_of(trained.parent, data, speech)
        name = trained.parent.name.removesuffix(".seed1")
        yield Row(f"a training step of {name} / of do", ratio(arm, steps["do"]), 1.25, "")
    log = (exp / "do.seed1" / "train.log").read_text(encoding="utf-8")
    last = re.findall(r"epoch results: \[train\] (.*?) \[valid\]", log.replace(", [valid]", " [valid]"))[-1]
    spent = {name: float(value) for name, value in re.findall(r"(\w+_time)=([\d.]+)", last)}
    bare = spent["forward_time"] + spent["backward_time"]
    yield Row("a step as trained / its forward and backward pass", spent["train_time"] / bare, 1.05, "")


def step_of(run_dir: Path, data: DataDir, speech: list) -> Callable[[], None]:
    """Forward, backward and update of a trained system over batches (utterances, samples, lengths)."""
    model = load_model(run_dir).train()
    optimizer = torch.optim.Adam(model.parameters(), 1e-5, fused=True)
    texts = []
    for utts, *_ in speech:
        given = {}
        for output in model.outputs:
            to_ids = text_to_ids(run_dir, output)
            ids = [torch.tensor(to_ids(data[f"text.{output}"][utt])) for utt in utts]
            given[output] = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True, padding_value=-1)
            given[f"{output}_lengths"] = torch.tensor([len(each) for each in ids])
        texts.append(given)

    def step() -> None:
        for (_, samples, lengths), given in zip(speech, texts, strict=True):
            optimizer.zero_grad()
            model(speech=samples, speech_lengths=lengths, **given)[0].backward()
            optimizer.step()

    return step


def preparing(exp: Path) -> Iterator[Row]:
    """Stage 3 against reading and writing the audio; stages 3, 4 and 6 on 500 and 5,000 utterances."""
    data = data_of(exp, "train")
    gc.freeze()  # the stages do not load what this process has
    with tempfile.TemporaryDirectory() as name:
        folder, many = Path(name), {size: enlarged(data, size) for size in (500, 5000)}
        turns = iter(range(100))
        yield Row("stage 3 of 500 recordings / reading and writing them", ratio(
            lambda: format_audio(many[500], folder / f"ours{next(turns)}", "wav", 16000, 1),
            lambda: rewritten(many[500], folder / f"theirs{next(turns)}")), 2.0, "")  # fmt: skip
        stages = {
            3: lambda size: format_audio(many[size], folder / f"{size}", "wav", 16000, 1),
            4: lambda size: filter_data(folder / f"{size}", True, 0.3, 20.0, 100.0),
            6: lambda size: summarize(DataDir.load(folder / f"{size}")),
        }
        for number, stage in stages.items():
            growth = ratio(partial(stage, 5000), partial(stage, 500), 1 if number == 3 else 3) / 10
            yield Row(f"stage {number} of 5,000 utterances / ten times 500", growth, 1.05, "")


def enlarged(data: DataDir, size: int) -> DataDir:
    """As many utterances, the same recordings again where there are too few."""
    utts = list(data["wav.scp"])
    tables: dict[str, dict] = {name: {} for name in data.tables}
    for number in range(size):
        utt, copy = utts[number % len(utts)], number // len(utts)
        for name, table in data.tables.items():
            if utt in table:
                tables[name][f"{utt}-{copy}"] = table[utt]
    return DataDir(data.path, tables, data.info)


def rewritten(data: DataDir, folder: Path) -> None:
    folder.mkdir()
    for utt, path in data["wav.scp"].items():
        samples, rate = soundfile.read(path, dtype="float32")
        soundfile.write(folder / f"{utt}.wav", samples, rate, subtype="PCM_16")


def analysing(exp: Path) -> Iterator[Row]:
    """CKA, and all of stage 11, against the forward passes of the systems' encoders over the test set."""
    runs = [exp / f"{system}.seed1" for system in SYSTEMS]
    test = data_of(exp, "test")

    @torch.inference_mode()
    def forward() -> None:
        for run_dir in runs:
            model = load_model(run_dir)
            for _, *batch in batches(test, 8):
                model.encode(*batch)

    one = cpu(forward)
    yield Row("CKA / one forward pass of each system", cpu(lambda: analyse(test.path, runs, AnalysisOptions())) / one,
              1.25, "")  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        whole = sum(cpu(lambda what=what: one_analysis(what, exp, runs, Path(folder))) for what in WITHOUT_TRAINING)
    yield Row("stage 11 / one forward pass of each system", whole / one, 1.25, "", ", ".join(WITHOUT_TRAINING))


WITHOUT_TRAINING = ("cka", "decoders", "subspaces", "gradients", "probes")


def one_analysis(what: str, exp: Path, runs: list[Path], folder: Path) -> None:
    test = data_of(exp, "test").path
    sys.argv = ["analyse", "--what", what, "--data", str(test), "--fit_data", str(test.with_name("valid"))]
    sys.argv += ["--max_utts", "2000"] if what in ("cka", "decoders") else []
    sys.argv += ["--out", str(folder / f"{what}.json"), "--exp", *map(str, runs)]
    stage_11.main()


def statistics_of(_: Path) -> Iterator[Row]:
    """What stage 10 works out of scored runs; each interval is from 10,000 bootstrap samples."""
    kept, found = load_study(KEPT), []
    scored = kept.scored()
    used = cpu(lambda: found.append(outcomes(gather(kept.data, scored), made_by_command("results"))))
    intervals = sum(record.interval is not None for record in found[0].records)
    if not intervals:
        raise UsageError(f"{KEPT}: gives no interval: keep a study of three seeds or more there")
    yield Row("all intervals of a study", used, 5.0, "s", f"{intervals}, of the {len(scored)} runs of {KEPT.name}")


def starting(_: Path) -> Iterator[Row]:
    """The slowest command to print its help, and the heaviest import."""
    names = sorted(path.stem for path in (ROOT / "l2dual/bin").glob("[a-z]*.py"))
    took = {name: command("-m", f"l2dual.bin.{name}", "--help") for name in names}
    slowest = max(took, key=lambda name: took[name])
    yield Row("help of the slowest command", took[slowest], 1.0, "s", slowest)
    yield Row("import of the training task", command("-c", "import l2dual.training.task"), None, "s")


def command(*words: str) -> float:
    os.environ["PYTHONPATH"] = str(ROOT)
    return cpu(lambda: os.waitpid(os.posix_spawn(sys.executable, [sys.executable, *words], os.environ, file_actions=[
        (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]), 0))  # fmt: skip


def peak_memory() -> float:
    """The most that this process or one that it started has held, in MB."""
    return max(resource.getrusage(kind).ru_maxrss for kind in USAGES) / 1024


def write(rows: list[Row], exp: Path, page: Path, keep: bool) -> None:
    """The table of a page, and its numbers beside it as JSON; ``keep`` the rows that were not measured."""
    made = {"commit": commit(), "study": f"{exp.parents[1].name}/exp/{exp.name}", "torch": torch.__version__}
    made |= {"processor": processor(), "date": time.strftime("%Y-%m-%d")}
    content, file = made | {"rows": [row._asdict() for row in rows]}, page.with_suffix(".json")
    if keep and file.is_file():
        content = json.loads(file.read_text(encoding="utf-8"))
        measured = {row.what: row._asdict() | made for row in rows}
        content["rows"] = list(({row["what"]: row for row in content["rows"]} | measured).values())
    file.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    table = table_of(content["rows"])
    text = page.read_text(encoding="utf-8")
    text = re.sub(r"(?s)(<!-- table -->\n).*(<!-- end -->)", lambda found: f"{found[1]}{table}\n{found[2]}", text)
    anew = [f"{row['what']}: {origin(row)}" for row in content["rows"] if "commit" in row]
    where = "; ".join([origin(content), *anew])
    page.write_text(re.sub(r"(?m)^Last run: .*$", lambda _: f"Last run: {where}.", text), encoding="utf-8")
    print(table)


def table_of(rows: list[dict]) -> str:
    lines = ["| | measured | goal |", "| --- | ---: | ---: |"]
    for row in (Row(*(content[field] for field in Row._fields)) for content in rows):
        name = f"{row.what} ({row.note})" if row.note else row.what
        goal = "" if row.goal is None else f"{row.goal:g} {row.unit}".strip()
        lines.append(f"| {name} | {row.value:.3g} {row.unit}".rstrip() + f" | {goal} |")
    return "\n".join(lines)


def origin(made: dict) -> str:
    return f"commit {made['commit']}, {made['processor']}, {made['date']}, study `{made['study']}`"


def processor() -> str:
    with contextlib.suppress(OSError, IndexError):
        return re.findall(r"(?m)^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text())[0]
    return platform.processor()


PARTS: dict[str, Callable[[Path], Iterator[Row]]] = {
    "start": starting,
    "statistics": statistics_of,
    "prepare": preparing,
    "train": training,
    "decode": decoding,
    "analyse": analysing,
}

if __name__ == "__main__":
    run(main)
