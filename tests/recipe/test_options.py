"""Options are understood, or the nearest is named; each has its check and its line of help."""

import subprocess
import sys
from pathlib import Path

import pytest

from l2dual.errors import UsageError
from l2dual.recipe.options import OPTIONS, parse, usage

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "words, given",
    [
        (["--prompts", "a b"], {"prompts": "a b"}),
        (["--prompts=x=y", "--stage=3"], {"prompts": "x=y", "stage": "3"}),
        (["--train-config="], {"train_config": ""}),
        (["--seeds", "1", "--seeds", "2 3"], {"seeds": "2 3"}),
        (["--train_args", "--max_epoch 20"], {"train_args": "--max_epoch 20"}),
        (["--asr_config", "a.yaml", "--asr_args=--max_epoch 1", "--inference_config", "b.yaml"],
         {"train_config": "a.yaml", "train_args": "--max_epoch 1", "decode_config": "b.yaml"}),
        (["--gpu_inference", "true", "--inference_nj", "4"], {"gpu_inference": "true", "inference_nj": "4"}),
    ],
)  # fmt: skip
def test_options_are_understood(words, given):
    assert parse(words) == given


@pytest.mark.parametrize(
    "words, fault",
    [
        (["--stagge", "2"], "unknown option --stagge: did you mean --stage? See --help"),
        (["--trainconfig=x"], "unknown option --trainconfig: did you mean --train_config?"),
        (["--asr_confg", "x"], "did you mean --asr_config?"),
        (["--x[$(touch ran)]", "1"], "unknown option --x[$(touch ran)]:"),
        (["--stage train_config", "1"], "unknown option"),
        (["--", "1"], "unknown option --:"),
        (["--stage"], "option --stage needs a value"),
        (["--train_config", "--stage"], "option --train_config needs a value"),
        (["tiny"], "unexpected argument 'tiny'"),
        (["--nj", "0"], "--nj must be 1 or more, not '0'"),
        (["--nj", ""], "--nj must be a whole number, not ''"),
        (["--num-threads=0"], "--num_threads must be 1 or more, not '0'"),
        (["--ngpu", "two"], "--ngpu must be a whole number, not 'two'"),
        (["--seeds", "1 x"], "--seeds must be a whole number, not 'x'"),
        (["--speed_factors", "0.9 nan"], "--speed_factors must be a number above 0, as 0.9, not 'nan'"),
        (["--max_seconds", "inf"], "--max_seconds must be a number above 0"),
        (["--max_seconds", "0.0"], "--max_seconds must be a number above 0"),
        (["--severity", "loud"], "--severity must be one of: none half paper double triple; it is 'loud'"),
        (["--audio_format", "mp3"], "--audio_format must be one of: flac wav ark"),
        (["--budgets", "half quarter"], "--budgets must be one of: half whole; it is 'quarter'"),
    ],
)
def test_what_is_not_understood_is_named(words, fault):
    with pytest.raises(UsageError) as error:
        parse(words)
    assert fault in str(error.value)


def test_the_help_has_a_line_for_each_option_and_every_default_passes_its_check():
    lines = usage().splitlines()
    for name, option in OPTIONS.items():
        assert sum(line.startswith(f"  --{name} ") for line in lines) == 1
        if option.default:
            option.check(name, option.default)


def test_options_are_checked_without_any_package():
    command = [sys.executable, "-S", "-m", "l2dual.recipe.options"]  # -S: no site-packages
    done = subprocess.run([*command, "--expdir", "my exp"], cwd=ROOT, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("expdir='my exp'\n", "")
    done = subprocess.run([*command, "--basse", "x"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1 and "did you mean --base?" in done.stderr
