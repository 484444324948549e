# SPDX-License-Identifier: Apache-2.0
"""One round as a person sees it: a real window on a real (virtual) X display, real mouse and key events.

    .venv/bin/python packaging/click_through.py [--out DIR] [--model FOLDER] [--notes FOLDER]

Starts Xvfb, opens the desktop on an empty folder, and lets xdotool do what a newcomer would: start the demonstration,
watch it train, review the adapter, press Enter (which must send nothing), give a reason, send, take it back, send
again, see the receipt, close. Screenshots of the display stay in DIR. Ends with status 1, and says where, if
something that a person waits for does not come. Linux; needs the programs Xvfb and xdotool.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

REASON = "Scores improved"
NAME = "Ruth Okafor"


@contextmanager
def display() -> Iterator[str]:
    """A virtual X display of one screen, by its name; raises SystemExit where its programs are missing."""
    if missing := [name for name in ("Xvfb", "xdotool") if not shutil.which(name)]:
        raise SystemExit(f"{' and '.join(missing)} not found; on Debian: apt-get install xvfb xdotool")
    read, write = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", "1280x800x24", "-nolisten", "tcp"],
        pass_fds=(write,),
        stderr=subprocess.DEVNULL,
    )
    os.close(write)
    try:
        with os.fdopen(read) as number:
            yield f":{number.readline().strip()}"
    finally:
        server.terminate()
        server.wait()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "click-through", help="folder for screenshots")
    parser.add_argument("--model", type=Path, help="base model (default: the bundled one)")
    parser.add_argument("--notes", type=Path, help="notes of the demonstration (default: the bundled ones)")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    chosen = {name: value for name in ("model", "notes") if (value := getattr(options, name))}
    with display() as name, tempfile.TemporaryDirectory() as folder:
        os.environ |= {"DISPLAY": name, "QT_QPA_PLATFORM": "xcb"}
        return click_through(Path(folder), options.out, chosen)


def click_through(folder: Path, out: Path, chosen: dict[str, Path]) -> int:
    from fedmed_desktop.desktop import preflight

    preflight.check()
    preflight.prepare()
    from person import Person, Todo, seconds
    from PySide6.QtCore import QPoint, QTimer
    from PySide6.QtWidgets import QWidget

    from fedmed_desktop.demo.settings import DemoOptions
    from fedmed_desktop.desktop.app import open_window
    from fedmed_desktop.desktop.options import DesktopOptions

    app, program = open_window(DesktopOptions(data_dir=folder))
    program.demo_options = DemoOptions(report=folder / "report", **chosen)
    window, desk = program.window, lambda: program.desk

    def xdotool(*words: str) -> None:
        subprocess.run(["xdotool", *words], check=True)

    def focus_window() -> None:
        xdotool("windowfocus", "--sync", str(int(window.winId())))

    def place(widget: QWidget) -> tuple[str, str]:
        centre = widget.mapToGlobal(QPoint(widget.width() // 2, widget.height() // 2))
        return str(centre.x()), str(centre.y())

    def in_sight(widget: QWidget) -> bool:
        seen = widget.visibleRegion().boundingRect()
        return widget.isVisible() and seen.height() >= widget.height() * 0.9

    def click(widget: QWidget) -> Todo:
        """Clicks as a hand does: turns the wheel until it is in sight, then one press."""
        yield widget.isVisible
        page = window.centralWidget()
        for _ in range(30):
            if in_sight(widget):
                break
            xdotool("mousemove", *place(page), "click", "5")
            yield seconds(0.3)
        yield widget.isEnabled
        xdotool("mousemove", *place(widget), "click", "1")

    def picture(name: str) -> Todo:
        yield seconds(0.5)
        window.screen().grabWindow(0).save(str(out / f"{name}.png"))

    def person() -> Todo:
        yield window.isVisible
        focus_window()
        yield from picture("1-first-start")
        yield from click(window.rounds.empty.buttons[1])
        yield lambda: program.demonstration is not None and program.demonstration.isVisible()
        yield from picture("1-which-method")
        xdotool("mousemove", *place(program.demonstration.start), "click", "1")
        yield lambda: not program.demonstration.isVisible()
        focus_window()  # no window manager gives it back once the dialog has gone
        yield lambda: not desk().curves.is_empty
        xdotool("key", "ctrl+2")
        yield lambda: window.page == "monitor"
        yield from picture("2-training")
        yield lambda: desk().asked is not None
        xdotool("key", "ctrl+1")
        yield lambda: window.page == "rounds"
        yield from picture("3-your-approval")
        yield from click(window.rounds.session.status.button)
        yield lambda: window.page == "approvals"
        yield from picture("4-review")
        form = window.approvals.decision.form
        xdotool("key", "Return")
        for finding in form.findings:
            if finding.isVisible():
                yield from click(finding.box)
        yield from click(form.reason)
        xdotool("type", REASON)
        yield lambda: form.reason.text() == REASON
        yield from click(form.name)
        xdotool("type", NAME)
        yield lambda: form.name.text() == NAME
        assert desk().pending and not desk().counting_down, "Enter must decide nothing"
        yield from click(form.send)
        yield lambda: desk().counting_down is not None
        yield from picture("5-countdown")
        yield from click(window.approvals.decision.countdown.take_back)
        yield lambda: desk().asked is not None and desk().counting_down is None
        yield from picture("6-taken-back")
        yield from click(form.send)
        yield lambda: desk().record.entries[0].state == "acknowledged"
        yield from picture("7-receipt")
        xdotool("key", "ctrl+q")
        yield lambda: program._closing or (program.question is not None and program.question.isVisible())
        if not program._closing and program.question is not None:
            yield from picture("8-closing")
            yield from click(program.question.yes)
        yield lambda: program._closing

    def give_up() -> None:
        window.screen().grabWindow(0).save(str(out / "failed.png"))
        program.close()

    one = Person(person(), give_up)
    QTimer.singleShot(0, program.begin)
    app.exec()
    record = program.desk.record
    found = [(d.decision, d.by, d.reason) for d in record.decisions if d.sha256 == record.entries[0].sha256][:4]
    expected = [("approved", NAME, REASON), ("taken_back", NAME), ("approved", NAME, REASON), ("released", "agent")]
    if not one.problem and [row[: len(wanted)] for row, wanted in zip(found, expected, strict=True)] != expected:
        one.problem = f"the record says {found}"
    print(one.problem or f"One round was clicked through, sent, taken back and sent again. Pictures: {out}")
    return 1 if one.problem else 0


if __name__ == "__main__":
    sys.exit(main())
