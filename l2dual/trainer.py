"""ESPnet's trainer, with its silent failures turned into errors."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from espnet2.train.trainer import Trainer

from l2dual.distributed import watched
from l2dual.errors import UsageError

HALF = "half.pth"  # the model when half of the training's batches are done


class L2DualTrainer(Trainer):
    """Refuses settings that ESPnet accepts and that train nothing, or select no model."""

    @classmethod
    def run(cls, model, trainer_options, distributed_option, **kwargs) -> None:
        """Train ``model`` as ESPnet's trainer does, with whole-or-absent checkpoints.

        Raises:
            UsageError: ``best_model_criterion`` names what the model does not report, or several
                workers are to plot attention.
        """
        for phase, name, _ in trainer_options.best_model_criterion:
            if phase not in ("train", "valid") or name not in model.statistics():
                raise UsageError(
                    f"best_model_criterion: no statistic {phase}.{name}: use train or valid and "
                    f"one of {', '.join(model.statistics())}"
                )
        if distributed_option.distributed and kwargs["plot_attention_iter_factory"] is not None:
            raise UsageError("num_att_plot must be 0 with several workers: one would plot alone")
        with atomic_saves(), watched():
            super().run(
                model=model,
                trainer_options=trainer_options,
                distributed_option=distributed_option,
                **kwargs,
            )

    @classmethod
    def train_one_epoch(cls, model, iterator, reporter, options, **kwargs) -> bool:
        """Train one epoch, and print which for the job launcher's progress.

        Raises:
            UsageError: the epoch has fewer batches than ``accum_grad``, so no step would be taken.
        """
        if len(iterator) < options.accum_grad:
            raise UsageError(
                f"accum_grad {options.accum_grad} is more than the {len(iterator)} batches of an "
                "epoch, so that nothing would be learned: lower accum_grad or batch_bins"
            )
        run = ".".join(Path(options.output_dir).name.split(".")[-2:])
        batches = iterator
        if kwargs["distributed_option"].dist_rank in (None, 0):
            print(f"progress: {run} epoch {reporter.epoch} of {options.max_epoch}", flush=True)
            batches = saving_at_half(iterator, model, reporter.epoch, options)
        return super().train_one_epoch(
            model=model, iterator=batches, reporter=reporter, options=options, **kwargs
        )


def saving_at_half(iterator, model: torch.nn.Module, epoch: int, options) -> Iterable:
    """The batches of an epoch; the model is saved as ``HALF`` before the training's second half.

    The learning rate does not know of an end, so these are the last weights of a training of half
    the budget; at the whole budget, the best epochs' average is decoded (keep_nbest_models).
    """
    half = options.max_epoch * len(iterator) // 2 - (epoch - 1) * len(iterator)
    for done, batch in enumerate(iterator):
        if done == half:
            state = getattr(model, "module", model).state_dict()
            torch.save(state, Path(options.output_dir) / HALF)
        yield batch


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
        save(obj, temporary, *args, **kwargs)
        temporary.replace(f)

    torch.save = save_and_rename
    try:
        yield
    finally:
        torch.save = save
