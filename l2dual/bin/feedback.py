"""Tell a learner what was said otherwise than it was due, where, and how to say it.

    l2dual feedback my.wav --text "I think so" --format html --out my.html

docs/feedback.md explains what is shown.
"""

import argparse
import sys
from pathlib import Path

from l2dual.errors import UsageError, run
from l2dual.files import atomic_write

FORMATS = ("text", "json", "html")
LANGUAGES = ("en", "ko")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, metavar="FILE", help="one utterance: audio, or video with sound")
    parser.add_argument("--text", metavar="PROMPT", help="what was to be said; default: what the model takes it to mean")
    parser.add_argument("--model", help="directory, model.zip or name, as `l2dual models` lists them")
    parser.add_argument("--format", choices=FORMATS, default="text")
    parser.add_argument("--feedback_language", choices=LANGUAGES, default="en", help="of the sentences")
    parser.add_argument("--out", type=Path, help="file to write; default: the terminal")
    call(parser.parse_args())


def call(args: argparse.Namespace) -> None:
    """Listen, judge, and show it."""
    if args.text is not None and not args.text.strip():
        raise UsageError("--text is empty: give the text that was to be said, or leave --text out")
    from l2dual.inference.feedback import evidence, give_feedback  # imports of seconds
    from l2dual.inference.recognizer import DualSpeech2Text
    from l2dual.inference.shelf import models
    from l2dual.inference.shown import as_json, as_page, as_text
    from l2dual.inference.tips import Tips

    model = args.model or next(iter(models()), None)
    if model is None:
        raise UsageError("no model is there: train one (run_all.sh), or give its directory or model.zip by --model")
    recognizer = DualSpeech2Text.from_pretrained(model)
    tips = Tips(recognizer.language, args.feedback_language)
    heard = evidence(recognizer, args.file)
    told = give_feedback(heard, args.text, tips)
    if args.format == "html":
        shown = as_page(told, tips, args.feedback_language, heard.samples, heard.rate)
    else:
        shown = as_json(told) if args.format == "json" else as_text(told, tips)
    if args.out is None:
        sys.stdout.write(shown + "\n")
        return
    with atomic_write(args.out) as stream:
        stream.write(shown + "\n")
    print(f"wrote {args.out}")


if __name__ == "__main__":
    run(main)
