"""ESPnet's task and trainer, without two parts that take seconds to import and that no training of ours calls."""

from l2dual.models.later import Later

Later("espnet2.layers.create_adapter", create_adapter=None)  # transformers, for adapters in a tuned model
Later("espnet2.main_funcs.calculate_all_attentions", calculate_all_attentions=None)  # scipy: num_att_plot above 0

from espnet2.tasks.abs_task import AbsTask, scheduler_classes  # noqa: E402
from espnet2.train.trainer import Trainer, TrainerOptions  # noqa: E402

__all__ = ["AbsTask", "Trainer", "TrainerOptions", "scheduler_classes"]
