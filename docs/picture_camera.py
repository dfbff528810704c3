"""Takes pictures of the window, and of places of the canvas side by side, small enough for a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from qtpy.QtCore import QPoint
from qtpy.QtGui import QImage, QPainter
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QWidget

Point = tuple[float, float]

PANEL = (294, 220)  # three of them and two gaps are as wide as a page
_GAP, _MARGIN, _LINE = 6, 6, 18
_BACKGROUND, _TEXT = (38, 41, 48), (240, 241, 242)  # of napari's dark theme
_FONT = ImageFont.load_default(14)
_ARROW = [(0, 0), (0, 16), (4, 12), (7, 18), (10, 17), (7, 11), (12, 11)]


@dataclass(frozen=True)
class Panel:
    """A numbered part of a series: a picture, RGB, and what stands below it."""

    picture: Image.Image
    text: str


class Camera:
    """Takes pictures of one window.

    Parameters
    ----------
    viewer, dock
        The window.
    folder : Path
        Where the pictures go.
    """

    def __init__(self, viewer: Any, dock: Any, folder: Path) -> None:
        self.viewer, self.dock, self.folder = viewer, dock, folder

    # -- what is in view ----------------------------------------------------------------

    def look_at(self, z: int, centre: Point, zoom: float = 5) -> None:
        """Show a slice, with a pixel (y, x) in the middle and so many screen pixels for one of the image."""
        self.viewer.dims.set_point(0, z)
        self.viewer.scene.camera.center = (0, *centre)
        self.viewer.scene.camera.zoom = zoom
        QTest.qWait(300)

    def panel(self, text: str, clicks: Sequence[Point] = (), stroke: Sequence[Point] = ()) -> Panel:
        """Take the middle of the canvas, with the mouse where it was pressed or drawn, (y, x) each."""
        QTest.qWait(200)
        canvas = self.viewer.screenshot(canvas_only=True, flash=False)[..., :3]
        height, width = canvas.shape[:2]
        picture = Image.fromarray(np.ascontiguousarray(canvas)).crop(
            (
                (width - PANEL[0]) // 2,
                (height - PANEL[1]) // 2,
                (width + PANEL[0]) // 2,
                (height + PANEL[1]) // 2,
            )
        )
        draw = ImageDraw.Draw(picture)
        if stroke:
            line = [self._in_panel(point) for point in stroke]
            for colour, thick in (("black", 5), ("white", 3)):
                draw.line(line, colour, thick, joint="curve")
        for point in (*clicks, *stroke[-1:]):
            x, y = self._in_panel(point)
            draw.polygon([(x + dx, y + dy) for dx, dy in _ARROW], "white", "black")
        return Panel(picture, text)

    def _in_panel(self, point: Point) -> tuple[float, float]:
        camera = self.viewer.scene.camera
        y, x = ((p - c) * camera.zoom for p, c in zip(point, camera.center[-2:], strict=True))
        return PANEL[0] / 2 + x, PANEL[1] / 2 + y

    # -- files --------------------------------------------------------------------------

    def series(self, name: str, *panels: Panel) -> None:
        """Write panels side by side, numbered."""
        texts = [_wrapped(f"{number}. {panel.text}") for number, panel in enumerate(panels, 1)]
        lines = max(map(len, texts))
        size = (len(panels) * (PANEL[0] + _GAP) - _GAP, PANEL[1] + 2 * _MARGIN + lines * _LINE)
        whole = Image.new("RGB", size, _BACKGROUND)
        draw = ImageDraw.Draw(whole)
        for number, (panel, text) in enumerate(zip(panels, texts, strict=True)):
            left = number * (PANEL[0] + _GAP)
            whole.paste(panel.picture, (left, 0))
            for row, line in enumerate(text):
                draw.text((left + 4, PANEL[1] + _MARGIN + row * _LINE), line, _TEXT, _FONT)
        self._save(whole, name, 128)

    def page(self, name: str, step: Any = None) -> None:
        """Write canvas and dock, without napari's own panels, of a page if one is given."""
        whole = self._window(step)
        corner = self._canvas().mapTo(self.dock.window(), QPoint())
        self._save(whole.crop((corner.x(), corner.y(), *whole.size)), name)

    def window(self, path: Path) -> None:
        """Write the whole window."""
        self._window().save(path, optimize=True)

    def widget(self, name: str, widget: QWidget, scale: int) -> None:
        """Write a part of the dock, so many times as large."""
        drawn = QImage(widget.size() * scale, QImage.Format.Format_RGB888)
        drawn.fill(0x262930)
        painter = QPainter(drawn)
        painter.scale(scale, scale)
        widget.render(painter, QPoint(), flags=QWidget.RenderFlag.DrawChildren)
        painter.end()
        path = self.folder / f"{name}.png"
        drawn.save(str(path))
        self._save(Image.open(path).convert("RGB"), name)

    def _window(self, step: Any = None) -> Image.Image:
        if step is not None:
            self.dock.show_step(step)
        QTest.qWait(500)
        for widget in self.dock.window().findChildren(QWidget):
            if type(widget).__name__ == "NapariQtNotification":
                widget.close()
        return Image.fromarray(self.viewer.screenshot(canvas_only=False, flash=False)[..., :3].copy())

    def _canvas(self) -> QWidget:
        widgets = self.dock.window().findChildren(QWidget)
        return next(one for one in widgets if type(one).__name__ == "CanvasBackendDesktop")

    def _save(self, picture: Image.Image, name: str, colours: int = 28) -> None:
        few = picture.quantize(palette=_palette(picture, colours), dither=Image.Dither.NONE)
        few.save(self.folder / f"{name}.png", optimize=True)


def _palette(picture: Image.Image, colours: int) -> Image.Image:
    """Return the colours of a picture: the most frequent, some of the bright ones, and some of all."""
    pixels = np.asarray(picture).reshape(-1, 3)
    bright = pixels[np.ptp(pixels, axis=1) > 90]
    frequent = sorted(picture.getcolors(1 << 24), reverse=True)[:8]
    parts = [np.array([colour for _, colour in frequent]), _few(pixels, colours)]
    if len(bright):
        parts.append(_few(bright, colours * 3 // 4, Image.Quantize.MAXCOVERAGE))  # also the rare ones
    palette = Image.new("P", (1, 1))
    palette.putpalette(np.concatenate(parts).astype(np.uint8).tobytes())
    return palette


def _few(pixels: np.ndarray, count: int, method: int = Image.Quantize.MEDIANCUT) -> np.ndarray:
    chosen = Image.fromarray(pixels[np.newaxis]).quantize(count, method).getpalette()
    return np.array(chosen).reshape(-1, 3)[:count]


def _wrapped(text: str) -> list[str]:
    """Return the lines of a text below a panel."""
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if _FONT.getlength(longer) > PANEL[0] - 8:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines
