"""Several processes: one a GPU, or several on a machine without any, each running the same training on its share.

How the model is divided among them is the business of FSDP or DeepSpeed, set up by the files beside this one.
"""

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from importlib import resources
from pathlib import Path
from typing import Any, Final, get_args

import torch

from collectors import errors
from collectors.errors import SuriError, TrainingError
from train.methods.nodes import VIRTUAL, AdaLora
from train.recipe import Recipe
from train.runs import Sharding

LOOPBACK: Final = "127.0.0.1"
FAILED: Final = "suri: failed: "
"""Begins the line in which a process tells the one that started it why it ended."""
TICK: Final = 0.5
"""Seconds between two looks at whether this process was interrupted: a signal need not reach the thread that waits."""
GRACE: Final = 5.0
"""Seconds the others are given, once a process failed, to say why they did."""


def check(recipe: Recipe, processes: int, sharding: Sharding) -> None:
    """`TrainingError` when a recipe cannot be trained by that many processes and that sharding on this machine."""
    gpus = torch.cuda.device_count()
    if torch.cuda.is_available() and processes > gpus:
        raise TrainingError(f"--gpus {processes}: this machine has {gpus}; give --gpus {gpus} or fewer")
    if sharding == "none":
        return
    if sharding != "fsdp" and importlib.util.find_spec("deepspeed") is None:
        raise TrainingError(
            f"--sharding {sharding}: needs the package deepspeed, which is not installed: pip install deepspeed, or "
            "take --sharding fsdp"
        )
    if not torch.cuda.is_available():
        raise TrainingError(f"--sharding {sharding}: needs GPUs, and there is none here; leave it out")
    if processes == 1:
        raise TrainingError(f"--sharding {sharding}: divides a model among several GPUs; say how many with --gpus")
    held = recipe.quantisation
    if held is not None and (sharding == "zero3" or (sharding == "fsdp" and held.bits == 8)):
        raise TrainingError(f"--sharding {sharding}: cannot divide a base in {held.bits} bits; take zero2, or none")
    if isinstance(recipe.method, (AdaLora, *VIRTUAL)):
        raise TrainingError(f"--sharding {sharding}: cannot be used with method {recipe.method.name}; leave it out")


def path(sharding: Sharding) -> Path:
    """The file that sets a sharding up: FSDP's for the Trainer, ZeRO's in DeepSpeed's own format."""
    if sharding not in get_args(Sharding)[1:]:
        raise ValueError(f"sharding {sharding} has no file")
    return Path(str(resources.files("train") / "launch" / f"{sharding}.json"))


def settings(sharding: Sharding, recipe: Recipe) -> dict[str, Any]:
    """The Trainer's arguments that ask for a sharding, and for activations to be recomputed, which FSDP does itself."""
    spare = recipe.gradient_checkpointing
    if sharding == "fsdp":
        chosen = json.loads(path(sharding).read_text(encoding="utf-8")) | {"activation_checkpointing": spare}
        return {"fsdp": True, "fsdp_config": chosen}
    recomputing: dict[str, Any] = {}
    if spare:
        recomputing = {"activation_checkpointing": True, "activation_checkpointing_kwargs": {"use_reentrant": False}}
    return recomputing if sharding == "none" else recomputing | {"deepspeed": str(path(sharding))}


def launch(job: Path, processes: int, advice: Callable[[], str]) -> None:
    """Run the job in a file by that many processes, to the end of all of them.

    Raises the error that one of them met; when one fails, the others are ended. They end by themselves when this
    process does, however it ends. `advice` is what to tell of one that the system killed for its memory.
    """
    port, pool = _free_port(), ThreadPoolExecutor(processes)
    children: list[subprocess.Popen[str]] = []
    try:
        children += [_start(job, rank, processes, port) for rank in range(processes)]
        ends = [pool.submit(_ended, child) for child in children]
        pending = set(ends)
        while pending:
            done, pending = wait(pending, timeout=TICK, return_when=FIRST_COMPLETED)
            if any(end.result()[0] for end in done):
                wait(pending, timeout=GRACE)
                raise _failure([end.result() for end in ends if end.done()], advice)
        sys.stderr.write(ends[0].result()[1])
    finally:
        for child in children:
            child.terminate()
        pool.shutdown()
        for child in children:
            with child:
                pass  # closes what it was read by


def _start(job: Path, rank: int, processes: int, port: int) -> subprocess.Popen[str]:
    """One process, which finds the others by its environment as torch reads it."""
    own = {
        "RANK": rank,
        "LOCAL_RANK": rank,
        "WORLD_SIZE": processes,
        "LOCAL_WORLD_SIZE": processes,
        "MASTER_ADDR": LOOPBACK,
        "MASTER_PORT": port,
    }
    surroundings = {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // processes))} | os.environ
    if sys.platform == "linux" and not torch.cuda.is_available():
        surroundings.setdefault("GLOO_SOCKET_IFNAME", "lo")  # else it asks for an address of this machine's name
    return subprocess.Popen(
        [sys.executable, "-m", "train.launch", str(job)],
        env=surroundings | {name: str(value) for name, value in own.items()},
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,  # an interrupt reaches this process, which then ends them
    )


def _ended(child: subprocess.Popen[str]) -> tuple[int, str]:
    """The exit code of a process, when it has ended, and what it said to its error output."""
    assert child.stderr is not None
    said = child.stderr.read()
    return child.wait(), said


def _failure(ended: list[tuple[int, str]], advice: Callable[[], str]) -> Exception:
    """Why a training failed, from what its processes left: a user's error if one of them met it, else a defect."""
    for _, said in ended:
        for line in said.splitlines():
            if line.startswith(FAILED):
                told = json.loads(line.removeprefix(FAILED))
                kind: type[SuriError] = getattr(errors, told["kind"], SuriError)
                return kind(told["message"])
    for rank, (code, _) in enumerate(ended):
        if code == -signal.SIGKILL:
            return TrainingError(f"process {rank} was killed, as the system does when memory runs out; {advice()}")
    sys.stderr.write("".join(said for _, said in ended))
    return RuntimeError(f"of {len(ended)} processes, ended with codes {[code for code, _ in ended]}; see above")


def failed(error: SuriError) -> str:
    """The line by which a process tells of an error that is the user's to mend."""
    return FAILED + json.dumps({"kind": type(error).__name__, "message": str(error)})


def _free_port() -> int:
    with socket.socket() as one:
        one.bind((LOOPBACK, 0))
        return int(one.getsockname()[1])
