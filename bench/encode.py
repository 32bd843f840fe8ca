"""Tokens a second of encoding and packing a mixture, beside TRL, LLaMA-Factory and `datasets.map`, in one run.

    python bench/encode.py [--rows 100000] [--workers 2] [--rounds 3] [--peers-python PATH ...]

The rows are real English, Chinese and code instructions, repeated with a number in each so that no two are equal; a
third of them are conversations of one to four exchanges. They are collected and mixed by `python -m pipeline`, and a
byte-level BPE of 32,000 tokens is learnt from them. Every job words them in Alpaca's format, trains all answers and
packs to the cutoff with the same tokenizer:

- suri: `train.encoding.tokens.build`, which also checks the ids before every answer, keeps books and
  writes to the disk;
- datasets.map: a batched map that joins strings, encodes prompts and answers apart and makes labels, no more;
- trl: what SFTTrainer does to a data set of messages when it is made (`assistant_only_loss`, `packing`);
- llama-factory: what its workflow does before training, with the Alpaca template of its own and `neat_packing`.

Each is a process of its own. Seconds are taken inside, without imports, from the rows on the disk to the packed ones;
CPU seconds are those of all processes of the job. trl and llamafactory are looked for in the Pythons named, in turn; a
peer that is in none of them is said to be not measured. What suri writes is compared over 1 to 3 workers.
"""

import argparse
import contextlib
import hashlib
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import psutil

ROOT: Final = Path(__file__).resolve().parents[1]
CUTOFF: Final = 2048
VOCABULARY: Final = 32_000
SPLIT: Final = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
"""Where today's byte-level tokenizers (of Qwen and Llama 3, say) cut a text before they look for tokens."""

TIMED: Final = """
import json, sys, time
class Timed:
    def __enter__(self):
        print("begin", flush=True)
        self.began = time.monotonic()
    def __exit__(self, *_):
        self.seconds = time.monotonic() - self.began
        print("end", flush=True)
    def tell(self, tokens, **more):
        print(json.dumps({"seconds": self.seconds, "tokens": tokens, **more}))
"""

SURI: Final = """
from pathlib import Path
from templates.prompt import load
from train.base import model
from train.encoding import tokens
from train.mixture import find
from train.recipe import Recipe
if __name__ == "__main__":
    data, base, rows, cutoff, workers = sys.argv[1:]
    recipe = Recipe.model_validate({"about": "bench", "base": base, "cutoff": int(cutoff), "evaluate": False})
    words, mixed = model.tokenizer(Path(base)), find(Path(data), "bench")
    timed = Timed()
    with timed:
        built, _ = tokens.build(Path(data), mixed, words, Path(base), load("alpaca"), recipe, workers=int(workers))
    counts = built.manifest["parts"]["train"]
    timed.tell(counts["tokens"], fill=counts["fill"], noted=counts["noted"])
"""

MAP: Final = """
from datasets import disable_progress_bars, load_dataset
from transformers import AutoTokenizer
HEAD = "<s>Below is an instruction that describes a task. Write a response that appropriately completes the request."

def words(batch):
    texts, rows = [], []
    for row, messages in enumerate(batch["messages"]):
        before = HEAD
        for message in messages:
            if message["role"] == "user":
                before += "\\n\\n### Instruction:\\n" + message["content"] + "\\n\\n### Response:"
            else:
                texts += [before, message["content"] + "</s>"]
                rows += [row, row]
                before = ""
    found = [([], []) for _ in batch["messages"]]
    for place, (row, ids) in enumerate(zip(rows, TOKENIZER(texts, add_special_tokens=False)["input_ids"])):
        found[row][0].extend(ids)
        found[row][1].extend(ids if place % 2 else [-100] * len(ids))
    return {"input_ids": [ids for ids, _ in found], "labels": [labels for _, labels in found]}

if __name__ == "__main__":
    disable_progress_bars()
    data, base, rows, cutoff, workers = sys.argv[1:]
    TOKENIZER = AutoTokenizer.from_pretrained(base)
    found = load_dataset("parquet", data_files=rows, split="train", cache_dir=data + "/cache")
    timed = Timed()
    with timed:
        made = found.map(words, batched=True, num_proc=int(workers), remove_columns=found.column_names)
    timed.tell(sum(map(len, made["input_ids"])))
"""

TRL: Final = """
from datasets import disable_progress_bars, load_dataset
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM
from importlib.metadata import version
from trl import SFTConfig, SFTTrainer
if __name__ == "__main__":
    disable_progress_bars()
    data, base, rows, cutoff, workers = sys.argv[1:]
    words = AutoTokenizer.from_pretrained(base)
    words.chat_template = open(base + "/chat_template.jinja", encoding="utf-8").read()
    shape = dict(hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1)
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(words), **shape))
    found = load_dataset("parquet", data_files=rows, split="train", cache_dir=data + "/cache")
    settings = SFTConfig(output_dir=data + "/trl", max_length=int(cutoff), packing=True, assistant_only_loss=True,
                         dataset_num_proc=int(workers), report_to=[], use_cpu=True, bf16=False)
    timed = Timed()
    with timed:
        trainer = SFTTrainer(model, settings, train_dataset=found, processing_class=words)
    tokens = sum(map(len, trainer.train_dataset["input_ids"]))
    timed.tell(tokens, fill=tokens / len(trainer.train_dataset) / int(cutoff), version=version("trl"))
"""

FACTORY: Final = """
from llamafactory.data import get_dataset, get_template_and_fix_tokenizer
from llamafactory.hparams import get_train_args
from importlib.metadata import version
from llamafactory.model import load_tokenizer
if __name__ == "__main__":
    data, base, rows, cutoff, workers = sys.argv[1:]
    settings = dict(model_name_or_path=base, stage="sft", do_train=True, finetuning_type="lora", template="alpaca",
                    dataset="bench", dataset_dir=data, cutoff_len=int(cutoff), packing=True, neat_packing=True,
                    preprocessing_num_workers=int(workers), overwrite_cache=True, output_dir=data + "/factory",
                    report_to="none")
    model_args, data_args, training_args, finetuning_args, _ = get_train_args(settings)
    module = load_tokenizer(model_args)
    template = get_template_and_fix_tokenizer(module["tokenizer"], data_args)
    timed = Timed()
    with timed:
        made = get_dataset(template, model_args, data_args, training_args, stage="sft", **module)["train_dataset"]
    labels = made["attention_mask"]
    tokens = sum(sum(place > 0 for place in row) for row in labels)
    timed.tell(tokens, fill=tokens / len(made) / int(cutoff), version=version("llamafactory"))
"""

Run = dict[str, Any]


def real(origin: Path) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """(request, answer) of rows in English and code, and of Chinese ones."""
    files = {
        "alpaca/alpaca_5000.rows0-1999.json": "output",
        "codealpaca/code_alpaca_2k.rows0-1007.json": "output",
        "codealpaca/new_codealpaca.rows0-1499.json": "output",
        "gpteacher/codegen-instruct.rows0-1999.json": "response",
        "gpteacher/roleplay-simple-deduped-roleplay-instruct.rows0-949.json": "response",
        "alpaca_zh/alpaca_data_zh_51k.tail_b.json": "output",
    }
    found: dict[bool, list[tuple[str, str]]] = {True: [], False: []}
    for name, answer in files.items():
        for row in json.loads((origin / name).read_text(encoding="utf-8")):
            if row.get("instruction") and row.get(answer):
                request = f"{row['instruction']}\n{row['input']}" if row.get("input") else row["instruction"]
                found["zh" in name].append((request, row[answer]))
    return found[False], found[True]


def varied(rows: int, origin: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """So many raw rows, each with the source that reads it, no two of them equal."""
    english, chinese = real(origin)
    every = english + chinese
    for number in range(rows):
        if number % 3 == 2:
            talk = [every[(number * 7 + turn * 13) % len(every)] for turn in range(1 + number // 3 % 4)]
            yield "ultrachat", {"id": str(number), "data": [f"{text} ({number})" for pair in talk for text in pair]}
        else:
            request, answer = (chinese if number % 3 else english)[
                number // 3 % len(chinese if number % 3 else english)
            ]
            source = "alpaca_zh" if number % 3 else "alpaca"
            yield source, {"instruction": f"{request} ({number})", "input": "", "output": answer}


def mixed(place: Path, rows: int, origin: Path) -> Path:
    """A data folder with the mixture `bench`."""
    files = {"alpaca": "alpaca_data.json", "alpaca_zh": "alpaca_data_zh_51k.json", "ultrachat": "train_0.jsonl"}
    for source in files:
        (place / "raw" / source).mkdir(parents=True)
    handles = {source: (place / "raw" / source / name).open("w", encoding="utf-8") for source, name in files.items()}
    for source, row in varied(rows, origin):
        handles[source].write(json.dumps(row, ensure_ascii=False) + "\n")
    for handle in handles.values():
        handle.close()
    parts = "".join(f"  - {{source: {source}}}\n" for source in files)
    (place / "bench.yaml").write_text(f"about: Every record once.\nparts:\n{parts}", encoding="utf-8")
    out = ["--out", str(place / "data")]
    chosen = [word for source in files for word in ("--source", source)]
    for words in (["corpus", "--from", str(place / "raw"), *chosen, *out], ["mix", str(place / "bench.yaml"), *out]):
        subprocess.run([sys.executable, "-m", "pipeline", *words], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return place / "data"


def made_base(place: Path, data: Path) -> Path:
    """The folder of a tokenizer learnt from the mixture, with Alpaca's format as its chat template."""
    sys.path.insert(0, str(ROOT))
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    from templates.prompt import load
    from train.mixture import find

    words = Tokenizer(models.BPE())
    apart = pre_tokenizers.Split(Regex(SPLIT), "isolated")
    words.pre_tokenizer = pre_tokenizers.Sequence(
        [apart, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    words.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<pad>", "<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    rows = (row for batch in find(data, "bench").rows("train") for row in batch)
    words.train_from_iterator((message["content"] for row in rows for message in row["messages"]), trainer)
    made = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", bos_token="<s>", eos_token="</s>")
    made.chat_template = load("alpaca").text
    made.save_pretrained(place / "base")
    # LLaMA-Factory reads the configuration of the base with its tokenizer.
    settings = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": len(made)}
    (place / "base" / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    return place / "base"


def for_peers(data: Path) -> Path:
    """The mixture's messages as Parquet, and LLaMA-Factory's word on how to read it."""
    import polars as pl

    rows = data / "rows.parquet"
    pl.scan_ipc(sorted((data / "mixes" / "bench").glob("train-*.arrow"))).select("messages").sink_parquet(rows)
    tags = {"role_tag": "role", "content_tag": "content", "user_tag": "user", "assistant_tag": "assistant"}
    facts = {"file_name": rows.name, "formatting": "sharegpt", "columns": {"messages": "messages"}, "tags": tags}
    (data / "dataset_info.json").write_text(json.dumps({"bench": facts}), encoding="utf-8")
    return rows


def timed(python: str, script: str, place: Path, data: Path, base: Path, workers: int) -> Run | None:
    """One job in a process of its own; None where it cannot be run."""
    for made in ("cache", "trl", "factory", "tokens"):
        shutil.rmtree(data / made, ignore_errors=True)
    file = place / "job.py"
    file.write_text(TIMED + script, encoding="utf-8")
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": str(ROOT)}
    words = [python, str(file), str(data), str(base), str(data / "rows.parquet"), str(CUTOFF), str(workers)]
    with (place / "said").open("w+") as said:
        job = subprocess.Popen(words, cwd=place, env=environment, stdout=subprocess.PIPE, stderr=said, text=True)
        spent, marks, told = Spent(job.pid), {}, ""
        for line in job.stdout or ():
            marks[line.strip()] = spent.now()
            told = line
        spent.ended.set()
        said.seek(0)
        if job.wait():
            print(f"{python}: {(said.read().strip().splitlines() or ['no word'])[-1]}", file=sys.stderr)
            return None
    return {**json.loads(told), "cpu": marks["end"] - marks["begin"]}


class Spent(threading.Thread):
    """The CPU seconds of a process and all it starts, also of those that end, looked at twenty times a second."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.root, self.ended, self.seen = psutil.Process(pid), threading.Event(), {}
        self.start()

    def now(self) -> float:
        """All of them so far."""
        with contextlib.suppress(psutil.NoSuchProcess):
            for one in [self.root, *self.root.children(recursive=True)]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    self.seen[one] = sum(one.cpu_times()[:2])
        return float(sum(self.seen.values()))

    def run(self) -> None:
        """Look until the job has ended."""
        while not self.ended.wait(0.05):
            self.now()


def same(place: Path, data: Path, base: Path, rounds: tuple[int, ...]) -> bool:
    """Whether so many workers all write the same bytes."""
    digests = set()
    for workers in rounds:
        timed(sys.executable, SURI, place, data, base, workers)
        (made,) = (data / "tokens").glob("bench-*/train.arrow")
        digests.add(hashlib.sha256(made.read_bytes()).hexdigest())
    return len(digests) == 1


def line(name: str, found: list[Run], own: list[Run]) -> str:
    """A line of the table: medians of the rates, and of the ratios to ours of the same round."""
    if not found:
        return f"{name:20} not measured"
    named = " ".join([name, found[0].get("version", "")])
    rates = {key: [run["tokens"] / run[key] for run in found] for key in ("seconds", "cpu")}
    ours = {key: [run["tokens"] / run[key] for run in own] for key in ("seconds", "cpu")}
    ratios = {key: [a / b for a, b in zip(ours[key], rates[key], strict=False)] for key in rates}
    wall, cpu = (statistics.median(rates[key]) for key in ("seconds", "cpu"))
    by_wall, by_cpu = (statistics.median(ratios[key]) for key in ("seconds", "cpu"))
    filled = f"{found[0]['fill']:.4f}" if "fill" in found[0] else ""
    return (
        f"{named:20} {found[0]['tokens']:>12,} {wall:>10,.0f} {cpu:>13,.0f} {filled:>7} {by_wall:>10.2f} {by_cpu:>7.2f}"
    )


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--peers-python", nargs="+", action="extend", help="Pythons, this one without it; the first that has a peer"
    )
    parser.add_argument("--rows-from", type=Path, default=ROOT.parent / "shared/raw")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        data = mixed(place, given.rows, given.rows_from)
        base = made_base(place, data)
        for_peers(data)
        jobs = {"suri": SURI, "datasets.map": MAP, "trl": TRL, "llama-factory": FACTORY}
        runs: dict[str, list[Run]] = {name: [] for name in jobs}
        for number in range(given.rounds):
            for name, script in jobs.items():
                if number and not runs[name]:
                    continue
                own = name in {"suri", "datasets.map"}
                for python in [sys.executable] if own else given.peers_python or [sys.executable]:
                    if (found := timed(python, script, place, data, base, given.workers)) is not None:
                        runs[name].append(found)
                        break
        alike = same(place, data, base, (1, 2, 3))
    packages = ", ".join(f"{name} {version(name)}" for name in ("tokenizers", "transformers", "datasets"))
    print(f"{given.rows:,} rows, cutoff {CUTOFF}, {given.workers} workers, median of {given.rounds} rounds")
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, {packages}")
    print(f"{'':20} {'tokens':>12} {'tokens/s':>10} {'tokens/CPU s':>13} {'fill':>7} {'suri / it':>10} {'by CPU':>7}")
    for name, found in runs.items():
        print(line(name, found, runs["suri"]))
    print(f"the packed rows of 1, 2 and 3 workers are {'the same' if alike else 'NOT THE SAME'}")
    for reason, rows in runs["suri"][0]["noted"].items():
        print(f"suri: {rows:,} rows {reason}")


if __name__ == "__main__":
    main()
