"""The picture of a training: its loss and its held-out loss by the step, as a PNG of the same bytes every time."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from train.fitting.journal import Entry

SIZE: Final = (8.0, 4.5)
"""In inches, at `DPI`."""
DPI: Final = 120
TRAINING: Final = "#4c78a8"
HELD_OUT: Final = "#d1495b"
FEW: Final = 40
"""Points up to which each is marked."""


def draw(path: Path, entries: Sequence[Entry]) -> None:
    """Write the picture of a journal's entries to `path`."""
    figure = Figure(figsize=SIZE, dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for key, label, colour in (("loss", "training", TRAINING), ("held_out_loss", "held out", HELD_OUT)):
        points = [(entry["step"], entry[key]) for entry in entries if key in entry]
        if points:
            _line(axes, points, label, colour)
    axes.set_xlabel("step")
    axes.set_ylabel("loss, nats a token")
    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    if axes.lines:
        axes.legend(frameon=False)
    # Without the name and version of the program that drew it, which would be other bytes tomorrow.
    figure.savefig(path, format="png", metadata={"Software": None})


def _line(axes: Axes, points: list[tuple[float, float]], label: str, colour: str) -> None:
    """One loss, with its last value behind its name."""
    across, up = zip(*points, strict=True)
    mark = "o" if len(points) <= FEW else None
    axes.plot(across, up, color=colour, linewidth=1.5, marker=mark, markersize=4, label=f"{label} ({up[-1]:.4f})")
