# SPDX-License-Identifier: Apache-2.0
"""Pictures of every page in every state, from replayed events; names, notes and numbers in them are invented.

    .venv/bin/python packaging/screenshots.py [--out DIR] [--only TEXT ...] [--theme NAME ...] [--size NAME ...]
                                              [--language NAME]

Writes PAGE-state-theme-size.png into the folder (`screenshots` unless told), and a contact sheet per theme and size.
Needs no display; the same every time on the same fonts.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ["QT_QPA_PLATFORM"] = "offscreen"
os.environ["TZ"] = "UTC"

from fedmed_desktop.desktop import preflight  # noqa: E402

preflight.check()
preflight.prepare()

from PySide6.QtCore import QRect, Qt  # noqa: E402
from PySide6.QtGui import QColor, QFont, QImage, QPainter, QPixmap  # noqa: E402
from PySide6.QtWidgets import QApplication  # noqa: E402

from fedmed_desktop.desktop.app import application  # noqa: E402
from fedmed_desktop.desktop.look.language import Language  # noqa: E402
from fedmed_desktop.desktop.look.theme import Appearance  # noqa: E402
from fedmed_desktop.wording.catalogue import languages  # noqa: E402
from tests.ui.scenes import Scene, scenes, shown  # noqa: E402

THEMES: Final = ("light", "dark", "contrast")
SIZES: Final = {
    "1280": ((1280, 720), 1.0), "1920": ((1920, 1080), 1.0), "3840": ((3840, 2160), 1.0),
    "125": ((1280, 720), 1.25), "150": ((1280, 720), 1.5), "200": ((1280, 720), 2.0), "3840-200": ((3840, 2160), 2.0),
}  # fmt: skip
COLUMNS, TILE, LABEL, GAP = 5, (512, 288), 22, 12


def pictures(chosen: list[Scene], folder: Path, theme: str, size: str) -> list[tuple[str, QPixmap]]:
    """Writes the picture of each scene; returns them small, with their names."""
    small = []
    smooth = Qt.TransformationMode.SmoothTransformation
    with tempfile.TemporaryDirectory() as temporary:
        for scene in chosen:
            with shown(scene, Path(temporary), SIZES[size][0]) as stage:
                picture = stage.picture()
            opaque = picture.toImage().convertToFormat(QImage.Format.Format_RGB888)
            opaque.save(str(folder / f"{scene.name}-{theme}-{size}.png"), "PNG", 0)  # 0: as small as PNG can be
            small.append((scene.name, picture.scaled(*TILE, Qt.AspectRatioMode.KeepAspectRatio, smooth)))
    return small


def contact_sheet(small: list[tuple[str, QPixmap]]) -> QPixmap:
    """All of them with their names, five in a row."""
    rows = -(-len(small) // COLUMNS)
    width, height = TILE[0] + GAP, TILE[1] + LABEL + GAP
    sheet = QPixmap(COLUMNS * width + GAP, rows * height + GAP)
    sheet.fill(QColor("#808890"))
    painter = QPainter(sheet)
    font = QFont(QApplication.font())
    font.setPixelSize(13)
    painter.setFont(font)
    painter.setPen(QColor("#FFFFFF"))
    for number, (name, picture) in enumerate(small):
        x, y = GAP + number % COLUMNS * width, GAP + number // COLUMNS * height
        painter.drawText(QRect(x, y, TILE[0], LABEL), Qt.AlignmentFlag.AlignVCenter, name)
        painter.drawPixmap(x, y + LABEL, picture)
    painter.end()
    return sheet


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("screenshots"))
    parser.add_argument("--only", nargs="+", default=[""], help="scenes whose name contains one of these")
    parser.add_argument("--theme", nargs="+", choices=THEMES, default=THEMES)
    parser.add_argument("--size", nargs="+", choices=list(SIZES), default=("1280", "1920", "200"))
    parser.add_argument("--language", choices=languages(), default="en")
    wanted = parser.parse_args()
    chosen = [scene for scene in scenes() if any(text in scene.name for text in wanted.only)]
    if not chosen:
        parser.error(f"no scene's name contains that; there are {', '.join(s.name for s in scenes())}")
    if hasattr(time, "tzset"):
        time.tzset()
    wanted.out.mkdir(parents=True, exist_ok=True)
    app = application()
    app.setQuitOnLastWindowClosed(False)
    language = Language(app, wanted.language)
    for theme in wanted.theme:
        for size in wanted.size:
            look = Appearance(app, theme, SIZES[size][1])
            sheet = contact_sheet(pictures(chosen, wanted.out, theme, size))
            look.deleteLater()
            sheet.save(str(wanted.out / f"contact-{theme}-{size}.png"))
            print(f"{theme} {size}: {len(chosen)} pictures in {wanted.out}")
    language.end()
    return 0


if __name__ == "__main__":
    sys.exit(main())
