"""The methods as a recipe names them: one node a method, told apart by `name`; settings as their papers call them."""

from typing import Annotated, Final, Literal, get_args

from pydantic import BeforeValidator, Field, model_validator

from collectors.nodes import Node

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def _named(targets: object) -> object:
    if isinstance(targets, str) and targets not in {"all-linear", "auto"}:
        raise ValueError(f"is all-linear, auto or names of modules in brackets, such as [{targets}]")
    return targets


Targets = Annotated[Literal["all-linear", "auto"] | list[str], BeforeValidator(_named)]
"""Which modules: every linear layer but the head, the usual ones of the architecture, or those of these names."""


class Lora(Node):
    """Low-rank adaptation (arXiv 2106.09685) as peft builds it; `dora` splits off magnitudes (arXiv 2402.09353).

    `train_whole` names modules trained and saved beside the adapter in full, which costs their whole size;
    `rank_stabilised` scales by alpha / sqrt(r) (arXiv 2312.03732) where it is otherwise alpha / r.
    """

    name: Literal["lora"] = "lora"
    r: Count = 8
    alpha: Positive = 16
    dropout: Share = 0.05
    targets: Targets = "all-linear"
    train_whole: list[str] = Field(default_factory=list)
    dora: bool = False
    rank_stabilised: bool = False


class AdaLora(Node):
    """Low-rank adaptation whose rank budget moves to the modules that need it (arXiv 2303.10512).

    Every module begins with rank `initial_r`; between the first `warmup` steps and the last `settle` ones, every
    `interval` steps, ranks are cut until their mean is `r`. Steps beyond the training's length are an error.
    """

    name: Literal["adalora"]
    initial_r: Count = 12
    r: Count = 8
    alpha: Positive = 16
    dropout: Share = 0.05
    warmup: Annotated[int, Field(ge=0)] = 200
    settle: Annotated[int, Field(ge=0)] = 1000
    interval: Count = 10
    beta1: Share = 0.85
    beta2: Share = 0.85
    orthogonal: Annotated[float, Field(ge=0)] = 0.5
    targets: Targets = "auto"
    train_whole: list[str] = Field(default_factory=list)


class Prefix(Node):
    """Trained keys and values before every layer's own (arXiv 2101.00190), through a projection of `hidden` or bare."""

    name: Literal["prefix"]
    tokens: Count = 20
    projection: bool = True
    hidden: Count = 128


class PTuning(Node):
    """Trained embeddings before the input, made by an encoder of `hidden` units (arXiv 2103.10385)."""

    name: Literal["p-tuning"]
    tokens: Count = 20
    encoder: Literal["mlp", "lstm"] = "mlp"
    hidden: Count = 128


class Prompt(Node):
    """Trained embeddings before the input (arXiv 2104.08691), beginning as random ones or as those of `text`."""

    name: Literal["prompt"]
    tokens: Count = 20
    text: str | None = None


class _Bottleneck(Node):
    """`up(act(down(dropout(x)))) * scaling`, `bottleneck` wide, in float32; weights begin as `initial` says.

    `normal` draws both matrices from N(0, 0.02), so the adapter is no identity at the start; `zero` begins with an up
    matrix of zeros.
    """

    bottleneck: Count = 256
    activation: Literal["tanh", "relu", "gelu", "silu"] = "tanh"
    dropout: Share = 0
    scaling: Positive = 1
    initial: Literal["normal", "zero"] = "normal"


class SequentialAdapter(_Bottleneck):
    """Bottlenecks in the way of each layer's MLP: at its input and output (`mlp`) or at its output alone (`output`).

    `mlp` is what the paper calls SadapterH (after arXiv 1902.00751), `output` SadapterP (after arXiv 2005.00052).
    """

    name: Literal["sequential-adapter"]
    places: Literal["mlp", "output"] = "mlp"


class ParallelAdapter(_Bottleneck):
    """Bottlenecks beside each layer's query, key and value projections (after arXiv 2110.04366)."""

    name: Literal["parallel-adapter"]
    targets: Literal["auto"] | list[str] = "auto"


class Full(Node):
    """No adapter: the base itself is trained, whole or in the modules that `only` names."""

    name: Literal["full"]
    only: list[str] = Field(default_factory=list)

    @model_validator(mode="after")
    def _not_empty(self) -> "Full":
        if any(not name for name in self.only):
            raise ValueError("only holds an empty name")
        return self


Method = Lora | AdaLora | Prefix | PTuning | Prompt | SequentialAdapter | ParallelAdapter | Full
METHODS: Final = [get_args(node.model_fields["name"].annotation)[0] for node in get_args(Method)]
"""Their names."""
VIRTUAL: Final = (Prefix, PTuning, Prompt)
"""The methods that put tokens of their own before the input; packed sequences would share them."""
