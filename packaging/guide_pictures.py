# SPDX-License-Identifier: Apache-2.0
"""The guide's pictures, made anew: the program runs a real demonstration, a script decides, and the window is kept.

    .venv/bin/python packaging/guide_pictures.py [--out DIR]

Nothing in them is invented but the invitation on Join, which nobody answers: model, notes and scores are the
demonstration's. The other two sites score on ten notes each, so that it is in the second round, and done, after a few
minutes on free processors. It needs no display. The bytes differ from run to run, since times do; run it when a page
looks different, and look at what it made.
"""

from __future__ import annotations

import argparse
import gzip
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

PICTURES: Final = {  # in the order in which they are made
    "first-run": "what for: join, try, or see a demonstration",
    "try-it": "a note read with the bundled adapter",
    "join": "the form, filled in, with three notes as they will be counted",
    "demonstration": "the question before a demonstration",
    "training": "Rounds while an adapter is trained",
    "your-approval": "Rounds, once the update waits for a decision",
    "approvals": "the sheet of the update",
    "countdown": "ten seconds in which it can be taken back",
    "combined": "Rounds, once the first round has been combined",
    "monitor": "Monitor in the second round",
}
SCALE: Final = "1.5"  # pixels of a picture for each of the window
STEP: Final = 8  # of a colour's 256 values
SIZE: Final = (1100, 720)
TALLER: Final = {"join": 960, "approvals": 860}
MOST_SECONDS: Final = 3600.0  # for any step: a round takes minutes, and more where others use the processor
REASON, NAME = "Scores improved", "Ruth Okafor"
OTHERS, SCORED = ("Lakeview", "Riverside"), 10


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "resources" / "guide" / "pictures", help="folder")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    os.environ |= {"QT_QPA_PLATFORM": "offscreen", "QT_SCALE_FACTOR": SCALE, "TZ": "UTC"}
    with tempfile.TemporaryDirectory(prefix="hospital-") as folder:
        return take(Path(folder), out)


def take(folder: Path, out: Path) -> int:
    """All pictures, from one run of the program with its data in `folder`."""
    from fedmed_desktop.desktop import preflight

    preflight.check()
    preflight.prepare()
    import numpy as np
    from person import Person, Todo, seconds
    from PySide6.QtCore import QTimer
    from PySide6.QtGui import QImage, QPainter
    from PySide6.QtWidgets import QWidget

    from fedmed_desktop.demo.settings import DemoOptions
    from fedmed_desktop.desktop.app import open_window
    from fedmed_desktop.desktop.options import DesktopOptions
    from fedmed_desktop.protocol.invitation import Invitation
    from fedmed_desktop.resources import resource

    app, program = open_window(DesktopOptions(data_dir=folder / "program"))
    sites = shutil.copytree(resource("demo_notes"), folder / "sites")
    for site in OTHERS:
        validation = sites / site / "validation.jsonl.gz"
        few = gzip.decompress(validation.read_bytes()).splitlines(keepends=True)[:SCORED]
        validation.write_bytes(gzip.compress(b"".join(few)))
    program.demo_options = DemoOptions(report=folder / "report", notes=sites)
    program.appearance.choose("light")
    program.appearance.set_text_scale(1.0)
    window, desk = program.window, lambda: program.desk
    window.resize(*SIZE)

    def write(image: QImage, name: str) -> None:
        """Writes 33 steps of each colour, else without loss: a quarter fewer bytes, and no difference that is seen."""
        path = out / f"{name}.webp"
        fine = image.convertToFormat(QImage.Format.Format_RGBX8888)
        steps = (np.frombuffer(fine.constBits(), np.uint8).astype(int) + STEP // 2) // STEP * STEP
        coarse = steps.clip(0, 255).astype(np.uint8).tobytes()
        made = QImage(coarse, fine.width(), fine.height(), QImage.Format.Format_RGBX8888)
        if not made.convertToFormat(QImage.Format.Format_RGB888).save(str(path), "WEBP", 100):
            raise OSError(f"could not write {path}")
        print(f"{path} {path.stat().st_size / 1024:.0f} KiB", flush=True)

    def picture(name: str, over: QWidget | None = None) -> Todo:
        window.resize(SIZE[0], TALLER.get(name, SIZE[1]))
        yield seconds(1)
        image = window.grab().toImage()
        if over is not None:
            place = over.rect()
            place.moveCenter(window.rect().center())
            painter = QPainter(image)
            painter.fillRect(window.rect(), "#59000000")
            painter.drawPixmap(place.topLeft(), over.grab())
            painter.end()
        write(image, name)
        window.resize(*SIZE)

    def fill_in() -> Todo:
        """Join with an invitation, which nobody answers."""
        model = shutil.copytree(resource("demo_model"), folder / "model")
        notes = shutil.copytree(resource("demo_notes") / "Lakeview", folder / "notes")
        looked: list[bool] = []
        window.join.report.looked.connect(lambda: looked.append(True))
        window.show_join()
        invitation = Invitation(
            "federation.example.org:8765", "3f9a20c1e6889d4e" * 4, bytes(range(16)), "Mercy General"
        )
        window.join.where.give(invitation.line())
        window.join.fields["model"].line.setText(str(model))
        window.join.fields["notes"].line.setText(str(notes))
        yield window.join.join.isEnabled
        yield window.join.preview.isVisible
        yield lambda: bool(looked)

    def read_note() -> Todo:
        """The first example, with the adapter that comes with the program and the base model beside it."""
        window.show_trial()
        yield seconds(1)
        window.trial.head.menu.aboutToShow.emit()
        window.trial.head.menu.actions()[0].trigger()
        window.trial.beside.setChecked(True)
        yield seconds(1)
        window.trial.head.read.click()
        yield window.trial.note.is_folded
        yield lambda: not window.trial.head.save.isHidden()

    def trains(number: int) -> bool:
        """Tells whether the first half of a round's training is done."""
        assert desk().ended is None, f"the demonstration has ended: {desk().fatal}"
        current = desk().curves.current
        return current is not None and current[0] == number and current[1] > current[2] / 2

    def decide() -> Todo:
        """Sends what waits."""
        yield lambda: desk().asked is not None
        window.go("approvals")
        yield seconds(1)
        form = window.approvals.decision.form
        for box in form.findings:
            if box.isVisible():
                box.box.setChecked(True)
        for line, words in ((form.reason, REASON), (form.name, NAME)):
            line.selectAll()
            line.insert(words)  # as typed: a text that is set is nobody's
        yield form.send.isEnabled
        form.send.click()
        yield lambda: desk().counting_down is not None

    def person() -> Todo:
        yield window.isVisible
        program.set_wishes(None, None, None)
        yield from picture("first-run")
        yield from read_note()
        yield from picture("try-it")
        yield from fill_in()
        yield from picture("join")
        window.show_welcome().purpose.buttons["demo"].click()
        yield lambda: program.demonstration is not None and program.demonstration.isVisible()
        yield from picture("demonstration", program.demonstration)
        assert program.demonstration is not None
        program.demonstration.start.click()
        yield lambda: trains(1)
        yield from picture("training")
        yield lambda: desk().asked is not None
        yield from picture("your-approval")
        window.go("approvals")
        yield from picture("approvals")
        yield from decide()
        yield from picture("countdown")
        yield lambda: desk().record.entries[0].state == "acknowledged"
        window.go("rounds")
        yield lambda: desk().round == 2
        yield from picture("combined")
        window.go("monitor")
        yield lambda: trains(2)
        yield from picture("monitor")
        program.close()

    one = Person(person(), program.close, MOST_SECONDS)
    QTimer.singleShot(0, program.begin)
    app.exec()
    print(one.problem or f"{len(PICTURES)} pictures are in {out}")
    return 1 if one.problem else 0


if __name__ == "__main__":
    sys.exit(main())
