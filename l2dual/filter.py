"""Leave out what can't be trained on or decoded, and say what and why."""

from pathlib import Path
from typing import NamedTuple

from l2dual.datadir import DataDir
from l2dual.validate import REPAIRED, Finding, Options, repair, validate


class Filtered(NamedTuple):
    """What is kept, the reason for each utterance dropped, and what was repaired."""

    data: DataDir
    dropped: dict[str, str]
    repaired: list[Finding]


def filter_data(
    path: Path, train: bool, min_seconds: float, max_seconds: float, frames_per_second: float
) -> Filtered:
    """Leave out of a formatted data directory what the validator or a limit excludes.

    A test utterance is dropped only where no system could be scored on it: limits on duration
    and on alignment apply to training and validation (``train``). Stage 3 decoded the audio; it
    is not decoded again.

    Args:
        frames_per_second: encoder frames, which bound the tokens that CTC can align.

    Raises:
        DataError: something that only the user can mend, or no utterance is left.
    """
    options = Options(frames_per_second=frames_per_second, audio=False)
    directory, found = validate(path, options)
    if not train:
        found = [finding for finding in found if finding.check != "dense"]
    data, dropped = repair(directory, found)
    if train:
        for utt, seconds in data["utt2dur"].items():
            if float(seconds) < min_seconds:
                dropped[utt] = f"shorter than {min_seconds:g} s"
            elif float(seconds) > max_seconds:
                dropped[utt] = f"longer than {max_seconds:g} s"
    kept = data.subset(set(data["wav.scp"]) - set(dropped))
    return Filtered(kept, dropped, [finding for finding in found if finding.fix == REPAIRED])
