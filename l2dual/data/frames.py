"""The front-end at the data's sampling rate, and how many frames the encoder gives.

What shortens speech, from windows over samples to stacked frames, is a chain of convolutions over
time, each with a kernel, a stride and a padding.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from l2dual.data.weights import pretrained_config
from l2dual.errors import UsageError

RATE = 16000  # Hz that a front-end is for, where its configuration does not say
USUAL = {"n_fft": 512, "win_length": 400, "hop_length": 160, "center": False}  # as conf/train/*.yaml
SUBSAMPLING = {  # kernels and strides, by ESPnet's input_layer
    "conv2d1": ((3, 1), (3, 1)),
    "conv2d2": ((3, 2), (3, 1)),
    "conv2d": ((3, 2), (3, 2)),
    "conv2d6": ((3, 2), (5, 3)),
    "conv2d8": ((3, 2), (3, 2), (3, 2)),
    "linear": (),
    None: (),
}
SUBSAMPLED = (  # encoders that subsample as their input_layer says
    "conformer", "multiconv_conformer", "transformer", "longformer", "branchformer", "e_branchformer",
)  # fmt: skip
# Encoders that subsample in one way.
FIXED: dict[str, tuple[tuple[int, int], ...]] = {"slim_conformer": ((3, 2), (3, 2))}


class Convolution(NamedTuple):
    """One step of the chain, in its own input's samples or frames."""

    kernel: int
    stride: int
    padding: int = 0


Encoder = float | Sequence[Convolution]  # frames a second, or the chain


def encoder_frames(samples: int, rate: int, encoder: Encoder) -> int:
    """Frames that an encoder gives for one utterance.

    Args:
        encoder: the chain of its configuration; or frames a second, after windows as in
            conf/train/mini.yaml and two convolutions: ESPnet's conv2d (25) or conv2d2 (50).

    Raises:
        UsageError: frames a second are not above 0.
    """
    if isinstance(encoder, (int, float)):
        if not encoder > 0:
            raise UsageError(f"--frames_per_second {encoder}: give a number above 0")
        windows = _windows(at_rate({"frontend_conf": USUAL}, rate)["frontend_conf"])
        encoder = windows, Convolution(7, max(1, round(100 / encoder)))
    for kernel, stride, padding in encoder:
        samples = max(0, (samples + 2 * padding - kernel) // stride + 1)
    return samples


def chain_of(config: Mapping, rate: int) -> tuple[Convolution, ...]:
    """The chain of a training configuration, for speech at ``rate`` Hz.

    Raises:
        UsageError: its front-end is for another rate, or l2dual does not know its frames.
    """
    config = at_rate(config, rate)
    frontend, encoder = config.get("frontend", "default"), config.get("encoder", "conformer")
    front, conf = config.get("frontend_conf") or {}, config.get("encoder_conf") or {}
    if frontend == "pretrained":
        stack = front.get("stack", 1)
        start = (*_pretrained(front), Convolution(stack, stack))
    elif frontend == "default":
        start = (_windows(front),)
    elif (frontend, encoder) == ("waveform", "pretrained"):
        return _pretrained(conf)
    else:
        raise _unknown(f"frontend {frontend}")
    layer = conf.get("input_layer", "conv2d")
    if encoder == "layered":
        stack = max((head.get("stack", 2) for head in (conf.get("heads") or {}).values()), default=1)
        return (*start, Convolution(stack, stack))
    if encoder in FIXED:
        steps = FIXED[encoder]
    elif encoder in SUBSAMPLED and layer in SUBSAMPLING:
        steps = SUBSAMPLING[layer]
    else:
        raise _unknown(f"encoder {encoder} with input_layer {layer}")
    return (*start, *(Convolution(*step) for step in steps))


def _unknown(what: str) -> UsageError:
    return UsageError(f"{what}: its frames are not known: give --frames_per_second")


def _windows(conf: Mapping) -> Convolution:
    n_fft = conf.get("n_fft", 512)  # the defaults of ESPnet
    padding = n_fft // 2 if conf.get("center", True) else 0
    return Convolution(n_fft, conf.get("hop_length", 128), padding)


def _pretrained(conf: Mapping) -> tuple[Convolution, ...]:
    model = pretrained_config(conf.get("path", ""), conf.get("download", False))
    if model.model_type == "whisper":
        return Convolution(160, 160), Convolution(3, 2, 1)
    steps = zip(model.conv_kernel, model.conv_stride, strict=True)
    return tuple(Convolution(*step) for step in steps)


def at_rate(config: Mapping, rate: int) -> dict:
    """A training configuration whose front-end takes speech at ``rate`` Hz.

    ESPnet's default front-end keeps its windows in seconds and its filters in Hz: as many filters
    are left, or added, as half the new rate holds. At the rate it is for, nothing is changed.

    Raises:
        UsageError: another front-end, for another rate.
    """
    config = dict(config)
    conf = dict(config.get("frontend_conf") or {})
    pretrained = "pretrained" in (config.get("frontend"), config.get("encoder"))
    if config.get("frontend") == "waveform" and not pretrained:
        return config
    own = rate_of(config)
    if own == rate:
        return config
    if pretrained or config.get("frontend", "default") != "default":
        name = "a pretrained encoder" if pretrained else f"frontend {config['frontend']}"
        raise UsageError(
            f"the data are sampled at {rate} Hz, but {name} takes {own} Hz: choose a train_config "
            f"whose front-end follows the data (as conf/train/mini.yaml), or recordings at {own} Hz and --fs {own}"
        )
    for name, value in {"n_fft": 512, "win_length": None, "hop_length": 128}.items():
        value = conf.get(name, value)
        conf[name] = value and max(1, round(value * rate / own))
    conf["n_mels"] = _filters(conf, own, rate)
    if conf.get("fmax"):
        conf["fmax"] = min(conf["fmax"], rate // 2)
    return config | {"frontend_conf": conf | {"fs": rate}}


def rate_of(config: Mapping) -> int:
    """Hz of the speech that a training configuration is for."""
    pretrained = "pretrained" in (config.get("frontend"), config.get("encoder"))
    return RATE if pretrained else _hertz((config.get("frontend_conf") or {}).get("fs", RATE))


def _hertz(rate: int | str) -> int:
    from humanfriendly import parse_size  # as ESPnet reads `16k`

    return parse_size(rate) if isinstance(rate, str) else rate


def _filters(conf: Mapping, own: int, rate: int) -> int:
    """How many mel filters reach up to half of ``rate``, as close as those up to half of ``own``."""
    from librosa import hz_to_mel

    highest = conf.get("fmax") or max(own, rate)
    low, old, new = (
        hz_to_mel(min(highest, hertz), htk=conf.get("htk", False))
        for hertz in (conf.get("fmin") or 0, own / 2, rate / 2)
    )
    return round(conf.get("n_mels", 80) * (new - low) / (old - low))
