"""Silence for the libraries, so that what a training says is its own lines."""

import logging
import os
from collections.abc import Callable
from typing import Final

NOISE: Final = {
    # Said when two checkpoints are written within seconds; they are then sorted by their numbers, which is as good.
    "transformers.trainer_utils": "mtime may not be reliable",
    # Said when peft looks for bitsandbytes on a machine without GPU; the kernel is one that we bar.
    "bitsandbytes.backends.cpu.ops": "Failed to load CPU gemm_4bit_forward",
    # Said by every 8-bit layer at each evaluation.
    "bitsandbytes.autograd._functions": "inputs will be cast from",
}
"""What libraries log without need: by the logger, the words."""


def quiet() -> None:
    """No telemetry, and no progress bars of libraries between our lines; their warnings stay.

    Must come before torch is imported: its threads then sleep while they wait, where spinning would make a training on
    a busy machine several times slower.
    """
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    for name, noise in NOISE.items():
        logging.getLogger(name).addFilter(_without(noise))
    from transformers.utils.logging import disable_progress_bar  # does not import torch

    disable_progress_bar()


def _without(words: str) -> Callable[[logging.LogRecord], bool]:
    return lambda record: words not in record.getMessage()
