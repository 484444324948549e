# SPDX-License-Identifier: Apache-2.0
"""Pictures of an invitation's QR code: a photograph, a screenshot, or the file that the host saved."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QImage, QImageReader, QPainter

from ...errors import UserFacingError
from ...protocol.invitation import SCHEME

# Longest side that is looked at: a telephone's photograph has more, and its code is not smaller for that.
_MOST_PX: Final = 4000


def is_picture(path: Path) -> bool:
    """Tells whether a file is a picture by its content, whatever its name."""
    return bool(QImageReader.imageFormat(str(path)).data())


def picture_filter() -> str:
    """Names of pictures, as a file dialog's filter has them: "*.png *.jpg"."""
    return " ".join(f"*.{bytes(kind.data()).decode()}" for kind in QImageReader.supportedImageFormats())


def text_in_picture(path: Path) -> str:
    """The text of the QR code in a picture. Raises UserFacingError: no picture, or no invitation's code in it."""
    reader = QImageReader(str(path))
    reader.setAutoTransform(True)  # photographs are stored lying on their side
    size = reader.size()
    if max(size.width(), size.height()) > _MOST_PX:
        reader.setScaledSize(size.scaled(QSize(_MOST_PX, _MOST_PX), Qt.AspectRatioMode.KeepAspectRatio))
    image = reader.read()
    if image.isNull():
        raise UserFacingError("invitation.no_picture", name=path.name)
    return text_in(image)


def text_in(image: QImage) -> str:
    """The text of the QR code in an image. Raises UserFacingError where there is none of an invitation."""
    import numpy as np
    import zxingcpp  # only where a picture is read

    gray = _on_white(image).convertToFormat(QImage.Format.Format_Grayscale8)
    rows = np.frombuffer(gray.constBits(), np.uint8).reshape(gray.height(), gray.bytesPerLine())
    pixels = np.ascontiguousarray(rows[:, : gray.width()])
    kinds = zxingcpp.barcode_formats_from_str("QRCode")
    texts = [code.text for code in zxingcpp.read_barcodes(pixels, formats=kinds)]
    if not texts:
        raise UserFacingError("invitation.no_qr")
    invitations = [text for text in texts if SCHEME in text.lower()]
    if not invitations:
        raise UserFacingError("invitation.other_qr")
    return invitations[0]


def _on_white(image: QImage) -> QImage:
    """A picture without holes: what is transparent would otherwise count as black."""
    if not image.hasAlphaChannel():
        return image
    flat = QImage(image.size(), QImage.Format.Format_RGB32)
    flat.fill(Qt.GlobalColor.white)
    painter = QPainter(flat)
    painter.drawImage(0, 0, image)
    painter.end()
    return flat
