"""Decode a test set (stage 9): python -m l2dual.bin.decode --exp exp/RUN --data DIR --config FILE --out DIR

Writes text.<output> to DIR, and decode.yaml, which says how they were made.
"""

import argparse
import time
from pathlib import Path

from l2dual.bin import natural
from l2dual.data.datadir import DataDir, write_table
from l2dual.data.frames import RATE
from l2dual.errors import run
from l2dual.files import read_yaml
from l2dual.training.runs import made_by_command, write_yaml


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--exp", type=Path, required=True, help="directory of a trained run")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--ngpu", type=natural, default=0)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    import torch

    from l2dual.data.speech import batches
    from l2dual.inference.guidance import guidance_of
    from l2dual.inference.rater import FOLDER, Raters
    from l2dual.models.search import DualDecoder, SearchOptions
    from l2dual.text.lexicon import Lexicon
    from l2dual.training.load import check_rate, config_of, load_model, tokens_to_text_of

    device = "cuda" if args.ngpu > 0 else "cpu"
    options = SearchOptions.from_config(read_yaml(args.config), str(args.config))
    data = DataDir.load(args.data)
    check_rate(args.exp, data.info.get("sampling_rate", RATE))
    model = load_model(args.exp).to(device)
    guidance = None
    if options.guides(model):
        guidance = guidance_of(config_of(args.exp), Lexicon.load(args.exp), Raters.load(args.exp / FOLDER))
    decoder = DualDecoder(model, options, guidance)
    to_text = {output: tokens_to_text_of(args.exp, output) for output in model.outputs}
    hypotheses: dict[str, dict[str, str]] = {output: {} for output in model.outputs}
    start = time.monotonic()
    for utts, speech, lengths in batches(data, options.batch_size):
        for output, tokens in decoder(speech.to(device), lengths.to(device)).items():
            for utt, sequence in zip(utts, tokens, strict=True):
                hypotheses[output][utt] = to_text[output](sequence)
        done = len(hypotheses[model.outputs[0]])
        print(f"progress: decoded {done} of {len(data['wav.scp'])} utterances", flush=True)
    seconds = time.monotonic() - start
    audio = sum(float(duration) for duration in data["utt2dur"].values())
    print(f"real-time factor {seconds / audio:.3f} on {torch.get_num_threads()} threads")
    for output, texts in hypotheses.items():
        write_table(args.out / f"text.{output}", texts)
    write_yaml(args.out / "decode.yaml", made_by_command("decode"))


if __name__ == "__main__":
    run(main)
