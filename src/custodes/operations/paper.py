# SPDX-License-Identifier: Apache-2.0
"""An A4 document of ours: PDF/A-3 by fpdf2, its own fonts, a head and a foot on every page, tables, texts of anybody.

Text is hostile: what the fonts lack (Noto Sans: Latin, Greek, Cyrillic), and what isn't printed or turns the direction
of writing, is shown as the mark ``�``. The same calls make the same bytes: no clock is read.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from html import escape
from importlib.resources import as_file, files
from typing import Literal

from fpdf import FPDF
from fpdf.enums import Align, TableBordersLayout, VAlign, WrapMode, XPos, YPos
from fpdf.fonts import FontFace, TTFFont

__all__ = ["DEEP", "INK", "LINE", "MARK", "SOFT", "WARN", "WARN_WASH", "WASH", "Colour", "Paper", "visible"]

MARK = "\ufffd"
"""What stands for a character that can't be shown."""

_FONT = "noto"
_MARGIN = 18.0
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_BIDI = frozenset({"R", "AL", "AN"})


@dataclass(frozen=True, slots=True)
class Colour:
    """A colour: red, green and blue, 0..255."""

    red: int
    green: int
    blue: int

    @property
    def rgb(self) -> tuple[int, int, int]:
        """Its parts."""
        return self.red, self.green, self.blue


INK = Colour(27, 36, 48)
SOFT = Colour(91, 102, 114)
LINE = Colour(203, 210, 217)
DEEP = Colour(23, 51, 84)
WASH = Colour(239, 243, 248)
WARN = Colour(158, 66, 9)
WARN_WASH = Colour(255, 246, 235)


@cache
def _drawn() -> frozenset[int]:
    """Return the code points that both fonts have."""
    pdf = _with_fonts(FPDF())
    known = [frozenset(font.cmap) for font in pdf.fonts.values() if isinstance(font, TTFFont)]
    _close(pdf)
    return frozenset.intersection(*known)


def _with_fonts(pdf: FPDF) -> FPDF:
    styles: tuple[tuple[Literal["", "B"], str], ...] = (("", "Regular"), ("B", "Bold"))
    for style, name in styles:
        with as_file(files("custodes.operations").joinpath("fonts", f"NotoSans-{name}.ttf")) as path:
            pdf.add_font(_FONT, style, path)
    return pdf


def _close(pdf: FPDF) -> None:
    """Close the files of the fonts, which are read as they are needed."""
    for font in pdf.fonts.values():
        if isinstance(font, TTFFont):
            font.ttfont.close()


def visible(text: str, most: int = 0, *, lines: bool = False) -> str:
    """Return a hostile text as it can be printed.

    Args:
        text: anybody's.
        most: characters that are shown of it; 0 for all.
        lines: whether it keeps its lines.
    """
    told = text.replace("\r\n", "\n").replace("\r", "\n").replace("\t", " ")
    if not lines:
        told = " ".join(told.split("\n"))
    if most and len(told) > most:
        told = told[: most - 1] + "…"
    return "".join(ch if ch == "\n" or _is_drawn(ch) else MARK for ch in told)


def _is_drawn(ch: str) -> bool:
    hidden = unicodedata.category(ch) in _HIDDEN or unicodedata.bidirectional(ch) in _BIDI
    return not hidden and ord(ch) in _drawn()


class Paper(FPDF):
    """A document.

    Args:
        title: its own; stands in its metadata and in the head of its pages.
        foot: stands at the foot of every page.
        made_at: when it was made.
        pages: how many pages it has; 0 while that isn't known.
    """

    def __init__(self, title: str, foot: str, made_at: datetime, pages: int = 0) -> None:
        super().__init__(format="A4", enforce_compliance="PDF/A-3U")
        self._head, self._foot, self._pages = title, foot, pages
        self.str_alias_nb_pages = ""  # a text of anybody's might hold it
        _with_fonts(self)
        self.set_margins(_MARGIN, _MARGIN)
        self.set_auto_page_break(True, margin=20)
        self.c_margin = 0
        self.set_lang("en")
        self.set_title(title)
        self.set_creation_date(made_at.astimezone(UTC).replace(microsecond=0))
        self.set_xmp_metadata(_xmp(title, made_at))
        self.write_in()

    def close(self) -> None:
        """Let go of the fonts; nothing can be drawn any more."""
        _close(self)

    # --- every page ---

    def header(self) -> None:
        """Draw what stands above every page but the first."""
        if self.page_no() == 1:
            return
        self.set_y(9)
        self.write_in(7.5, colour=SOFT)
        self.cell(self.epw, 5, self._head)
        self.rule(15)
        self.set_y(_MARGIN + 2)

    def footer(self) -> None:
        """Draw what stands below every page."""
        self.rule(self.h - 15)
        self.set_y(-13.5)
        self.write_in(7.5, colour=SOFT)
        self.cell(self.epw - 30, 5, self._foot)
        of = f" of {self._pages}" if self._pages else ""
        self.cell(30, 5, f"Page {self.page_no()}{of}", align=Align.R)

    # --- text ---

    def write_in(self, size: float = 9.5, *, bold: bool = False, colour: Colour = INK) -> None:
        """Choose how the next text is written."""
        self.set_font(_FONT, "B" if bold else "", size)
        self.set_text_color(*colour.rgb)

    def rule(self, y: float, colour: Colour = LINE) -> None:
        """Draw a line from margin to margin."""
        self.set_draw_color(*colour.rgb)
        self.set_line_width(0.2)
        self.line(self.l_margin, y, self.w - self.r_margin, y)

    def words(
        self, text: str, size: float = 9.5, *, bold: bool = False, colour: Colour = INK, gap: float = 1.2
    ) -> None:
        """Write a paragraph of a text that is fit to print."""
        self.write_in(size, bold=bold, colour=colour)
        self.multi_cell(self.epw, size * 0.5, text, align=Align.L, new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        self.ln(gap)

    def points(self, texts: Sequence[str], size: float = 9.5, colour: Colour = INK) -> None:
        """Write a list."""
        for text in texts:
            self.write_in(size, colour=colour)
            left = self.l_margin
            self.set_x(left)
            self.cell(4.5, size * 0.5, "•")
            self.multi_cell(self.epw - 4.5, size * 0.5, text, align=Align.L, new_x=XPos.LMARGIN, new_y=YPos.NEXT)
            self.ln(0.9)

    def heading(self, text: str, need: float = 32) -> None:
        """Write a heading, on the next page if less than ``need`` millimetres are left."""
        self.ln(3.5)
        if self.will_page_break(need):
            self.add_page()
        self.write_in(12.5, bold=True, colour=DEEP)
        self.cell(self.epw, 7, text, new_x=XPos.LMARGIN, new_y=YPos.NEXT)
        self.rule(self.get_y(), DEEP)
        self.ln(2.2)

    def warning(self, statement: str, points: Sequence[str]) -> None:
        """Write a statement that nobody overlooks, and what follows of it, in a frame."""
        top, inner = self.get_y(), self.epw - 10
        self.set_xy(self.l_margin + 6, top + 3.5)
        for draw in (False, True):  # first to know how high it is
            if draw:
                height = self.get_y() - top + 2.5
                self.set_fill_color(*WARN_WASH.rgb)
                self.rect(self.l_margin, top, self.epw, height, style="F")
                self.set_fill_color(*WARN.rgb)
                self.rect(self.l_margin, top, 1.8, height, style="F")
                self.set_xy(self.l_margin + 6, top + 3.5)
            self.write_in(13, bold=True, colour=WARN if draw else WARN_WASH)
            self._indented(statement, inner, 6.4)
            self.ln(1)
            for text in points:
                self.write_in(9, colour=INK if draw else WARN_WASH)
                self.set_x(self.l_margin + 6)
                self.cell(4, 4.4, "•")
                self._indented(text, inner - 4, 4.4, left=4)
                self.ln(0.6)
        self.set_y(top + height + 3)

    def _indented(self, text: str, width: float, height: float, left: float = 0) -> None:
        self.set_x(self.l_margin + 6 + left)
        self.multi_cell(width, height, text, align=Align.L, new_x=XPos.LMARGIN, new_y=YPos.NEXT)

    # --- tables ---

    def _plain(self, size: float) -> None:
        """Choose how tables are drawn: cells take the colours that were set last."""
        self.write_in(size)
        self.set_fill_color(255, 255, 255)
        self.set_draw_color(*LINE.rgb)
        self.set_line_width(0.2)

    def facts(self, pairs: Sequence[tuple[str, str]], size: float = 9) -> None:
        """Write terms, each with its value beside it."""
        self._plain(size)
        with self.table(
            col_widths=(24, 76),
            first_row_as_headings=False,
            borders_layout=TableBordersLayout.NONE,
            text_align=(Align.L, Align.L),
            line_height=size * 0.5,
            padding=(0.7, 1.5, 0.7, 0),
            v_align=VAlign.T,
        ) as table:
            for term, value in pairs:
                row = table.row()
                row.cell(term, style=FontFace(color=SOFT.rgb))
                row.cell(value)
        self.ln(1.5)

    def grid(
        self,
        heads: Sequence[str],
        rows: Sequence[Sequence[str]],
        widths: Sequence[float],
        *,
        marked: frozenset[int] = frozenset(),
        size: float = 7.8,
    ) -> None:
        """Write a table under its headings, which are repeated on every page; ``marked`` rows stand out."""
        self._plain(size)
        with self.table(
            col_widths=tuple(widths),
            borders_layout=TableBordersLayout.HORIZONTAL_LINES,
            headings_style=FontFace(emphasis="BOLD", color=DEEP.rgb, fill_color=WASH.rgb),
            text_align=tuple(Align.L for _ in heads),
            line_height=size * 0.48,
            padding=(1.1, 1.2, 1.1, 1.2),
            v_align=VAlign.T,
            wrapmode=WrapMode.WORD,
        ) as table:
            head = table.row()
            for text in heads:
                head.cell(text)
            for number, values in enumerate(rows):
                row = table.row()
                style = FontFace(emphasis="BOLD", fill_color=WARN_WASH.rgb) if number in marked else None
                for value in values:
                    row.cell(value, style=style)
        self.ln(2)


def _xmp(title: str, made_at: datetime) -> str:
    """Return the metadata that PDF/A asks for, dated by ``made_at`` alone."""
    date = made_at.astimezone(UTC).isoformat(timespec="seconds")
    return f"""<x:xmpmeta xmlns:x="adobe:ns:meta/">
  <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"
    xmlns:dc="http://purl.org/dc/elements/1.1/"
    xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    xmlns:pdfaid="http://www.aiim.org/pdfa/ns/id/">
    <rdf:Description rdf:about="" xmp:CreatorTool="Custodes" xmp:CreateDate="{date}" xmp:ModifyDate="{date}"
      xmp:MetadataDate="{date}">
      <pdfaid:part>3</pdfaid:part>
      <pdfaid:conformance>U</pdfaid:conformance>
      <dc:title><rdf:Alt><rdf:li xml:lang="x-default">{escape(title)}</rdf:li></rdf:Alt></dc:title>
    </rdf:Description>
  </rdf:RDF>
</x:xmpmeta>"""
