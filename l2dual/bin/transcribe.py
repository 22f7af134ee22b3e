"""Both transcriptions of recordings: what was said, and what was meant.

    l2dual transcribe recording.m4a
    l2dual transcribe --format textgrid --out grids recordings/
    l2dual transcribe --model egs2/l2_ko/exp/mini/do.seed1/model.zip *.wav

Any audio, and a video's sound; a directory stands for the recordings in it, not in its own directories.
docs/transcribe.md has more.
"""

import argparse
import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from l2dual.bin import natural
from l2dual.errors import DataError, UsageError, one_line, run
from l2dual.files import atomic_write
from l2dual.inference import shelf
from l2dual.inference.formats import FORMATS, TSV, as_text
from l2dual.inference.result import Recognized

if TYPE_CHECKING:
    from l2dual.inference.recognizer import DualSpeech2Text

SUFFIXES = {  # of what a directory is searched for
    f".{name}"
    for name in "wav flac mp3 ogg opus aif aiff au caf w64 pcm m4a mp4 mov 3gp webm mkv mka aac amr wma".split()
}
TOGETHER = 60.0  # seconds of recordings that are recognized at once
PATIENCE = 2.0  # seconds between two reports of progress; in a log 15 times as long


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", type=Path, nargs="+", metavar="FILE", help="recording, video or directory")
    parser.add_argument("--model", help="run, model.zip or a name of `l2dual models`; default: by --language")
    parser.add_argument("--language", choices=("en", "ko"), default="en", help="of the usual model; default: en")
    parser.add_argument("--format", choices=FORMATS, default="text")
    parser.add_argument("--out", type=Path, help="directory: a file for each recording")
    parser.add_argument("--ngpu", type=natural, default=0)
    call(parser.parse_args())


def call(args: argparse.Namespace) -> None:
    """Transcribe every file; exit with status 1 where one could not be."""
    files = list(_found(args.files))
    if FORMATS[args.format].alone and len(files) > 1 and not args.out:
        raise UsageError(f"--format {args.format} is a file for each recording: give --out DIR")
    if args.out and args.out.exists() and not args.out.is_dir():
        raise UsageError(f"--out {args.out}: it is a file: name a directory")
    model = _model(args)
    writer = Writer(args.format, args.out, files)
    failed: list[str] = []
    progress = Progress(len(files))
    for group in _groups(model, files, failed, progress):
        for file, found in zip((one.name for one in group), model.recognize(group), strict=True):
            try:
                writer(found)
            except DataError as error:
                print(f"l2dual: error: {one_line(f'{file}: {error}')}", file=sys.stderr)
                failed.append(file)
        progress(len(group))
    progress.end()
    if failed and len(files) > 1:
        done = f"{len(files) - len(failed)} of {len(files)} recordings transcribed"
        print(f"{done}; not: {', '.join(map(one_line, failed))}", file=sys.stderr)
    if failed:
        sys.exit(1)


def _found(paths: list[Path]) -> Iterator[Path]:
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        inner = sorted(one for one in path.iterdir() if one.suffix.lower() in SUFFIXES and one.is_file())
        if folders := sum(one.is_dir() for one in path.iterdir()):
            print(f"{path}: its {folders} directories are left out: name them too", file=sys.stderr)
        if not inner:
            raise DataError(f"{path}: no recordings in it: name a directory of audio files")
        yield from inner


def _model(args: argparse.Namespace) -> "DualSpeech2Text":
    where = args.model or str(shelf.usual(args.language))
    from l2dual.inference.recognizer import DualSpeech2Text  # takes seconds

    return DualSpeech2Text.from_pretrained(where, "cuda" if args.ngpu else "cpu")


def _groups(model: "DualSpeech2Text", files: list[Path], failed: list[str], progress: "Progress") -> Iterator[list]:
    """Recordings that are recognized at once; a bad one is reported and left out."""
    group: list = []
    for file in files:
        try:
            group.append(model.listen(file))
        except DataError as error:
            print(f"l2dual: error: {one_line(str(error))}", file=sys.stderr)
            failed.append(str(file))
            progress(1)
        if sum(one.seconds for one in group) > TOGETHER or len(group) == model.batch_size:
            yield group
            group = []
    if group:
        yield group


class Writer:
    """Writes to the terminal, or a file for each recording."""

    def __init__(self, kind: str, out: Path | None, files: list[Path]):
        self.kind, self.out = kind, out
        self.number = 0
        self.names = _names(files)
        self.color = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        self.columns = shutil.get_terminal_size((100, 24)).columns

    def __call__(self, found: Recognized) -> None:
        """Write one recording."""
        form = FORMATS[self.kind]
        if self.out:
            head = "\t".join(TSV) + "\n" if self.kind == "tsv" else ""
            with atomic_write(self.out / (self.names[found.name] + form.suffix)) as stream:
                stream.write(f"{head}{form.write(found)}\n")
            return
        if self.kind == "tsv" and not self.number:
            print("\t".join(TSV))
        if self.kind == "text":
            print("\n" * bool(self.number) + as_text(found, self.columns, self.color))
        else:
            print(form.write(found))
        sys.stdout.flush()
        self.number += 1


def _names(files: list[Path]) -> dict[str, str]:
    """A name of its own for what is written of each file: its stem, and a number where two share it."""
    taken, names = {file.stem for file in files}, {}
    for file in files:
        name, number = file.stem, 1
        while name in names.values() or (number > 1 and name in taken):
            number += 1
            name = f"{file.stem}~{number}"
        names[str(file)] = name
    return names


class Progress:
    """How many of many files are done, and the time to go: on the terminal, else a line in half a minute."""

    def __init__(self, total: int):
        self.total, self.done = total, 0
        self.start = self.shown = time.monotonic()
        self.live = sys.stderr.isatty()

    def __call__(self, more: int) -> None:
        """Count more files."""
        self.done += more
        now = time.monotonic()
        if self.done == self.total or now - self.shown < PATIENCE * (1 if self.live else 15):
            return
        self.shown = now
        left = (now - self.start) / self.done * (self.total - self.done)
        text = f"progress: {self.done} of {self.total} files, {_span(left)} to go"
        print(f"\r{text}\x1b[K" if self.live else text, end="" if self.live else "\n", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Leave a clean line."""
        if self.live and self.shown != self.start:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


def _span(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


if __name__ == "__main__":
    run(main)
