"""ESPnet's trainer, with its silent failures turned into errors."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from time import perf_counter

import torch
from espnet2.iterators.abs_iter_factory import AbsIterFactory
from espnet2.torch_utils.safe_torch_load import safe_torch_load
from espnet2.train.reporter import aggregate

from l2dual.errors import DataError, UsageError
from l2dual.text.lexicon import FILE as LEXICON
from l2dual.training.checks import stable_epochs_of_half
from l2dual.training.distributed import watched
from l2dual.training.espnet import Trainer, TrainerOptions
from l2dual.training.schedule import WarmupStableDecay

SHOWN = 20  # utterances that an error names
REMEDY = "check them with `l2dual validate`, or lower the learning rate"
HALF = "half"  # directory of the training of half the budget, in that of the whole


class L2DualTrainer(Trainer):
    """Refuses settings that ESPnet accepts and that train nothing, or select no model."""

    known = ""  # loss of the epoch before, and the time that the training still takes

    @classmethod
    def run(cls, model, trainer_options, distributed_option, **kwargs) -> None:
        """Train ``model`` as ESPnet's trainer does, with whole-or-absent checkpoints.

        Raises:
            UsageError: ``best_model_criterion`` names what the model does not report, several workers
                are to plot attention, or the settings leave no step, or none for the rate to fall.
            DataError: a loss or a gradient is not finite.
            OSError: a file can't be written.
        """
        for phase, name, _ in trainer_options.best_model_criterion:
            if phase not in ("train", "valid") or name not in model.statistics():
                raise UsageError(
                    f"best_model_criterion: no statistic {phase}.{name}: use train or valid and "
                    f"one of {', '.join(model.statistics())}"
                )
        if distributed_option.distributed and kwargs["plot_attention_iter_factory"] is not None:
            raise UsageError("num_att_plot must be 0 with several workers: one would plot alone")
        fit(kwargs["schedulers"], kwargs["train_iter_factory"], trainer_options)
        scaled = trainer_options.use_amp and trainer_options.ngpu > 0
        if trainer_options.use_amp and not scaled:  # which ESPnet leaves out on a CPU
            model.forward = torch.autocast("cpu", torch.bfloat16)(model.forward)
        with atomic_saves(), watched(), finite(model, scaled):
            super().run(
                model=model,
                trainer_options=trainer_options,
                distributed_option=distributed_option,
                **kwargs,
            )

    @classmethod
    def train_one_epoch(cls, model, iterator, reporter, options, **kwargs) -> bool:
        """Train one epoch; print which, the last loss and the time to go for the job launcher.

        Raises:
            UsageError: the epoch has no finite gradients, so that no step was taken.
        """
        if kwargs["distributed_option"].dist_rank in (None, 0):
            shown = f"{run_name(options.output_dir)} epoch {reporter.epoch} of {options.max_epoch}"
            print(f"progress: {shown}{cls.known}", flush=True)
            for schedule in schedules(kwargs["schedulers"]):
                if stable_epochs_of_half(options.max_epoch, schedule.decay) == reporter.epoch - 1:
                    begin_half(Path(options.output_dir))
        if super().train_one_epoch(
            model=model, iterator=iterator, reporter=reporter, options=options, **kwargs
        ):
            raise UsageError(
                f"no batch of epoch {reporter.epoch} had finite gradients: lower the learning rate, "
                "or set use_amp: false"
            )
        left = (perf_counter() - reporter.start_time) * (options.max_epoch - reporter.epoch)
        cls.known = f", loss {aggregate(reporter.stats['loss']):.2f}, {timedelta(seconds=round(left))} to go"
        return False

    @staticmethod
    def resume(checkpoint: Path, reporter, **kwargs) -> None:
        """Resume from ``checkpoint``, and write its epoch's model where that is missing.

        ESPnet saves the checkpoint, the epoch's model and the links to it one after another; a
        training that was killed between them, or whose disk was full, has the first alone.
        """
        Trainer.resume(checkpoint=checkpoint, reporter=reporter, **kwargs)
        folder, epoch = checkpoint.parent, reporter.get_epoch()
        model = folder / f"{epoch}epoch.pth"
        if torch.distributed.is_initialized() and torch.distributed.get_rank():
            return
        if not model.exists():
            torch.save(safe_torch_load(checkpoint, map_location="cpu")["model"], model)
        link = folder / "latest.pth"
        link.unlink(missing_ok=True)
        link.symlink_to(model.name)


def fit(schedulers: Sequence, factory: AbsIterFactory, options: TrainerOptions) -> None:
    """Tell the schedules how many steps the training has; UsageError if it has none."""
    batches = len(factory.build_iter(1))
    if batches < options.accum_grad:
        raise UsageError(
            f"accum_grad {options.accum_grad} is more than the {batches} batches of an epoch, so that "
            "nothing would be learned: lower accum_grad or batch_bins"
        )
    for schedule in schedules(schedulers):
        schedule.fit(options.max_epoch * (batches // options.accum_grad))


def schedules(schedulers: Sequence) -> list[WarmupStableDecay]:
    """Those of ours."""
    return [schedule for schedule in schedulers if isinstance(schedule, WarmupStableDecay)]


def begin_half(output_dir: Path) -> None:
    """Begin the training of half the budget: it goes on from the checkpoint of the whole one.

    ``train --half true`` decays it, with the batches and, to the bit, the result of a training of
    half the epochs from the start.
    """
    half, temporary = output_dir / HALF, output_dir / f"{HALF}.tmp"
    if (half / "checkpoint.pth").exists():  # the training was stopped after this
        return
    for directory in (temporary, half):  # the latter has no more than a log
        shutil.rmtree(directory, ignore_errors=True)
    temporary.mkdir()
    for model in output_dir.glob("*epoch.pth"):
        shutil.copy(model, temporary)
    shutil.copy(output_dir / "checkpoint.pth", temporary)
    if (output_dir / LEXICON).exists():
        shutil.copy(output_dir / LEXICON, temporary)
    temporary.rename(half)


def run_name(output_dir: str) -> str:
    """System and seed of a run, as progress lines name it."""
    path = Path(output_dir)
    if path.name == HALF:
        return f"{run_name(str(path.parent))} half"
    return ".".join(path.name.split(".")[-2:])


@contextmanager
def finite(model: torch.nn.Module, scaled: bool) -> Iterator[None]:
    """Within the block, a loss or gradient of ``model`` that is not finite is an error.

    ESPnet skips such a step with a warning. It looks at both values right after, so that looking at
    them costs no wait for the GPU.

    Args:
        scaled: gradients are scaled (use_amp), and too large a scale makes some infinite; these
            steps are skipped and the scale is lowered, so only losses are looked at.

    Raises:
        DataError: names the utterances of the step.
    """
    utts: list[str] = []  # of the batches since the last step
    clip = torch.nn.utils.clip_grad_norm_

    def check_loss(module, _args, batch, output):
        loss = output[0].detach()
        if not torch.isfinite(loss).all():
            bad = [u for u, x in zip(batch["utt_id"], batch["speech"], strict=True) if not x.isfinite().all()]
            if bad:
                raise DataError(
                    f"the audio of {named(bad)} has values that are NaN or infinite: replace or "
                    "remove it, and run all stages again"
                )
            raise DataError(f"the loss is {loss.item()} at {named(batch['utt_id'])}: {REMEDY}")
        if module.training:
            utts.extend(batch["utt_id"])

    def check_norm(*args, **kwargs):
        norm = clip(*args, **kwargs)
        if not scaled and not torch.isfinite(norm):
            raise DataError(f"the norm of the gradients is {norm} at {named(utts)}: {REMEDY}")
        utts.clear()
        return norm

    hook = model.register_forward_hook(check_loss, with_kwargs=True)
    torch.nn.utils.clip_grad_norm_ = check_norm
    try:
        yield
    finally:
        torch.nn.utils.clip_grad_norm_ = clip
        hook.remove()


def named(utts: list[str]) -> str:
    """The utterances of a step, as an error names them."""
    more = f" and {len(utts) - SHOWN} more" if len(utts) > SHOWN else ""
    return f"utterance {', '.join(utts[:SHOWN])}{more}"


@contextmanager
def atomic_saves() -> Iterator[None]:
    """Let ``torch.save`` write a temporary file and rename it.

    ESPnet writes checkpoint.pth in place, and a run killed meanwhile could not be resumed.
    """
    save = torch.save

    def save_and_rename(obj, f, *args, **kwargs):
        if not isinstance(f, (str, Path)):
            return save(obj, f, *args, **kwargs)
        temporary = Path(f"{f}.tmp")
        try:
            save(obj, temporary, *args, **kwargs)
        except RuntimeError:  # of a full disk, torch says "unexpected pos"
            append(temporary, Path(f))
            raise
        temporary.replace(f)

    torch.save = save_and_rename
    try:
        yield
    finally:
        torch.save = save


def append(temporary: Path, path: Path) -> None:
    """Write more to ``temporary``, to learn from the system why it can't become ``path``.

    Raises:
        OSError: names ``path``; ``temporary`` is removed, as it may fill the disk.
    """
    try:
        with open(temporary, "ab") as stream:
            stream.write(bytes(1 << 20))
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        error.filename = str(path)
        raise
