"""Leave out what can't be trained on or decoded, and say what and why."""

from pathlib import Path
from typing import NamedTuple

from l2dual.data.audio import BAD_AUDIO
from l2dual.data.datadir import DataDir, read_table
from l2dual.data.findings import REPAIRED, Finding
from l2dual.data.frames import Encoder
from l2dual.data.repair import repair
from l2dual.data.validate import Options, validate
from l2dual.errors import DataError


class Filtered(NamedTuple):
    """What is kept, the reason for each utterance dropped, and what was repaired."""

    data: DataDir
    dropped: dict[str, str]
    repaired: list[Finding]


def filter_data(
    path: Path,
    train: bool,
    min_seconds: float,
    max_seconds: float,
    encoder: Encoder,
    left_out_l1: str | None = None,
) -> Filtered:
    """Leave out of a formatted data directory what the validator or a limit excludes.

    A test utterance is dropped only where no system could be scored on it: limits on duration
    and on alignment apply to training and validation (``train``). Stage 3 decoded the audio and
    left out what can't be used; that counts as dropped here.

    Args:
        encoder: its frames bound the tokens that CTC can align (see `l2dual.data.frames`).
        left_out_l1: a first language that is left out of training and validation; the test set is
            then of that language alone.

    Raises:
        DataError: a fault that only the user can correct, no utterance is left, or no speaker's
        first language is ``left_out_l1``.
    """
    options = Options(encoder=encoder, audio=False)
    directory, found = validate(path, options)
    if not train:
        found = [finding for finding in found if finding.check != "dense"]
    data, dropped = repair(directory, found)
    dropped |= left_out_audio(path)
    if train:
        for utt, seconds in data["utt2dur"].items():
            if float(seconds) < min_seconds:
                dropped[utt] = f"shorter than {min_seconds:g} s"
            elif float(seconds) > max_seconds:
                dropped[utt] = f"longer than {max_seconds:g} s"
    if left_out_l1:
        dropped |= drop_l1(data, left_out_l1, train, required=path.name.removesuffix(".tmp") != "valid")
    kept = data.subset(set(data["wav.scp"]) - set(dropped))
    return Filtered(kept, dropped, [finding for finding in found if finding.fix == REPAIRED])


def left_out_audio(path: Path) -> dict[str, str]:
    """The reason for each utterance whose recording stage 3 left out."""
    table = path / BAD_AUDIO
    reasons = read_table(table) if table.is_file() else {}
    return {utt: f"{Finding('audio', 'wav.scp').reason}: {why}" for utt, why in reasons.items()}


def drop_l1(data: DataDir, left_out: str, train: bool, required: bool) -> dict[str, str]:
    """The reason for each utterance that goes when an L1 is left out of training; it may be ``required`` there."""
    l1s = data["utt2l1"]
    if required and left_out not in l1s.values():
        there = ", ".join(sorted(set(l1s.values()))) or "none"
        raise DataError(f"{data.path}/utt2l1: nobody has first language {left_out}: use {there}")
    reason = f"first language {left_out}, left out" if train else f"first language not {left_out}"
    return {utt: reason for utt, l1 in l1s.items() if (l1 == left_out) == train}
