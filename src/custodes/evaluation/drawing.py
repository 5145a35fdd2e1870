# SPDX-License-Identifier: Apache-2.0
"""A sheet that matplotlib draws on, and the SVG that is made of it: text that fits into any page.

What comes out is one ``<svg>`` element without scripts, style sheets, style attributes or anything from outside, so
that it stands in a page under ``style-src 'self'``. Text stays text, in the page's own font. Colours are
``currentColor`` and custom properties of the page (:data:`COLOURS`), each with a value that is readable on light and
dark ground where the page has none. The same figures give the same bytes. Names of groups are the evaluator's own
words and may be anything: matplotlib never sees them, a stand-in of their length is drawn and replaced.

matplotlib is imported when something is drawn: it takes half a second, which a server doesn't pay at its start.
"""

from __future__ import annotations

import io
import re
import threading
import unicodedata
from collections.abc import Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING
from xml.etree import ElementTree

if TYPE_CHECKING:
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from matplotlib.text import Text

__all__ = ["COLOURS", "FIRST", "GREY", "INK", "SECOND", "SOFT", "THIRD", "Canvas", "shown"]

INK, SOFT, GREY = "#010101", "#020202", "#030303"
FIRST, SECOND, THIRD = "#040404", "#050505", "#060606"
COLOURS = {
    INK: "currentColor",
    SOFT: "var(--plot-soft, #747c85)",
    GREY: "var(--plot-grey, #868e96)",
    FIRST: "var(--plot-first, #0f7ac0)",
    SECOND: "var(--plot-second, #d55e00)",
    THIRD: "var(--plot-third, #00916a)",
}
"""What stands for the colours that are drawn with; first to third are Okabe and Ito's, told apart by everybody."""

_SIZE = 12.0  # points of text, which are pixels here
_SPACE = "{http://www.w3.org/2000/svg}"
_LINK = "{http://www.w3.org/1999/xlink}href"
_LONG = re.compile(r"-?\d+\.\d{3,}")
_USED = re.compile(r"url\(#([^)]+)\)")
_MOST_NAME = 26
_KEPT = frozenset(
    ("clip-path", "cx", "cy", "d", "height", "id", "points", "r", "transform", "viewBox", "width", "x", "y")
)
_STYLES = frozenset(
    ("fill", "fill-opacity", "font-size", "font-weight", "opacity", "stroke", "stroke-dasharray", "stroke-dashoffset")
) | frozenset(("stroke-linecap", "stroke-linejoin", "stroke-opacity", "stroke-width", "text-anchor"))
_DRAWING = threading.RLock()
"""matplotlib's settings are the process's; one drawing at a time has them."""


def shown(name: str, most: int = _MOST_NAME) -> str:
    """Return a name of anything as one short line that can be drawn: so many letters wide at most."""
    clean = "".join(ch if ch.isprintable() else "\ufffd" for ch in name[: 4 * most]).strip() or "(empty)"
    if _width(clean) <= most:
        return clean
    while _width(clean) > most - 1:
        clean = clean[:-1]
    return f"{clean.rstrip()}…"


def _settings() -> AbstractContextManager[None]:
    """Return a block in which matplotlib has the settings of all drawings here."""
    import matplotlib

    return matplotlib.rc_context(
        {
            "axes.edgecolor": SOFT,
            "axes.labelcolor": INK,
            "axes.labelsize": _SIZE,
            "axes.linewidth": 1.0,
            "axes.spines.right": False,
            "axes.spines.top": False,
            "axes.titlesize": _SIZE,
            "axes.unicode_minus": True,
            "font.family": ["DejaVu Sans"],
            "font.size": _SIZE,
            "grid.alpha": 0.16,
            "grid.color": INK,
            "legend.fontsize": _SIZE - 1,
            "legend.frameon": False,
            "lines.linewidth": 2.0,
            "svg.fonttype": "none",
            "svg.hashsalt": "custodes",
            "text.color": INK,
            "text.parse_math": False,
            "xtick.color": SOFT,
            "xtick.labelcolor": INK,
            "xtick.labelsize": _SIZE - 1,
            "ytick.color": SOFT,
            "ytick.labelcolor": INK,
            "ytick.labelsize": _SIZE - 1,
        }
    )


class Canvas:
    """A sheet to draw on, as a block: what was drawn is :attr:`svg` when it ends.

    Args:
        prefix: begins every id, so that several drawings fit into a page.
        title, description: what is said of it to who can't see it.
        width, height: in pixels.

    Attributes:
        figure: what to draw on.
        svg: the ``<svg>`` element; empty until the block ends.
    """

    figure: Figure

    def __init__(self, prefix: str, title: str, description: str, width: float = 480, height: float = 360) -> None:
        self.svg = ""
        self._prefix = prefix
        self._title = title
        self._description = description
        self._size = (width, height)
        self._names: dict[str, str] = {}

    def __enter__(self) -> Canvas:
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure

        _DRAWING.acquire()
        try:
            self._context = _settings()
            self._context.__enter__()
            width, height = self._size
            self.figure = Figure(figsize=(width / 72, height / 72), layout="constrained")
            FigureCanvasSVG(self.figure)
        except BaseException:  # whatever it is, the next one must be able to draw; it is raised again
            _DRAWING.release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                out = io.StringIO()
                nothing = {"Creator": None, "Date": None, "Format": None, "Type": None}
                self.figure.savefig(out, format="svg", metadata=nothing, transparent=True)
                self.svg = self._tidied(out.getvalue())
        finally:
            self._context.__exit__(kind, error, traceback)
            _DRAWING.release()

    def name(self, text: Text, words: str, most: int = _MOST_NAME) -> None:
        """Let a text show words that came from outside, cut to so many characters."""
        words = shown(words, most)
        text.set_text(_stand_in(words))
        self._remember(text, words)

    def ticks(self, axis: Axis, places: Sequence[float], names: Sequence[str], most: int = _MOST_NAME) -> None:
        """Let the ticks of an axis show names that came from outside, cut to so many characters."""
        names = [shown(name, most) for name in names]
        axis.set_ticks(places, [_stand_in(name) for name in names])
        for tick, name in zip(axis.get_ticklabels(), names, strict=True):
            self._remember(tick, name)

    def _remember(self, text: Text, words: str) -> None:
        key = f"name-{len(self._names)}"
        self._names[key] = words
        text.set_gid(key)

    def _tidied(self, drawn: str) -> str:
        """Return what matplotlib wrote, fit for a page."""
        root = ElementTree.fromstring(drawn)  # noqa: S314 (matplotlib's own output, in which no word is from outside)
        for group in root.iter(f"{_SPACE}g"):
            if (words := self._names.get(group.get("id", ""))) is not None:
                for text in group.iter(f"{_SPACE}text"):
                    text.text = words
        used = {at for e in root.iter() for v in e.attrib.values() for at in _USED.findall(v)}
        used |= {link.removeprefix("#") for e in root.iter() if (link := e.get(_LINK))}
        for element in root.iter():
            for sheet in element.findall(f"{_SPACE}style"):
                element.remove(sheet)
            self._tidy(element, used)
        width, height = self._size
        told = {"xmlns": _SPACE.strip("{}"), "class": "plot", "viewBox": f"0 0 {width:g} {height:g}"}
        told |= {"width": f"{width:g}", "height": f"{height:g}", "role": "img"}
        told |= {"aria-labelledby": f"{self._prefix}-title {self._prefix}-desc", "stroke-linejoin": "round"}
        root.attrib.clear()
        root.attrib.update(told)
        for at, (tag, words) in enumerate((("title", self._title), ("desc", self._description))):
            said = ElementTree.Element(tag, {"id": f"{self._prefix}-{tag}"})
            said.text = words
            root.insert(at, said)
        return re.sub(r">\s+<", "><", ElementTree.tostring(root, encoding="unicode"))

    def _tidy(self, element: ElementTree.Element, used: set[str]) -> None:
        element.tag = str(element.tag).removeprefix(_SPACE)
        given = dict(element.attrib)
        element.attrib.clear()
        for declaration in given.pop("style", "").split(";"):
            key, _, value = (part.strip() for part in declaration.partition(":"))
            if key in _STYLES:
                given[key] = value
        for key, value in given.items():
            if key == "id" and value not in used:
                continue
            if key == _LINK:
                element.set("href", f"#{self._prefix}-{value.removeprefix('#')}")
            elif key in _STYLES or key in _KEPT:
                value = COLOURS.get(value.removesuffix("px"), value.removesuffix("px"))
                value = _USED.sub(rf"url(#{self._prefix}-\1)", value)
                value = f"{self._prefix}-{value}" if key == "id" else _LONG.sub(_rounded, " ".join(value.split()))
                element.set(key, value)


def _stand_in(words: str) -> str:
    """Return letters that take as much room as words do."""
    return "n" * _width(words)


def _width(words: str) -> int:
    """Return how many letters wide words are: those of Chinese, Japanese and Korean count as two."""
    return sum(2 if unicodedata.east_asian_width(ch) in "WF" else 1 for ch in words)


def _rounded(number: re.Match[str]) -> str:
    return f"{float(number[0]):.2f}".rstrip("0").rstrip(".")
