"""Bottleneck adapters, as a method of peft's own kind: a configuration, a layer around a linear module, a tuner.

peft (0.21) has none. Its registry takes new methods but asks for a member of its enumeration first, which is added at
run time; both are internal to peft, so the tests hold its version. Importing this module registers the method.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Literal, NoReturn, cast

import torch
from peft import PeftConfig, PeftType
from peft.tuners.tuners_utils import BaseTuner, BaseTunerLayer
from peft.utils import register_peft_method
from torch import Tensor, nn

from collectors.errors import TrainingError
from train.methods.targets import ends

NAME: Final = "bottleneck"

UNMERGEABLE: Final = (
    "a bottleneck adapter cannot be merged: a non-linear function stands between its two matrices, so no weight of the "
    "base can hold both; serve it as an adapter beside its base"
)

Place = Literal["before", "after", "beside"]
"""Where an adapter A is put to a linear module W: W(x + A(x)), W(x) + A(W(x)), or W(x) + A(x)."""

ACTIVATIONS: Final[dict[str, Callable[[Tensor], Tensor]]] = {
    "tanh": torch.tanh,
    "relu": nn.functional.relu,
    "gelu": nn.functional.gelu,
    "silu": nn.functional.silu,
}


def _member(name: str) -> PeftType:
    """The member of peft's enumeration of methods by that name, added when it is not there."""
    if name not in PeftType.__members__:
        member = str.__new__(PeftType, name)
        member._name_ = member._value_ = name
        PeftType._member_map_[name] = PeftType._value2member_map_[name] = member
        PeftType._member_names_.append(name)
        type.__setattr__(PeftType, name, member)  # the enumeration's own refuses
    return PeftType[name]


@dataclass
class BottleneckConfig(PeftConfig):  # type: ignore[misc]  # peft is untyped
    """What peft saves of a bottleneck adapter; `places` tells, by the ends of modules' paths, where it is put."""

    places: dict[str, Place] = field(default_factory=dict)
    bottleneck: int = 256
    activation: str = "tanh"
    dropout: float = 0.0
    scaling: float = 1.0
    init_weights: Literal["normal", "zero"] = "normal"
    target_modules: set[str] | list[str] | None = None
    exclude_modules: str | None = None
    modules_to_save: list[str] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self.peft_type = _member(NAME.upper())
        self.target_modules = set(self.places)

    def place(self, path: str) -> Place:
        """Where the adapter of the module with that path goes; of several ends that match, the longest decides."""
        return self.places[max((end for end in self.places if ends(path, end)), key=len)]


class BottleneckLayer(nn.Module, BaseTunerLayer):  # type: ignore[misc]  # peft is untyped
    """A linear module with any number of named adapters, each `up(act(down(dropout(x)))) * scaling`, in float32.

    Those that are active together are summed.
    """

    # Of peft's layer, which is untyped.
    get_base_layer: Callable[[], nn.Linear]
    active_adapters: list[str]
    disable_adapters: bool
    set_adapter: Callable[..., None]

    adapter_layer_names = ("bottleneck_down", "bottleneck_up")
    other_param_names = ("bottleneck_dropout", "bottleneck_place", "bottleneck_activation", "bottleneck_scaling")

    def __init__(self, base_layer: nn.Linear, adapter_name: str, config: BottleneckConfig, path: str) -> None:
        super().__init__()
        self.base_layer = base_layer
        self.bottleneck_down, self.bottleneck_up = nn.ModuleDict(), nn.ModuleDict()
        self.bottleneck_dropout = nn.ModuleDict()
        self.bottleneck_place: dict[str, Place] = {}
        self.bottleneck_activation: dict[str, Callable[[Tensor], Tensor]] = {}
        self.bottleneck_scaling: dict[str, float] = {}
        self._disable_adapters = False
        self.merged_adapters: list[str] = []
        self._active_adapter = adapter_name
        self.add(adapter_name, config, path)

    def add(self, name: str, config: BottleneckConfig, path: str) -> None:
        """Put one more adapter to the module; its weights are drawn from torch's generator, whatever the device."""
        linear = self.get_base_layer()
        place = config.place(path)
        width = linear.out_features if place == "after" else linear.in_features
        wide = linear.in_features if place == "before" else linear.out_features
        device = linear.weight.device
        drawn_on = "meta" if device.type == "meta" else None
        down = nn.Linear(width, config.bottleneck, bias=False, device=drawn_on)
        up = nn.Linear(config.bottleneck, wide, bias=False, device=drawn_on)
        nn.init.normal_(down.weight, std=0.02)
        if config.init_weights == "normal":
            nn.init.normal_(up.weight, std=0.02)
        else:
            nn.init.zeros_(up.weight)
        # Under peft's low_cpu_mem_usage they are on the meta device until the saved ones take their place.
        self.bottleneck_down[name] = down if down.weight.is_meta else down.to(device)
        self.bottleneck_up[name] = up if up.weight.is_meta else up.to(device)
        self.bottleneck_dropout[name] = nn.Dropout(config.dropout) if config.dropout else nn.Identity()
        self.bottleneck_place[name] = place
        self.bottleneck_activation[name] = ACTIVATIONS[config.activation]
        self.bottleneck_scaling[name] = config.scaling
        self.set_adapter(self.active_adapters, inference_mode=config.inference_mode)

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """The module's output with those of the active adapters; (..., in_features) to (..., out_features)."""
        active = [] if self.disable_adapters else [name for name in self.active_adapters if name in self.bottleneck_up]
        by_place = {
            place: [name for name in active if self.bottleneck_place[name] == place]
            for place in ("before", "beside", "after")
        }
        entering, added = x, [self._adapted(name, x) for name in by_place["beside"]]
        for name in by_place["before"]:
            entering = entering + self._adapted(name, x).to(x.dtype)
        result: Tensor = self.base_layer(entering, *args, **kwargs)
        added += [self._adapted(name, result) for name in by_place["after"]]
        for one in added:
            result = result + one.to(result.dtype)
        return result

    def _adapted(self, name: str, x: Tensor) -> Tensor:
        """A(x) in the type of the adapter's weights, which is float32 however the base computes."""
        down, up = cast(nn.Linear, self.bottleneck_down[name]), self.bottleneck_up[name]
        with torch.autocast(x.device.type, enabled=False):
            inner = down(self.bottleneck_dropout[name](x.to(down.weight.dtype)))
            adapted: Tensor = up(self.bottleneck_activation[name](inner)) * self.bottleneck_scaling[name]
        return adapted

    def merge(self, safe_merge: bool = False, adapter_names: list[str] | None = None) -> NoReturn:
        """Refuse with the reason: `TrainingError`."""
        raise TrainingError(UNMERGEABLE)

    def unmerge(self) -> None:
        """Do nothing: nothing can have been merged."""


class BottleneckTuner(BaseTuner):  # type: ignore[misc]  # peft is untyped
    """The tuner that peft makes of a `BottleneckConfig`: it puts a layer around each of the modules named there."""

    prefix = f"{NAME}_"
    tuner_layer_cls = BottleneckLayer
    target_module_mapping: dict[str, list[str]] = {}

    def _create_and_replace(
        self,
        peft_config: BottleneckConfig,
        adapter_name: str,
        target: nn.Module,
        target_name: str,
        parent: nn.Module,
        current_key: str,
        parameter_name: str | None = None,
    ) -> None:
        if isinstance(target, BottleneckLayer):
            target.add(adapter_name, peft_config, current_key)
            return
        if not isinstance(target, nn.Linear):
            raise TrainingError(f"a bottleneck adapter is put to linear modules; {current_key} is none")
        layer = BottleneckLayer(target, adapter_name, peft_config, current_key)
        if adapter_name not in self.active_adapters:
            layer.requires_grad_(False)  # one more adapter: the active one stays the one that is trained
        self._replace_module(parent, target_name, layer, target)

    @contextmanager
    def _enable_peft_forward_hooks(self, *args: Any, **kwargs: Any) -> Iterator[None]:
        if kwargs.get("adapter_names") is not None:  # peft would pass over it in silence
            raise TrainingError("bottleneck adapters cannot be mixed within a batch; name one for all with set_adapter")
        yield

    def _check_merge_allowed(self) -> NoReturn:
        raise TrainingError(UNMERGEABLE)


_member(NAME.upper())
register_peft_method(name=NAME, config_cls=BottleneckConfig, model_cls=BottleneckTuner)
