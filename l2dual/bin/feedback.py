"""Tell a learner what was said otherwise than it was due, where, and how to say it.

    l2dual feedback my.wav --text "I think so" --format html --out my.html

docs/feedback.md explains what is shown.
"""

import argparse
import re
import sys
import unicodedata
from pathlib import Path

from l2dual.errors import UsageError, run
from l2dual.files import atomic_write
from l2dual.inference.shelf import usual
from l2dual.inference.tips import LANGUAGES, Tips

FORMATS = ("text", "json", "html")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, metavar="FILE", help="one utterance: audio, or video with sound")
    parser.add_argument("--text", metavar="PROMPT", help="what was to be said; default: the model's meaning")
    parser.add_argument("--model", help="run, model.zip or a name of `l2dual models`; default: by --language")
    parser.add_argument("--language", choices=LANGUAGES, help="of the usual model; default: that of --text, or en")
    parser.add_argument("--format", choices=FORMATS, default="text")
    parser.add_argument("--feedback_language", choices=LANGUAGES, default="en", help="of the sentences")
    parser.add_argument("--out", type=Path, help="file to write; default: the terminal")
    call(parser.parse_args())


def call(args: argparse.Namespace) -> None:
    """Listen, judge, and show it."""
    if args.text is not None and not args.text.strip():
        raise UsageError("--text is empty: give the text that was to be said, or leave --text out")
    in_hangul = bool(re.search("[가-힣]", unicodedata.normalize("NFC", args.text or "")))
    model = args.model or usual(args.language or ("ko" if in_hangul else "en"))
    from l2dual.inference.feedback import evidence, give_feedback  # takes seconds
    from l2dual.inference.recognizer import DualSpeech2Text
    from l2dual.inference.shown import as_json, as_page, as_text

    recognizer = DualSpeech2Text.from_pretrained(model)
    tips = Tips(recognizer.language, args.feedback_language)
    heard = evidence(recognizer, args.file, with_meaning=args.text is None)
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
