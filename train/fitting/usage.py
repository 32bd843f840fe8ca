"""How much memory this process has used, how much there is, and what to do when it was not enough."""

import resource
import sys
from pathlib import Path

import psutil
import torch

from train.recipe import Recipe


def peak() -> int:
    """The most bytes in use so far: of the GPU where there is one, else of this process's own memory."""
    if torch.cuda.is_available():
        return int(torch.cuda.max_memory_allocated())
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def seen() -> int:
    """All bytes of the device: of the GPU where there is one, else of this machine."""
    if torch.cuda.is_available():
        return int(torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory)
    return int(psutil.virtual_memory().total)


def advice(recipe: Recipe, base: Path) -> str:
    """What to tell of a training that ran out of memory: what to set so that it needs less, reckoned from the base."""
    from train.planning import plan

    return plan.advice(recipe, base, seen=seen())
