# SPDX-License-Identifier: Apache-2.0
"""Memory that the desktop holds after each hour of a working day, replayed: eight hours of events in a minute or two.

    .venv/bin/python packaging/benchmarks/ui_memory.py

Offscreen, the real program, another page every five minutes of the day; no training and no socket. Prints JSON with
resident MiB, QObjects and Python objects, and ends with status 1 where the evening holds more than the second hour by
12 MiB or more: of the day's 19,200 training steps the charts keep 7,215, which take 1.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
os.environ["QT_QPA_PLATFORM"] = "offscreen"

from fedmed_desktop.desktop import preflight  # noqa: E402

preflight.check()
preflight.prepare()

from PySide6.QtCore import QCoreApplication  # noqa: E402

from fedmed_desktop.desktop.app import Workshop, application  # noqa: E402
from fedmed_desktop.desktop.frame.pages import PAGES  # noqa: E402
from fedmed_desktop.desktop.program import Program  # noqa: E402
from tests.parts.endurance import Held, a_day  # noqa: E402

MIB: Final = 2**20
MOST_GROWTH_MIB: Final = 12.0


def main() -> int:
    hours: list[Held] = []
    with tempfile.TemporaryDirectory() as name:
        app = application()
        app.setQuitOnLastWindowClosed(False)
        program = Program(app, Workshop(), Path(name), keep_settings=False)
        try:
            program.show()
            program.begin()
            for page in PAGES:  # made at the first need
                program.window.go(page)
                QCoreApplication.processEvents()
            hours = a_day(program)
        finally:  # whatever happened: a thread that runs on would keep this process
            program.close()
            app.exec()
    growth = (hours[-1].bytes - hours[1].bytes) / MIB
    seen = [asdict(held) | {"bytes": round(held.bytes / MIB, 1)} for held in hours]
    sys.stdout.write(json.dumps({"benchmark": "ui_memory", "growth_mib": round(growth, 1), "hours": seen}, indent=1))
    return 0 if growth < MOST_GROWTH_MIB else 1


if __name__ == "__main__":
    sys.exit(main())
