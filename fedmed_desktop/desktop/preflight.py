# SPDX-License-Identifier: Apache-2.0
"""Checks whether Qt can run here before it is imported: Qt itself ends the process or crashes later. Imports no Qt.
`check` says in one sentence what is missing; `prepare` sets what must stand before Qt's first import.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import os
import platform
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from ..errors import UserFacingError

# library -> package of Debian and Ubuntu, package of Fedora and RHEL. What Qt's wheels load and no wheel brings.
QT_LIBRARIES: Final = {
    "libEGL.so.1": ("libegl1", "libglvnd-egl"),
    "libGL.so.1": ("libgl1", "libglvnd-glx"),
    "libxkbcommon.so.0": ("libxkbcommon0", "libxkbcommon"),
    "libdbus-1.so.3": ("libdbus-1-3", "dbus-libs"),
    "libfontconfig.so.1": ("libfontconfig1", "fontconfig"),
    "libglib-2.0.so.0": ("libglib2.0-0", "glib2"),
}
X11_LIBRARIES: Final = {
    "libxcb-cursor.so.0": ("libxcb-cursor0", "xcb-util-cursor"),
    "libxcb-icccm.so.4": ("libxcb-icccm4", "xcb-util-wm"),
    "libxcb-image.so.0": ("libxcb-image0", "xcb-util-image"),
    "libxcb-keysyms.so.1": ("libxcb-keysyms1", "xcb-util-keysyms"),
    "libxcb-render-util.so.0": ("libxcb-render-util0", "xcb-util-renderutil"),
    "libxcb-shape.so.0": ("libxcb-shape0", "libxcb"),
    "libxkbcommon-x11.so.0": ("libxkbcommon-x11-0", "libxkbcommon-x11"),
}
FIRST_BAD_QT: Final = (6, 12)
FIRST_SAFE_PYTHON: Final = (3, 12)  # None is immortal from here on


def can_load(library: str) -> bool:
    """Tells whether the dynamic linker finds a library and all that it needs. It stays loaded; Qt loads it anyway."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def qt_version() -> str:
    """Version of Qt in the installed wheel, without importing it; "" where it says none."""
    from importlib import metadata  # slow to import, and only older Pythons ask

    with contextlib.suppress(metadata.PackageNotFoundError):
        return metadata.version("PySide6-Essentials")
    return ""


def os_release() -> Mapping[str, str]:
    with contextlib.suppress(OSError):
        return platform.freedesktop_os_release()
    return {}


@dataclass(frozen=True)
class Computer:
    """Facts that the check looks at; the defaults describe this computer."""

    system: str = sys.platform
    python: tuple[int, int] = sys.version_info[:2]
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    root: bool = field(default_factory=lambda: hasattr(os, "geteuid") and os.geteuid() == 0)
    installed: Callable[[str], bool] = installed
    can_load: Callable[[str], bool] = can_load
    qt_version: Callable[[], str] = qt_version
    os_release: Callable[[], Mapping[str, str]] = os_release


def check(computer: Computer | None = None) -> None:
    """Returns where Qt can run. Raises UserFacingError: desktop.qt_missing, desktop.qt_pair, desktop.no_display,
    desktop.qt_libraries.
    """
    computer = computer or Computer()
    for module in ("PySide6", "pyqtgraph"):
        if not computer.installed(module):
            raise UserFacingError("desktop.qt_missing", package=module)
    if computer.python < FIRST_SAFE_PYTHON and is_bad(version := computer.qt_version()):
        raise UserFacingError("desktop.qt_pair", qt=version, python="{}.{}".format(*computer.python))
    if computer.system == "linux":
        if qt_platform(computer.environ, computer.system) is None:
            raise UserFacingError("desktop.no_display")
        _check_libraries(computer)


def is_bad(qt_version: str) -> bool:
    """Tells whether this Qt drops a reference to None at every void call (measured: 6.12.0; 6.8 to 6.11 do not)."""
    return bool(qt_version) and tuple(int(part) for part in qt_version.split(".")[:2]) >= FIRST_BAD_QT


def qt_platform(environ: Mapping[str, str], system: str) -> str | None:
    """The platform plugin that Qt will take, such as xcb or offscreen; None where there is no display to show on."""
    if chosen := environ.get("QT_QPA_PLATFORM"):
        return chosen.partition(";")[0].partition(":")[0]
    if system != "linux":
        return {"win32": "windows", "darwin": "cocoa"}.get(system, system)
    if environ.get("WAYLAND_DISPLAY"):
        return "wayland"
    return "xcb" if environ.get("DISPLAY") else None


def _check_libraries(computer: Computer) -> None:
    needed = dict(QT_LIBRARIES)
    if qt_platform(computer.environ, computer.system) == "xcb":
        needed |= X11_LIBRARIES
    missing = {library: packages for library, packages in needed.items() if not computer.can_load(library)}
    if missing:
        how = _install_command(missing, computer)
        raise UserFacingError("desktop.qt_libraries", libraries=", ".join(missing), how=how)


def _install_command(missing: Mapping[str, tuple[str, str]], computer: Computer) -> str:
    release = computer.os_release()
    family = {release.get("ID", ""), *release.get("ID_LIKE", "").split()}
    sudo = "" if computer.root else "sudo "
    if family & {"debian", "ubuntu"}:
        return f"{sudo}apt-get install -y {' '.join(debian for debian, _ in missing.values())}"
    if family & {"fedora", "rhel", "centos"}:
        return f"{sudo}dnf install -y {' '.join(fedora for _, fedora in missing.values())}"
    return "your system's package manager has them"


def prepare() -> None:
    """Prepares the first import of Qt: pyqtgraph takes PySide6, and on Windows torch's own library comes first.

    There torch 2.9 and later fails to load after Qt has loaded its own copy of a runtime library; loading c10.dll first
    is enough, and torch itself (seconds) can wait until the first window is painted.
    """
    os.environ["PYQTGRAPH_QT_LIB"] = "PySide6"
    if sys.platform == "win32" and (library := torch_library()):
        with contextlib.suppress(OSError):  # torch itself says better what is wrong with it
            ctypes.CDLL(str(library))


def torch_library() -> Path | None:
    """Path of torch's c10.dll on Windows, without importing torch; None where torch is not installed."""
    found = importlib.util.find_spec("torch")
    if found is None or found.origin is None:
        return None
    return Path(found.origin).parent / "lib" / "c10.dll"
