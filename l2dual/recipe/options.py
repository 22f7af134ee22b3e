"""The options of a recipe: names, defaults, checks and help, in one place.

    eval "$(python3 -m l2dual.recipe.options OPTION...)"     checks them, and sets expdir

This module needs no package, so that run_all.sh can check its options before it sets anything up.
"""

import difflib
import shlex
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from l2dual.errors import UsageError, run
from l2dual.text import TOKEN_TYPES

Check = Callable[[str, str], None]  # of a name and a value; raises UsageError


def several_or_none(name: str, value: str) -> None:
    """A whole number, but not 1."""
    whole(name, value)
    if int(value) == 1:
        raise UsageError(f"--{name} 1 would hear nobody: give 2 or more, or 0 for none")


def whole(name: str, value: str) -> None:
    """A whole number, 0 or more."""
    if not (value.isascii() and value.isdigit()):
        raise UsageError(f"--{name} must be a whole number, not '{value}'")


def positive(name: str, value: str) -> None:
    """A whole number, 1 or more."""
    whole(name, value)
    if int(value) == 0:
        raise UsageError(f"--{name} must be 1 or more, not '{value}'")


def decimal(name: str, value: str) -> None:
    """A number above 0, without exponent."""
    digits = value.replace(".", "", 1)
    if not (digits.isascii() and digits.isdigit() and not value.endswith(".") and float(value) > 0):
        raise UsageError(f"--{name} must be a number above 0, as 0.9, not '{value}'")


def anything(name: str, value: str) -> None:
    """Any text."""


def one_of(*choices: str) -> Check:
    """One of a few words."""

    def check(name: str, value: str) -> None:
        if value not in choices:
            raise UsageError(f"--{name} must be one of: {' '.join(choices)}; it is '{value}'")

    return check


def words(each: Check) -> Check:
    """Words with spaces between them, each of which passes a check."""

    def check(name: str, value: str) -> None:
        for word in value.split():
            each(name, word)

    return check


@dataclass(frozen=True)
class Option:
    """``default``: empty where it follows from other options. ``defines``: it makes a study what it is."""

    name: str
    default: str
    help: str
    check: Check = anything
    defines: bool = False


BOOLEAN = one_of("true", "false")
TOKENS = one_of(*TOKEN_TYPES)


def _part(*options: tuple) -> tuple[Option, ...]:
    return tuple(replace(Option(*option), defines=True) for option in options)


GROUPS: dict[str, tuple[Option, ...]] = {
    "study": (
        Option("study", "", "its name: of studies/NAME.yaml, of exp/NAME, or a new one"),
        Option("base", "", "study that a new one starts from; of another corpus its model [mini; whisper]"),
        Option("systems", "so_surface so_meaning do", "systems to compare: names in conf/systems"),
        Option("seeds", "1", 'seeds of each system, as "1 2 3"', words(whole)),
    ),
    "data": (
        *_part(
            ("corpus", "simulated", "a corpus of docs/corpora"),
            ("db", "", "path of your copy of the corpus; default: the path in db.sh"),
            ("columns", "", 'column names of corpus table, as "meaning=Text,surface=Heard"'),
            ("canonical", "given", "canonical text of corpus table or kaldi: given, or dictionary",
             one_of("given", "dictionary")),
            ("field_map", "", "YAML file: names of the fields in the labels of corpus aihub"),
            ("assume_surface", "false", "true: assume no errors in a corpus without a surface", BOOLEAN),
            ("simulate", "mini", "size of the simulated corpus: a name in conf/simulate, or a YAML file"),
            ("severity", "paper", "how much its learners err: none, half, paper, double or triple",
             one_of("none", "half", "paper", "double", "triple")),
            ("errors", "rules", "their errors: rules, or random substitutions at the same rate",
             one_of("rules", "random")),
            ("engine", "espeak", "speech synthesizer: espeak or kokoro (docs/simulator.md)"),
            ("prompts", "", "file of your own sentences, one a line, for the simulated corpus"),
            ("data_seed", "1", "seed of the simulated corpus, or of the splits of a corpus", whole),
            ("surface_convention", "", "heard or pronounced: how surface is written"),
        ),
        Option("allow_pipes", "false", "true: run the commands in the wav.scp of corpus kaldi", BOOLEAN),
        Option("test_data", "", "other data to test on (stages 9, 10, 12): dump/OTHER_TAG, or valid"),
    ),
    "audio": _part(
        ("speed_factors", "", 'speed perturbation of the training data, as "0.9 1.0 1.1"', words(decimal)),
        ("audio_format", "flac", "flac, wav or ark", one_of("flac", "wav", "ark")),
        ("fs", "16000", "sampling rate in Hz", positive),
        ("min_seconds", "0.3", "shortest utterance to train on", decimal),
        ("max_seconds", "20", "longest utterance to train on", decimal),
        ("leave_out_l1", "", "first language to leave out of training and to test on alone"),
        ("frames_per_second", "", "encoder frames per second; default: computed from the train_config"),
    ),
    "training": (
        *_part(
            ("surface_token_type", "", "char, jamo, bpe, phn, word or whisper", TOKENS),
            ("meaning_token_type", "", "char, jamo, bpe, phn, word or whisper", TOKENS),
            ("nbpe", "500", "vocabulary of a bpe output", positive),
            ("token_joint", "", "one vocabulary for both outputs: true or false", BOOLEAN),
            ("cache_features", "false", "true: run a frozen pretrained front-end once over the data", BOOLEAN),
            ("train_config", "", "model and training: a name in conf/train, or a YAML file"),
            ("train_args", "", 'changes to it, as "--max_epoch 20 --optim_conf lr=1e-3"'),
            ("losses", "", "fitted: more CTC, fitted on development data; ctc: CTC alone", one_of("fitted", "ctc")),
        ),
        Option("ngpu", "0", "GPUs of each training", whole),
        Option("num_nodes", "1", "machines of each training, each with ngpu GPUs; above 1 under Slurm", positive),
    ),
    "decoding": (
        Option("decode_config", "", "searches: a YAML file [conf/decode.yaml]"),
        Option("budgets", "whole", 'checkpoints to decode: whole, half (the half-budget one) or "half whole"',
               words(one_of("half", "whole"))),
        Option("gpu_inference", "", "true: decode on a GPU [true if --ngpu is above 0]", BOOLEAN),
        Option("inference_nj", "", "decodings at a time [as many as there are cores or GPUs]", positive),
        Option("rater_folds", "2", "trainings for raters, each without some speakers; 0: none", several_or_none),
        Option("zero_shot", "0", "test utterances that Whisper as it comes transcribes too (stage 10)", whole),
        Option("retrained", "false", "true: stage 11 also trains new decoders on frozen encoders", BOOLEAN),
    ),
    "run": (
        Option("stage", "1", "first stage to run", whole),
        Option("stop_stage", "12", "last stage to run", whole),
        Option("skip_stages", "", 'stages to leave out, as "2 11"', words(positive)),
        Option("expdir", "exp", "directory of the studies"),
        Option("nj", "2", "processes that prepare data", positive),
        Option("num_threads", "1", "threads of each training and decoding job", positive),
    ),
}  # fmt: skip
OPTIONS = {option.name: option for options in GROUPS.values() for option in options}
INSIDE = ("language",)  # given by a recipe, not by its user
ESPNET = {  # ESPnet's name: ours
    "asr_config": "train_config",
    "asr_args": "train_args",
    "inference_config": "decode_config",
}


def parse(arguments: Iterable[str]) -> dict[str, str]:
    """The options that are given, by our names: ``--name value``, ``--name=value``, ``--na-me value``.

    Raises:
        UsageError: an unknown option (names the nearest), none at all, or a value that does not fit.
    """
    given, rest = {}, list(arguments)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--"):
            raise UsageError(f"unexpected argument '{word}': options are --name value, see --help")
        option, equals, value = word.partition("=")
        name = _known(option)
        if not equals:
            if not rest or (rest[0].startswith("--") and name != "train_args"):
                raise UsageError(f"option {option} needs a value")
            value = rest.pop(0)
        if name in OPTIONS and (value or OPTIONS[name].default):
            OPTIONS[name].check(name, value)
        given[name] = value
    return given


def _known(option: str) -> str:
    name = option[2:].replace("-", "_")
    name = ESPNET.get(name, name)
    if name not in OPTIONS and name not in INSIDE:
        raise UsageError(
            f"unknown option {option}: did you mean --{nearest(name, [*OPTIONS, *ESPNET])}? See --help"
        )
    return name


def nearest(name: str, choices: Iterable[str]) -> str:
    """The choice that is most like ``name``."""
    return difflib.get_close_matches(name, list(choices), n=1, cutoff=0.0)[0]


def usage() -> str:
    """The help, a line for each option."""
    lines = ["Usage: ./run.sh [--study NAME] [--stage N] [--stop_stage N] [--option value ...]"]
    for group, options in GROUPS.items():
        lines += ["", f"{group}:"]
        for option in options:
            default = f" [{option.default}]" if option.default else ""
            lines.append(f"  --{option.name:22} {option.help}{default}")
    names = ", ".join(f"--{theirs} ({ours})" for theirs, ours in ESPNET.items())
    return "\n".join([*lines, "", f"ESPnet's names are understood: {names}.", ""])


def asks_for_help(arguments: Iterable[str]) -> bool:
    """Whether --help is among the arguments; then `bash_help` is what the shell is to run."""
    return not {"-h", "--help"}.isdisjoint(arguments)


def bash_help() -> str:
    """Bash that prints the help and ends."""
    return f"printf %s {shlex.quote(usage())}; exit 0"


def main() -> None:
    if asks_for_help(sys.argv[1:]):
        print(bash_help())
    else:
        expdir = parse(sys.argv[1:]).get("expdir", OPTIONS["expdir"].default)
        print(f"expdir={shlex.quote(expdir)}")


if __name__ == "__main__":
    run(main)
