"""One of several processes of a training, started by `train.launch.launch`: `python -m train.launch JOB`."""

import os
import sys
import threading
from pathlib import Path

from train.quiet import quiet


def _end_with_parent() -> None:
    """End this process when the one that started it is gone, which closes what it reads from."""
    while os.read(0, 1):  # not by sys.stdin, whose lock an end by an error would trip over
        pass
    os._exit(1)


def _say(line: str) -> None:
    print(line, flush=True)


def main(path: Path) -> int:
    """Run the job in a file as the process that the environment says; the exit code."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    quiet()
    import torch

    from collectors.errors import SuriError
    from train import launch
    from train.fitting.fit import Job, fit

    rank = int(os.environ["RANK"])
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    try:
        fit(Job.model_validate_json(path.read_text(encoding="utf-8")), _say if rank == 0 else lambda line: None)
        torch.distributed.destroy_process_group()
    except SuriError as error:
        print(launch.failed(error), file=sys.stderr, flush=True)
        return 2
    return 0


if __name__ == "__main__":
    code = main(Path(sys.argv[1]))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # threads of a failed group of processes would keep it
