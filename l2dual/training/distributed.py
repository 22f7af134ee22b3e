"""One training by several processes (workers): an exact loss, and the end of a lost worker."""

import os
import platform
import sys
import threading
import traceback
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
from espnet2.train.distributed_utils import (
    get_master_addr,
    get_master_port,
    get_rank,
    get_world_size,
)

LOG_VARIABLE = "L2DUAL_LOG"  # run.sh says there where a worker's output goes
BEAT_SECONDS = 2.0
SILENT_BEATS = 10  # a worker that is silent so long is lost


def announce(args: Namespace) -> None:
    """Print where the workers of a training meet, before this one waits for the others there."""
    if not args.distributed:
        return
    where = args.dist_init_method
    if where == "env://":
        address = get_master_addr(args.dist_master_addr, args.dist_launcher)
        where = f"tcp://{address}:{get_master_port(args.dist_master_port)}"
    rank = get_rank(args.dist_rank, args.dist_launcher)
    world_size = get_world_size(args.dist_world_size, args.dist_launcher)
    print(
        f"rendezvous: worker {rank} of {world_size} (0 is the first) on {platform.node()}, "
        f"process {os.getpid()}, at {where} by {args.dist_backend}",
        flush=True,
    )


@contextmanager
def watched() -> Iterator[None]:
    """Within the block, a lost worker ends the others in 20 seconds, with its log named.

    Gloo notices a killed process at once; this then waits to learn which one it was. Under NCCL, or
    when a whole node is gone, the others would hang for minutes.
    """
    if not torch.distributed.is_initialized():
        yield
        return
    watch = Watch()
    try:
        yield
        torch.distributed.barrier()  # no worker leaves, and falls silent, before all are done
    except RuntimeError:  # usually from gloo; a worker's own error is raised after the wait
        traceback.print_exc()
        watch.wait(SILENT_BEATS + 2)
        raise
    finally:
        watch.stopped.set()


class Watch:
    """A thread that reports this worker to the others, and ends it when one of them falls silent.

    It counts its own rounds, not seconds: a job that was suspended as a whole goes on.
    """

    def __init__(self):
        self.rank = torch.distributed.get_rank()
        self.store = torch.distributed.distributed_c10d._get_default_store().clone()
        self.store.set_timeout(timedelta(seconds=SILENT_BEATS * BEAT_SECONDS))
        others = set(range(torch.distributed.get_world_size())) - {self.rank}
        self.heard = dict.fromkeys(sorted(others), "")
        self.silent = dict.fromkeys(self.heard, 0)
        self.log = f"{platform.node()}:{os.environ.get(LOG_VARIABLE, 'its output')}"
        self.rounds = 0
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def wait(self, rounds: int) -> None:
        """Wait for so many rounds, in which this process ends if another worker is lost."""
        last = self.rounds + rounds
        while self.rounds < last and self.thread.is_alive():
            self.thread.join(BEAT_SECONDS)

    def _run(self) -> None:
        ended = False
        while not ended:
            try:
                self._round()
            except RuntimeError:  # the first worker keeps the store
                if self.rank:
                    self.silent[0] += 1
            for rank, beats in self.silent.items():
                if beats >= SILENT_BEATS and not self.stopped.is_set():
                    self._end(rank)
            ended = self.stopped.wait(BEAT_SECONDS)

    def _round(self) -> None:
        self.rounds += 1
        self.store.set(f"l2dual/{self.rank}", f"{self.rounds} {self.log}")
        for rank, before in self.heard.items():
            if self.store.check([f"l2dual/{rank}"]):  # else it has not begun
                self.heard[rank] = self.store.get(f"l2dual/{rank}").decode()
                self.silent[rank] = self.silent[rank] + 1 if self.heard[rank] == before else 0

    def _end(self, rank: int) -> None:
        log = self.heard[rank].partition(" ")[2] or "unknown"
        print(
            f"l2dual: error: worker {rank} of {len(self.heard) + 1} is lost: its log is {log}",
            file=sys.stderr,
            flush=True,
        )
        os._exit(1)  # the main thread may hang in a collective operation
