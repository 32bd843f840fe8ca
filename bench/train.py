"""Training speed: tokens a second, peak memory and share of the card's matrix rate, beside other trainers.

    python bench/train.py [--toy] [--steps 10] [--batch 4] [--trainers suri trl] [--peer trl=PYTHON ...]

LoRA in bfloat16 and QLoRA (nf4) on a 1B- and a 7B-shaped Llama with random weights, which decide nothing about speed,
at packed rows of 2,048 tokens; `--toy` walks the same way at a size for any CPU. All trainers are given the same rows,
one after the other, each in a process of its own. Suri keeps the sequences in a row apart; the peers are fed the rows
as plain sequences, which is less work. A peer runs in this Python, or in that of an environment of its own that
`--peer` names (`trl`, `unsloth`, `llamafactory`), and says "not installed" where it cannot be imported.

The matrix rate is what large products reach on the same card in the same run. A token's work is reckoned as 4
operations for each frozen weight of a matrix (forward, and back to the input), 6 for each trained one, and 6 x layers x
width x length for causal attention; what gradient checkpointing does again is not counted as work.
"""

import argparse
import importlib.util
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve()
WARM = 2
"""Steps before the clock starts."""
PACKAGES = ("torch", "transformers", "peft", "bitsandbytes", "accelerate")


@dataclass(frozen=True, kw_only=True)
class Shape:
    """A Llama's sizes, and how it is fed."""

    hidden: int
    intermediate: int
    layers: int
    heads: int
    keys: int
    vocabulary: int
    tied: bool
    cutoff: int = 2048
    rank: int = 16


SHAPES = {
    # as meta-llama/Llama-3.2-1B and meta-llama/Llama-2-7b
    "1B": Shape(hidden=2048, intermediate=8192, layers=16, heads=32, keys=8, vocabulary=128256, tied=True),
    "7B": Shape(hidden=4096, intermediate=11008, layers=32, heads=32, keys=32, vocabulary=32000, tied=False),
}
TOY = {
    "toy": Shape(hidden=64, intermediate=176, layers=2, heads=4, keys=2, vocabulary=300, tied=False, cutoff=128, rank=4)
}
METHODS = {"LoRA": None, "QLoRA": {"bits": 4, "kind": "nf4", "double": True}}


# --- what is trained, and on what -------------------------------------------------------------------------------------


def write_base(place: Path, shape: Shape) -> None:
    """A checkpoint of that shape with random weights, in bfloat16, and a tokenizer of single bytes."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
    from transformers.utils import logging

    config = LlamaConfig(
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.keys,
        max_position_embeddings=shape.cutoff,
        tie_word_embeddings=shape.tied,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    torch.manual_seed(0)
    torch.set_default_dtype(torch.bfloat16)
    logging.disable_progress_bar()
    LlamaForCausalLM(config).save_pretrained(place)
    torch.set_default_dtype(torch.float32)
    letters = ["<pad>", "<s>", "</s>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    words = Tokenizer(models.BPE({letter: place for place, letter in enumerate(letters)}, []))
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    words.decoder = decoders.ByteLevel()
    PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", bos_token="<s>", eos_token="</s>"
    ).save_pretrained(place)


def write_rows(path: Path, shape: Shape, rows: int) -> None:
    """Packed rows as a tokens folder has them: full ones, of sequences of 100 to 600 tokens, all of them trained."""
    import numpy as np
    import pyarrow as pa

    from train.encoding.assemble import SCHEMA
    from train.encoding.encode import IGNORED

    drawn = np.random.Generator(np.random.PCG64(0))
    columns: dict[str, list[Any]] = {"ids": [], "labels": [], "bounds": [], "rows": []}
    for _ in range(rows):
        ids = drawn.integers(3, min(shape.vocabulary, 250), shape.cutoff, dtype=np.int32)
        inner = np.cumsum(drawn.integers(shape.cutoff // 20, shape.cutoff // 3, 40))
        bounds = np.array([0, *inner[inner < shape.cutoff], shape.cutoff], np.int32)
        labels = ids.copy()
        labels[bounds[:-1]] = IGNORED
        columns["ids"].append(ids)
        columns["labels"].append(labels)
        columns["bounds"].append(bounds)
        columns["rows"].append(np.arange(len(bounds) - 1))
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, SCHEMA) as writer:
        writer.write_table(pa.table(columns, schema=SCHEMA))


# --- one measurement, in a process of its own -------------------------------------------------------------------------


def clock(steps: int) -> Any:
    """A callback that takes the time from the end of step `WARM` to that of the last one."""
    import torch
    from transformers import TrainerCallback

    class Clock(TrainerCallback):  # type: ignore[misc]  # transformers is untyped
        def __init__(self) -> None:
            self.began = self.seconds = 0.0

        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.global_step not in (WARM, WARM + steps):
                return
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            now = time.perf_counter()
            self.began, self.seconds = (now, 0.0) if state.global_step == WARM else (self.began, now - self.began)

    return Clock()


def recipe_of(job: dict[str, Any]) -> Any:
    """The recipe of a job, for Suri and as the settings of the peers."""
    from train.recipe import Recipe

    shape = job["shape"]
    return Recipe.model_validate(
        {
            "about": "bench",
            "base": job["base"],
            "method": {"name": "lora", "r": shape["rank"], "alpha": 2 * shape["rank"], "dropout": 0},
            "quantisation": METHODS[job["method"]],
            "cutoff": shape["cutoff"],
            "epochs": 1000,
            "steps": WARM + job["steps"],
            "batch": job["batch"],
            "accumulation": 1,
            "learning_rate": 1e-4,
            "gradient_checkpointing": job["checkpointing"],
            "precision": "bf16",
            "attention": job["attention"],
            "evaluate": False,
            "logging": "none",
            "log_every": 1000,
            "save_every": 1000,
        }
    )


def suri(job: dict[str, Any]) -> float:
    """Seconds of the timed steps."""
    from train.base import model
    from train.encoding.packed import PackedRows
    from train.fitting import isolation, loop, steps
    from train.fitting.feed import collator
    from train.methods import attach

    recipe = recipe_of(job)
    rows = PackedRows(Path(job["rows"]))
    dealt = steps.Steps(steps.lengths(rows), recipe)
    bare = model.load(Path(job["base"]), recipe)
    isolation.check(bare, "bench", recipe.method)
    adapted = attach.attach(bare, recipe.method, base="bench", steps=dealt.total)
    timed = clock(job["steps"])
    arguments = loop.arguments(
        recipe,
        Path(job["work"]),
        dealt,
        dtype=model.precision(recipe),
        resumed=False,
        optim=loop.optimiser(recipe, print),
    )
    trainer = loop.TokenTrainer(
        adapted,
        arguments,
        dealt,
        train=rows,
        holdout=None,
        collate=collator(bare, 0, packing=True),
        named=lambda step, bad: "",
        callbacks=[timed],
    )
    trainer.train()
    return float(timed.seconds)


def sequences(job: dict[str, Any]) -> Any:
    """The same rows for a peer, each a plain sequence."""
    import datasets
    import pyarrow as pa

    with pa.memory_map(job["rows"]) as source:
        ids = pa.ipc.open_file(source).read_all()["ids"].to_pylist()
    return datasets.Dataset.from_dict({"input_ids": ids})


def sft(job: dict[str, Any], model: Any, **more: Any) -> float:
    """Seconds of TRL's SFTTrainer on a model, which has an adapter already or is given one by `peft_config`."""
    from transformers import AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    timed = clock(job["steps"])
    arguments = SFTConfig(
        output_dir=job["work"],
        max_steps=WARM + job["steps"],
        per_device_train_batch_size=job["batch"],
        learning_rate=1e-4,
        max_length=job["shape"]["cutoff"],
        packing=False,
        gradient_checkpointing=job["checkpointing"],
        bf16=True,
        use_cpu=not job["cuda"],
        logging_strategy="no",
        save_strategy="no",
        report_to="none",
    )
    words = AutoTokenizer.from_pretrained(job["base"])
    trainer = SFTTrainer(
        model=model,
        args=arguments,
        train_dataset=sequences(job),
        processing_class=words,
        callbacks=[timed],
        **more,
    )
    trainer.train()
    return float(timed.seconds)


def trl(job: dict[str, Any]) -> float:
    """TRL, as its documentation loads a base for LoRA and QLoRA."""
    import torch
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig

    rank = job["shape"]["rank"]
    how = None
    if METHODS[job["method"]]:
        how = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16,
        )
    model = AutoModelForCausalLM.from_pretrained(
        job["base"],
        dtype=torch.bfloat16,
        quantization_config=how,
        attn_implementation=None if job["attention"] == "auto" else job["attention"],
        device_map=0 if job["cuda"] else "cpu",
    )
    adapter = LoraConfig(
        task_type="CAUSAL_LM", r=rank, lora_alpha=2 * rank, lora_dropout=0, target_modules="all-linear"
    )
    return sft(job, model, peft_config=adapter)


def unsloth(job: dict[str, Any]) -> float:
    """Unsloth, as its documentation loads a base for LoRA and QLoRA. It needs a GPU, and was not run yet."""
    import torch
    from unsloth import FastLanguageModel

    rank = job["shape"]["rank"]
    model, _ = FastLanguageModel.from_pretrained(
        model_name=job["base"],
        max_seq_length=job["shape"]["cutoff"],
        dtype=torch.bfloat16,
        load_in_4bit=METHODS[job["method"]] is not None,
    )
    adapted = FastLanguageModel.get_peft_model(
        model,
        r=rank,
        lora_alpha=2 * rank,
        lora_dropout=0,
        target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
        use_gradient_checkpointing="unsloth" if job["checkpointing"] else False,
    )
    return sft(job, adapted)


def llamafactory(job: dict[str, Any]) -> float:
    """LLaMA-Factory, on the same rows as text: its tokenizer makes one token of a byte."""
    from llamafactory.train.tuner import run_exp
    from transformers import AutoTokenizer

    words = AutoTokenizer.from_pretrained(job["base"])
    place = Path(job["work"])
    place.mkdir(parents=True, exist_ok=True)
    texts = [{"text": words.decode(row["input_ids"])} for row in sequences(job)]
    (place / "rows.json").write_text(json.dumps(texts), encoding="utf-8")
    known = {"rows": {"file_name": "rows.json", "columns": {"prompt": "text"}}}
    (place / "dataset_info.json").write_text(json.dumps(known), encoding="utf-8")
    timed = clock(job["steps"])
    run_exp(
        {
            "model_name_or_path": job["base"],
            "stage": "pt",
            "do_train": True,
            "finetuning_type": "lora",
            "lora_rank": job["shape"]["rank"],
            "lora_alpha": 2 * job["shape"]["rank"],
            "lora_dropout": 0,
            "lora_target": "all",
            "quantization_bit": 4 if METHODS[job["method"]] else None,
            "dataset": "rows",
            "dataset_dir": str(place),
            "cutoff_len": job["shape"]["cutoff"],
            "output_dir": str(place / "out"),
            "max_steps": WARM + job["steps"],
            "per_device_train_batch_size": job["batch"],
            "learning_rate": 1e-4,
            "bf16": True,
            "use_cpu": not job["cuda"],
            "disable_gradient_checkpointing": not job["checkpointing"],
            "save_strategy": "no",
            "report_to": "none",
        },
        callbacks=[timed],
    )
    return float(timed.seconds)


TRAINERS = {"suri": suri, "trl": trl, "unsloth": unsloth, "llamafactory": llamafactory}


def measured(job: dict[str, Any]) -> dict[str, Any]:
    """Run a job in this process: tokens a second and the peak of memory in bytes, or why there are none."""
    name = job["trainer"]
    if name != "suri" and importlib.util.find_spec(name) is None:
        return {"said": "not installed"}
    import torch

    try:
        seconds = TRAINERS[name](job)
    except ImportError as error:
        return {"said": f"not installed: {str(error).splitlines()[0]}"}
    except torch.OutOfMemoryError:
        return {"said": "out of memory"}
    if job["cuda"]:
        peak = torch.cuda.max_memory_allocated()
    else:
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    known = {"version": version(name)} if name != "suri" else {}
    return {"rate": job["steps"] * job["batch"] * job["shape"]["cutoff"] / seconds, "peak": peak, **known}


# --- the table --------------------------------------------------------------------------------------------------------


def matrix_rate() -> float:
    """Operations a second of large matrix products here, the best of five: in bfloat16 on a GPU, else in float32."""
    import torch

    cuda = torch.cuda.is_available()
    size = 8192 if cuda else 1024
    one = torch.randn(size, size, device="cuda" if cuda else "cpu", dtype=torch.bfloat16 if cuda else torch.float32)
    best = float("inf")
    for _ in range(5):
        begin = time.perf_counter()
        for _ in range(10):
            _ = one @ one
        if cuda:
            torch.cuda.synchronize()
        best = min(best, (time.perf_counter() - begin) / 10)
    return 2 * size**3 / best


def work(shape: Shape) -> float:
    """Operations for a token of training, forward and back."""
    width = shape.hidden // shape.heads
    layer = shape.hidden * (2 * shape.hidden + 2 * shape.keys * width + 3 * shape.intermediate)
    frozen = shape.layers * layer + shape.hidden * shape.vocabulary
    pairs = 2 * (shape.hidden + shape.hidden) + 2 * (shape.hidden + shape.keys * width)
    trained = shape.layers * shape.rank * (pairs + 3 * (shape.hidden + shape.intermediate))
    return 4 * frozen + 6 * trained + 6 * shape.layers * shape.hidden * shape.cutoff


def jobs(given: argparse.Namespace, folder: Path, shapes: dict[str, Shape]) -> Iterator[dict[str, Any]]:
    """Every measurement there is to make, those of one shape and method together."""
    for size, shape in shapes.items():
        for method in METHODS:
            for trainer in given.trainers:
                yield {
                    "size": size,
                    "method": method,
                    "trainer": trainer,
                    "shape": vars(shape),
                    "base": str(folder / size),
                    "rows": str(folder / f"{size}.arrow"),
                    "work": str(folder / f"{size}-{method}-{trainer}"),
                    "steps": given.steps,
                    "batch": given.batch,
                    "checkpointing": given.checkpointing,
                    "attention": given.attention,
                }


def ask(job: dict[str, Any], python: str) -> dict[str, Any]:
    """Have a job measured by a Python; the last line that it prints is what it found."""
    done = subprocess.run(
        [python, str(HERE), "--job", json.dumps(job)],
        capture_output=True,
        text=True,
        env=os.environ | {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"},
    )
    told = [line for line in done.stdout.splitlines() if line.startswith('{"')]
    if done.returncode or not told:
        last = next((line for line in reversed(done.stderr.strip().splitlines()) if line.strip()), "no output")
        return {"said": f"failed: {last.strip()[:120]}"}
    return dict(json.loads(told[-1]))


def table(found: Sequence[tuple[dict[str, Any], dict[str, Any]]], rate: float, shapes: dict[str, Shape]) -> None:
    """Print what was found."""
    print("| shape | method | trainer | tokens/s | peak GiB | share of matrix rate |")
    print("| --- | --- | --- | ---: | ---: | ---: |")
    for job, one in found:
        head = (
            f"| {job['size']} | {job['method']} | {job['trainer']}{' ' + one['version'] if 'version' in one else ''} |"
        )
        if "said" in one:
            print(f"{head} {one['said']} | | |")
            continue
        share = one["rate"] * work(shapes[job["size"]]) / rate
        print(f"{head} {one['rate']:,.0f} | {one['peak'] / 2**30:.2f} | {share:.1%} |")


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--toy", action="store_true", help="toy sizes, on whatever is here")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--checkpointing", action="store_true")
    parser.add_argument("--attention", default="auto")
    parser.add_argument("--trainers", nargs="+", choices=list(TRAINERS), default=list(TRAINERS))
    parser.add_argument("--peer", action="append", default=[], metavar="NAME=PYTHON")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.job:
        job = json.loads(given.job)
        print(json.dumps(measured(job)))
        return
    import torch

    pythons = dict.fromkeys(TRAINERS, sys.executable) | dict(one.split("=", 1) for one in given.peer)
    cuda = torch.cuda.is_available()
    shapes = TOY if given.toy else SHAPES
    name = torch.cuda.get_device_name() if cuda else f"{platform.machine()}, {os.cpu_count()} cores, no GPU"
    print(f"{name}, Python {platform.python_version()}, {', '.join(_versions())}")
    print(f"{given.batch} rows a step, gradient checkpointing {'on' if given.checkpointing else 'off'}")
    found: list[tuple[dict[str, Any], dict[str, Any]]] = []
    with tempfile.TemporaryDirectory() as folder:
        rate = matrix_rate() if cuda or given.toy else 1.0
        if cuda or given.toy:
            print(f"matrix products: {rate / 1e12:,.2f} TFLOP/s in {'bfloat16' if cuda else 'float32'}")
        for job in jobs(given, Path(folder), shapes):
            if not cuda and not given.toy:
                found.append((job, {"said": "not measured"}))
                continue
            if not Path(job["base"]).is_dir():
                write_base(Path(job["base"]), shapes[job["size"]])
                write_rows(Path(job["rows"]), shapes[job["size"]], 8 * given.batch)
            found.append((job, ask(job | {"cuda": cuda}, pythons[job["trainer"]])))
    table(found, rate, shapes)


def _versions() -> Iterator[str]:
    for package in PACKAGES:
        try:
            yield f"{package} {version(package)}"
        except PackageNotFoundError:
            continue


if __name__ == "__main__":
    sys.path[0] = str(HERE.parent.parent)  # in place of this folder, in which `train` would be this file
    main()
