"""Training by two processes: the gradients of one, what is printed, and the loss of a worker."""

import argparse
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from espnet2.train.distributed_utils import DistributedOption
from espnet2.train.reporter import Reporter

from l2dual.files import read_yaml
from l2dual.models.dual import L2DualModel
from l2dual.systems import read_options
from l2dual.training.runs import merge, write_yaml
from l2dual.training.task import L2DualTask
from l2dual.training.trainer import L2DualTrainer
from tests.conftest import MEANING_TOKENS, ROOT, SURFACE_TOKENS
from tests.integration.test_training import configure, environment, recipe, train

__all__ = ["recipe"]  # the fixture
PLAIN = dict(output_size=32, attention_heads=2, linear_units=64, num_blocks=2)
PLAIN |= dict.fromkeys(("dropout_rate", "positional_dropout_rate", "attention_dropout_rate"), 0.0)
CONFORMER = dict(macaron_style=True, use_cnn_module=True, cnn_module_kernel=15)
CASES = {  # system, encoder
    "transformer": ("do", "transformer"),
    "unnormalized": ("do", "transformer"),
    "do_paper": ("do_paper", "transformer"),
    "so_surface": ("so_surface", "transformer"),
    "so_meaning": ("so_meaning", "transformer"),
    "conformer": ("do", "conformer"),
    "do_apart": ("do_apart", "transformer"),
    "do_branch1": ("do_branch1", "transformer"),
    "do_pull0": ("do_pull0", "transformer"),
    "do_surface_first": ("do_surface_first", "transformer"),
}
LENGTHS = {"surface": [9, 2, 7, 3, 8], "meaning": [3, 6, 2, 9, 4]}  # unlike over the workers


def build(case: str) -> L2DualModel:
    system, encoder = CASES[case]
    args = vars(L2DualTask.get_parser().parse_args([])) | read_yaml(ROOT / "conf/train/tiny.yaml")
    args = merge(args, read_options(ROOT / "conf" / "systems" / f"{system}.yaml"))
    args |= {"encoder": encoder, "encoder_conf": PLAIN, "seed": 1}
    if encoder == "conformer":
        args["encoder_conf"] = PLAIN | CONFORMER
    args["model_conf"]["length_normalized"] = case != "unnormalized"
    args |= {"normalize": "utterance_mvn", "normalize_conf": {}}
    args |= {"surface_token_list": SURFACE_TOKENS, "meaning_token_list": MEANING_TOKENS}
    return L2DualTask.build_model(argparse.Namespace(**args))


def global_batch() -> tuple[list[str], dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(0)
    count = len(LENGTHS["surface"])
    speech_lengths = torch.tensor([24000, 20000, 18000, 16000, 13000])
    speech = torch.randn(count, 24000, generator=generator)
    speech[torch.arange(24000) >= speech_lengths[:, None]] = 0.0
    batch = {"speech": speech, "speech_lengths": speech_lengths}
    for output, lengths in LENGTHS.items():
        lengths = torch.tensor(lengths)
        tokens = torch.randint(2, 6, (count, int(lengths.max())), generator=generator)
        tokens[torch.arange(tokens.size(1)) >= lengths[:, None]] = -1
        batch |= {output: tokens, f"{output}_lengths": lengths}
    return [f"u{index}" for index in range(count)], batch


class Recorder(torch.optim.SGD):
    """Keeps the gradients of the first step."""

    def step(self):
        if not hasattr(self, "gradients"):
            parameters = (p for group in self.param_groups for p in group["params"])
            self.gradients = [p.grad.clone() for p in parameters]
        super().step()


def two_steps(case: str, worker: int | None = None) -> dict:
    """First gradients, and the first loss and accuracy, of ESPnet's trainer on the global batch."""
    model = build(case)
    ids, batch = global_batch()
    wrapped, share = model, slice(worker, None, None if worker is None else 2)
    if worker is not None:  # as ESPnet's trainer wraps, and its iterator splits
        wrapped = torch.nn.parallel.DistributedDataParallel(model, find_unused_parameters=False)
    batch = {name: value[share] for name, value in batch.items()}
    options = L2DualTask.get_parser().parse_args(["--output_dir", f"exp/{case}"])
    options.grad_clip = 1e9
    optimizer = Recorder(model.parameters(), lr=1e-3)
    reporter = Reporter()
    reporter.set_epoch(1)
    with reporter.observe("train") as observed:
        L2DualTrainer.train_one_epoch(
            model=wrapped,
            iterator=[(ids[share], batch)] * 2,
            optimizers=[optimizer],
            schedulers=[None],
            scaler=None,
            reporter=observed,
            summary_writer=None,
            options=L2DualTrainer.build_options(options),
            distributed_option=DistributedOption(worker is not None, dist_rank=worker),
        )
    names = [name for name, _ in model.named_parameters()]
    stats = {name: reporter.get_value("train", name) for name in model.statistics()}
    return {"gradients": dict(zip(names, optimizer.gradients, strict=True)), "stats": stats}


def one_of_two(worker: int, folder: Path) -> None:
    torch.set_num_threads(1)
    meeting = f"file://{folder}/meeting"
    torch.distributed.init_process_group("gloo", init_method=meeting, world_size=2, rank=worker)
    results = {case: two_steps(case, worker) for case in CASES}
    torch.save(results, folder / f"{worker}.pth")
    torch.distributed.barrier()


@pytest.fixture(scope="module")
def by_two(tmp_path_factory, warm) -> list[dict]:
    """What each of two workers has after two steps of every case."""
    folder = tmp_path_factory.mktemp("two")
    command = [warm / "bin/python", "-m", "tests.integration.test_distributed"]
    workers = [subprocess.Popen([*command, str(worker), folder], env=environment()) for worker in range(2)]
    assert [worker.wait(timeout=600) for worker in workers] == [0, 0]
    return [torch.load(folder / f"{worker}.pth", weights_only=True) for worker in range(2)]


def gap(one: dict, other: dict) -> float:
    """Largest difference of two models' gradients."""
    assert one.keys() == other.keys()
    return max(float((one[name] - other[name]).abs().max()) for name in one)


@pytest.mark.parametrize("case", [case for case in CASES if case != "conformer"])
def test_two_processes_give_the_gradients_of_one(by_two, case, record_property):
    expected = two_steps(case)
    assert max(float(g.abs().max()) for g in expected["gradients"].values()) > 0.1
    for worker in by_two:
        found = gap(worker[case]["gradients"], expected["gradients"])
        record_property("gradient_gap", found)
        print(f"{case}: largest gradient gap {found:.1e}")
        assert found < 1e-5
        for name, value in expected["stats"].items():
            assert worker[case]["stats"][name] == pytest.approx(value, abs=1e-5), name


def test_the_gap_of_batch_normalization_is_reported(by_two, record_property):
    """Each process normalizes by its own utterances: a limit that docs/cluster.md states."""
    expected = two_steps("conformer")["gradients"]
    gaps = [gap(worker["conformer"]["gradients"], expected) for worker in by_two]
    size = max(float(gradient.abs().max()) for gradient in expected.values())
    record_property("gradient_gap", gaps[0])
    print(f"conformer: largest gradient gap {gaps[0]:.1e}, largest gradient {size:.1e}")
    assert gaps[0] == gaps[1] and 1e-5 < gaps[0] < size


def start(recipe: Path, exp: Path, worker: int, meeting: Path) -> subprocess.Popen:
    """Start one of two workers through the run's script."""
    options = ["--dist_backend", "gloo", "--dist_init_method", f"file://{meeting}"]
    return subprocess.Popen(
        ["bash", str(exp / "run.sh"), *options],
        cwd=recipe,
        env=environment() | {"RANK": str(worker), "WORLD_SIZE": "2"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def settings(epochs: int) -> dict:
    """A training whose parameters are sums of its gradients: no dropout, no batch statistics."""
    return {
        "encoder": "transformer", "optim": "sgd", "optim_conf": {"lr": 0.05}, "scheduler": None,
        "scheduler_conf": {}, "max_epoch": epochs, "min_batch_size": 2,
    }  # fmt: skip


@pytest.fixture(scope="module")
def plain(recipe) -> Path:
    """The recipe, its configuration without what only a Conformer has."""
    config = read_yaml(recipe / "train.yaml") | {"encoder_conf": PLAIN}
    write_yaml(recipe / "train.yaml", config)
    return recipe


def test_two_workers_train_what_one_does(plain, tmp_path):
    recipe = plain
    epochs = 2
    alone = configure(recipe, "alone", **settings(epochs))
    train(recipe, alone)
    both = configure(recipe, "both", **settings(epochs))
    workers = [start(recipe, both, worker, tmp_path / "whole") for worker in range(2)]
    said = [worker.communicate(timeout=600)[0] for worker in workers]
    assert [worker.returncode for worker in workers] == [0, 0], said
    for rank in range(2):
        line = f"rendezvous: worker {rank} of 2 (0 is the first) on {os.uname().nodename}, process "
        assert line in said[rank] and f"at file://{tmp_path}/whole by gloo" in said[rank]
    assert said[0].count("progress:") == epochs and "progress:" not in said[1]
    assert said[1] in (recipe / both / "train.1.log").read_text()
    one, two = (torch.load(recipe / exp / f"{epochs}epoch.pth") for exp in (alone, both))
    start_of = torch.load(recipe / alone / "1epoch.pth")
    assert gap(one, start_of) > 1e-3 > 1e-5 > gap(one, two)


def test_a_lost_worker_ends_the_run_and_its_log_is_named(plain, tmp_path):
    recipe = plain
    exp = configure(recipe, "lost", **settings(1000))
    workers = [start(recipe, exp, worker, tmp_path / "lost") for worker in range(2)]
    deadline = time.monotonic() + 300
    while not (recipe / exp / "2epoch.pth").exists():
        assert time.monotonic() < deadline and workers[0].poll() is None
        time.sleep(0.1)
    killed = time.monotonic()
    os.killpg(workers[1].pid, signal.SIGKILL)
    said = workers[0].communicate(timeout=300)[0]
    print(f"the other worker ended {time.monotonic() - killed:.0f} seconds later")
    assert workers[0].returncode == 1
    assert "worker 1 of 2 is lost: its log is " in said.splitlines()[-1]
    assert said.splitlines()[-1].endswith(":exp/lost/train.1.log")


HANGING = """
import sys, time
import torch.distributed
from l2dual.training import distributed
distributed.BEAT_SECONDS = 0.5
rank = int(sys.argv[1])
torch.distributed.init_process_group("gloo", init_method=sys.argv[2], world_size=2, rank=rank)
with distributed.watched():
    steps = 0
    while True:
        torch.distributed.all_reduce(torch.zeros(1))
        time.sleep(0.01)
        steps += 1
        if steps == 100:
            print("training", flush=True)
"""


def test_a_worker_that_hangs_ends_the_others(tmp_path):
    """As a lost machine does, or any lost worker under NCCL: nothing closes a connection."""
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", HANGING, str(rank), f"file://{tmp_path}/meeting"],
            env=environment() | {"L2DUAL_LOG": f"exp/run/train.{rank}.log"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(2)
    ]
    assert workers[1].stdout.readline() == "training\n"
    workers[1].send_signal(signal.SIGSTOP)
    said = workers[0].communicate(timeout=300)[0]
    workers[1].kill()
    assert workers[0].returncode == 1
    assert said.splitlines()[-1].endswith(":exp/run/train.1.log"), said


@pytest.fixture
def two_nodes() -> Iterator[dict[str, str]]:
    """The environment of a Slurm on loopback, to which a second node is added."""
    if not shutil.which("slurmctld", path=os.environ["PATH"] + ":/usr/sbin"):
        pytest.skip("no Slurm: apt-get install slurm-wlm munge")
    folder = Path(tempfile.mkdtemp(prefix="l2s"))  # short, since it holds sockets
    tool = ["bash", str(ROOT / "tools/local_slurm.sh")]
    variables = os.environ | {"L2DUAL_SLURM_DIR": str(folder), "SLURM_CONF": f"{folder}/slurm.conf"}
    variables["PATH"] += ":/usr/sbin"

    def call(*words) -> None:
        subprocess.run(words, env=variables, check=True, timeout=200)

    second = None
    try:
        call(*tool, "start")
        call(*tool, "kill")
        conf = (folder / "slurm.conf").read_text().replace("Nodes=node1 ", "Nodes=node1,node2 ")
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        node = re.search(r"^NodeName=node1 (.*)$", conf, re.MULTILINE)[1]
        conf += f"NodeName=node2 Port={port} {node}\n"
        (folder / "slurm.conf").write_text(conf)
        (folder / "slurm2.conf").write_text(
            conf.replace(f"{folder}/spool", f"{folder}/spool2").replace("/slurmd.", "/slurmd2.")
        )
        (folder / "spool2").mkdir()
        words = ["slurmd", "-D", "-N", "node2", "-f", str(folder / "slurm2.conf")]
        second = subprocess.Popen(words, env=variables)
        call(*tool, "start")
        call("bash", "-c", "until [[ $(sinfo -h -o %D-%t) == 2-idle ]]; do sleep 0.2; done")
        yield variables
    finally:
        if second is not None:
            second.terminate()
            second.wait(timeout=60)
        subprocess.run([*tool, "stop"], env=variables, timeout=200)


def test_a_step_of_two_nodes_under_slurm(plain, two_nodes):
    """ESPnet's launcher, slurm.pl, sbatch and srun, as `--num_nodes 2` has them."""
    path = plain / "path.sh"
    path.write_text(f"{path.read_text()}PATH=$PATH:{ROOT}/tools/launch\nexport PYTHONPATH={ROOT}\n")
    (plain / "cmd.sh").write_text('cmd_backend=slurm cuda_cmd="slurm.py --mem 2G --poll 1"\n')
    exp = configure(plain, "step", **settings(1))
    words = ["bash", str(exp / "run.sh"), "--num_nodes", "2", "--ngpu", "0"]
    done = subprocess.run(words, cwd=plain, env=two_nodes, capture_output=True, text=True)
    log = (plain / exp / "launch.log").read_text()
    assert done.returncode == 0, done.stderr + log
    assert "command: srun --export=ALL exp/step/run.sh --ngpu 0" in log
    for rank, name in enumerate(("train.log", "train.1.log")):
        assert f"rendezvous: worker {rank} of 2" in (plain / exp / name).read_text()
    assert (plain / exp / "valid.acc.ave.pth").exists()
    assert not list((plain / exp).glob(".rendezvous*"))


if __name__ == "__main__":
    one_of_two(int(sys.argv[1]), Path(sys.argv[2]))
