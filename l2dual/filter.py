"""Leave out what can't be trained on or decoded, and say what and why."""

import unicodedata

from l2dual.datadir import DataDir

SHORTEST_ENCODABLE = 0.1  # seconds: 8 frames of 10 ms and a window, for subsampling by 4


def filter_data(
    data: DataDir, train: bool, min_seconds: float, max_seconds: float, frames_per_second: float
) -> tuple[DataDir, dict[str, str]]:
    """Split ``data`` into what is kept and, per dropped utterance, the reason.

    A test utterance is dropped only where no system could be scored on it: limits on duration
    and on alignment apply to training and validation (``train``).

    Args:
        frames_per_second: encoder frames, which bound the tokens that CTC can align.
    """
    dropped = {}
    for utt in data["wav.scp"]:
        reason = _unusable(data, utt)
        if reason is None and train:
            reason = _untrainable(data, utt, min_seconds, max_seconds, frames_per_second)
        if reason is not None:
            dropped[utt] = reason
    return data.subset(set(data["wav.scp"]) - set(dropped)), dropped


def _unusable(data: DataDir, utt: str) -> str | None:
    for name in ("text.surface", "text.meaning"):
        if not data[name][utt]:
            return f"{name} is empty"
    if float(data["utt2dur"][utt]) < SHORTEST_ENCODABLE:
        return f"shorter than {SHORTEST_ENCODABLE} s, the least an encoder takes"
    return None


def _untrainable(
    data: DataDir, utt: str, min_seconds: float, max_seconds: float, frames_per_second: float
) -> str | None:
    seconds = float(data["utt2dur"][utt])
    if seconds < min_seconds:
        return f"shorter than {min_seconds:g} s"
    if seconds > max_seconds:
        return f"longer than {max_seconds:g} s"
    for output in ("surface", "meaning"):
        text = data[f"text.{output}"][utt]
        # Letters, the most tokens that a text can have: Hangul by jamo.
        phones = data.info[f"{output}_unit"] == "phone"
        units = text.split() if phones else unicodedata.normalize("NFD", text)
        needed = len(units) + sum(a == b for a, b in zip(units, units[1:]))
        if needed > seconds * frames_per_second:
            return f"text.{output} is too long for the audio: CTC could not align it"
    return None
