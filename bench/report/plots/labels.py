"""Direct labels that never collide: flags above the ends of lines, names beside them, names around points."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from paceline.bench.report.plots.style import FAINT, settle

Floats = npt.NDArray[np.float64]

SIZE = 9  # points


@dataclass(frozen=True)
class Label:
    """A text and the point it belongs to.

    Attributes:
        x: of the point, in data units.
        y: of the point, in data units.
        text: what to write.
        color: of the text.
    """

    x: float
    y: float
    text: str
    color: str


def spread(wanted: Sequence[float], gap: float) -> list[float]:
    """Return positions at least ``gap`` apart, in the order of ``wanted`` and as close to it as can be.

    Args:
        wanted: where each label would like to be, in any order.
        gap: the least distance between two, in the same unit.
    """
    order = np.argsort(np.asarray(wanted, dtype=float), kind="stable")
    # With gap * rank taken off, "at least gap apart" reads "never falling": isotonic regression, in which
    # labels that meet are pooled around the mean of what they wanted.
    pools: list[list[float]] = []
    for rank, index in enumerate(order):
        pools.append([wanted[index] - gap * rank])
        while len(pools) > 1 and np.mean(pools[-2]) > np.mean(pools[-1]):
            pools[-2:] = [pools[-2] + pools[-1]]
    flat = [float(np.mean(pool)) for pool in pools for _ in pool]
    found = [0.0] * len(wanted)
    for rank, index in enumerate(order):
        found[index] = flat[rank] + gap * rank
    return found


def beside(axes: Axes, labels: Sequence[Label], side: str = "right") -> None:
    """Write labels in a column right of the axes, or left of their points, spread where they would meet.

    Args:
        axes: whose limits are final.
        labels: one for the end of each line.
        side: "right" or "left".
    """
    if not labels:
        return
    settle(axes)
    pixels = axes.transData.transform([(label.x, label.y) for label in labels])
    point = axes.figure.dpi / 72  # pixels
    box = axes.get_window_extent()
    rows = spread([float(y) for y in pixels[:, 1]], 1.35 * SIZE * point)
    shift = max(0.0, box.y0 - min(rows)) or min(0.0, box.y1 - max(rows))
    if side == "left":
        column = float(pixels[:, 0].min()) - 8 * point
    else:  # a single name stands at its line's end, several need room for leaders
        column = float(pixels[0, 0]) + 8 * point if len(labels) == 1 else box.x1 + 10 * point
    for label, (x, y), row in zip(labels, pixels, rows, strict=True):
        offset = ((column - x) / point, (row + shift - y) / point)
        axes.annotate(
            label.text,
            (label.x, label.y),
            offset,
            textcoords="offset points",
            ha="left" if side == "right" else "right",
            va="center",
            size=SIZE,
            color=label.color,
            annotation_clip=False,
        )
        if len(labels) > 1 and (side == "right" or abs(offset[1]) > SIZE):
            _leader(axes, label, (offset[0] - math.copysign(2, offset[0]), offset[1]))


def flags(axes: Axes, labels: Sequence[Label]) -> None:
    """Write a name above the axes at the end of each line, as a flag on a pole that stands on the end.

    Flags fly to the right. Of those that would meet the left one flies higher, so that no pole crosses a
    name. The x-axis, if logarithmic, grows until the last flag fits.
    """
    if not labels:
        return
    settle(axes)
    point = axes.figure.dpi / 72
    widths = [_extent(axes, label.text).width + 9 * point for label in labels]
    _make_room(axes, labels, widths)
    pixels = axes.transData.transform([(label.x, label.y) for label in labels])
    tiers: dict[int, int] = {}
    for i in sorted(range(len(labels)), key=lambda i: (-pixels[i, 0], labels[i].text)):
        right = [j for j in tiers if pixels[j, 0] < pixels[i, 0] + widths[i]]
        tiers[i] = 1 + max((tiers[j] for j in right), default=-1)
    top = axes.get_ylim()[1]
    for i, label in enumerate(labels):
        height = 5 + tiers[i] * 1.3 * SIZE
        axes.plot([label.x, label.x], [label.y, top], color=label.color, lw=0.6, alpha=0.6, label="_pole")
        axes.annotate(
            "",
            (label.x, 1),
            (0, height + SIZE * 0.8),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            arrowprops={
                "arrowstyle": "-",
                "lw": 0.6,
                "color": label.color,
                "alpha": 0.6,
                "shrinkA": 0,
                "shrinkB": 0,
            },
            annotation_clip=False,
        )
        axes.annotate(
            label.text,
            (label.x, 1),
            (3, height),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            size=SIZE,
            color=label.color,
            annotation_clip=False,
        )


def _make_room(axes: Axes, labels: Sequence[Label], widths: Sequence[float]) -> None:
    if axes.get_xscale() != "log":
        return
    low, high = np.log(axes.get_xlim())
    total = axes.get_window_extent().width
    for label, width in zip(labels, widths, strict=True):
        share = min(width / total, 0.6)
        high = max(high, low + (math.log(label.x) - low) / (1 - share))
    axes.set_xlim(math.exp(low), math.exp(high))


def around(axes: Axes, labels: Sequence[Label], obstacles: Sequence[tuple[object, object]] = ()) -> None:
    """Write each label as close to its point as it can be without meeting a label, a point or a line.

    Args:
        axes: whose limits are final.
        labels: those first in the list choose first.
        obstacles: lines, as (x, y) in data units, of which every part is to stay visible.
    """
    if not labels:
        return
    settle(axes)
    point = axes.figure.dpi / 72
    inside = axes.get_window_extent()
    blocked = np.concatenate(
        [
            axes.transData.transform([(label.x, label.y) for label in labels]),
            *(_dense(axes, o) for o in obstacles),
        ]
    )
    taken: list[Bbox] = []
    for label in labels:
        start = axes.transData.transform((label.x, label.y))
        size = _extent(axes, label.text)
        best = min(
            _candidates(start, size.width, size.height, point),
            key=lambda place: _cost(place[1], start, inside, blocked, taken, place[0], point),
        )
        radius, box = best
        taken.append(box.padded(2 * point))
        center = ((box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2)
        offset = ((center[0] - start[0]) / point, (center[1] - start[1]) / point)
        axes.annotate(
            label.text,
            (label.x, label.y),
            offset,
            textcoords="offset points",
            ha="center",
            va="center",
            multialignment="center",
            size=SIZE,
            color=label.color,
            annotation_clip=False,
        )
        if radius > 14:
            near = _nearest(box, start)
            _leader(axes, label, ((near[0] - start[0]) / point, (near[1] - start[1]) / point))
            blocked = np.concatenate([blocked, np.linspace(start, near, 30)])


def _candidates(start: Floats, width: float, height: float, point: float) -> list[tuple[float, Bbox]]:
    places = []
    for radius in (8, 13, 20, 28, 38, 50, 65, 85, 110, 140, 180):
        for degrees in (0, 180, 90, 270, 45, 135, 315, 225, 22, 158, 338, 202, 67, 113, 293, 247):
            x, y = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
            center = (
                start[0] + x * (radius * point + width / 2),
                start[1] + y * (radius * point + height / 2),
            )
            bounds = (center[0] - width / 2, center[1] - height / 2, width, height)
            places.append((float(radius), Bbox.from_bounds(*bounds)))
    return places


def _cost(
    box: Bbox,
    start: Floats,
    inside: Bbox,
    blocked: Floats,
    taken: list[Bbox],
    radius: float,
    point: float,
) -> float:
    """Return how bad a place is: over another label, outside, over a point, behind a crossed label, far."""
    wide = box.padded(2 * point)
    hidden = (
        (blocked[:, 0] > wide.x0) & (blocked[:, 0] < wide.x1) & (blocked[:, 1] > wide.y0) & (blocked[:, 1] < wide.y1)
    )
    outside = box.x0 < inside.x0 or box.x1 > inside.x1 or box.y0 < inside.y0 or box.y1 > inside.y1
    leader = np.linspace(start, _nearest(box, start), 20)
    crossed = sum(other.contains(x, y) for other in taken for x, y in leader)
    overlaps = sum(wide.overlaps(other) for other in taken)
    return float(1e6 * overlaps + 1e5 * outside + 1e3 * hidden.sum() + 300 * crossed + radius)


def _nearest(box: Bbox, start: Floats) -> Floats:
    """Return the point of ``box`` that is closest to ``start``, in pixels."""
    return np.clip(start, [box.x0, box.y0], [box.x1, box.y1])


def _dense(axes: Axes, line: tuple[object, object]) -> Floats:
    """Return points every few pixels along a line given in data units."""
    pixels = axes.transData.transform(np.column_stack([np.asarray(part, dtype=float) for part in line]))
    pixels = pixels[np.isfinite(pixels).all(axis=1)]
    parts = [np.linspace(a, b, 60) for a, b in pairwise(pixels)]
    return np.concatenate([pixels, *parts]) if len(pixels) else np.empty((0, 2))


def _leader(axes: Axes, label: Label, offset: tuple[float, float]) -> None:
    axes.annotate(
        "",
        (label.x, label.y),
        offset,
        textcoords="offset points",
        arrowprops={"arrowstyle": "-", "lw": 0.6, "color": FAINT, "shrinkA": 0, "shrinkB": 3},
        annotation_clip=False,
    )


def _extent(axes: Axes, text: str) -> Bbox:
    """Return the size of ``text``, in pixels."""
    root = axes.get_figure(root=True)
    assert isinstance(root, Figure)
    probe = Text(0, 0, text, size=SIZE, figure=root)
    return probe.get_window_extent(root.canvas.get_renderer())  # type: ignore[attr-defined]
