# SPDX-License-Identifier: Apache-2.0
"""What stands in the way of Qt is one sentence with a command. Computers are handed in; the last tests ask this one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from fedmed_desktop.desktop.preflight import Computer, check, qt_platform, torch_library
from fedmed_desktop.errors import UserFacingError
from fedmed_desktop.wording import told

DEBIAN = {"ID": "debian"}
UBUNTU = {"ID": "linuxmint", "ID_LIKE": "ubuntu debian"}
ROCKY = {"ID": "rocky", "ID_LIKE": "rhel centos fedora"}
X11 = {"DISPLAY": ":0"}


def computer(
    *,
    system: str = "linux",
    python: tuple[int, int] = (3, 11),
    environ: Mapping[str, str] = X11,
    qt: str = "6.11.3",
    lacks: tuple[str, ...] = (),
    release: Mapping[str, str] = DEBIAN,
    root: bool = False,
) -> Computer:
    """A computer on which the desktop starts, but for what is said. `lacks` holds modules and libraries."""
    return Computer(
        system=system,
        python=python,
        environ=environ,
        root=root,
        installed=lambda module: module not in lacks,
        can_load=lambda library: library not in lacks,
        qt_version=lambda: qt,
        os_release=lambda: release,
    )


def refusal(there: Computer) -> tuple[str, str]:
    with pytest.raises(UserFacingError) as caught:
        check(there)
    return caught.value.code, told(caught.value)


@pytest.mark.parametrize("system", ["linux", "win32", "darwin"])
@pytest.mark.parametrize("package", ["PySide6", "pyqtgraph"])
def test_that_a_missing_package_is_named_with_its_extra(package: str, system: str) -> None:
    code, said = refusal(computer(system=system, lacks=(package,)))
    assert code == "desktop.qt_missing"
    assert f"needs {package}," in said and said.endswith('python -m pip install ".[desktop]"')


@pytest.mark.parametrize("system", ["linux", "win32", "darwin"])
def test_that_the_pair_that_frees_none_is_refused(system: str) -> None:
    code, said = refusal(computer(system=system, qt="6.12.0", python=(3, 11)))
    assert code == "desktop.qt_pair"
    assert "PySide6 6.12.0 crashes Python 3.11" in said and said.endswith('"PySide6-Essentials<6.12"')


@pytest.mark.parametrize(
    ("qt", "python"), [("6.12.0", (3, 12)), ("6.11.3", (3, 11)), ("6.8.1", (3, 11)), ("", (3, 11))]
)
def test_that_other_pairs_are_taken(qt: str, python: tuple[int, int]) -> None:
    check(computer(qt=qt, python=python))


def test_that_without_a_display_it_says_what_to_use_instead() -> None:
    code, said = refusal(computer(environ={"HOME": "/"}))
    assert code == "desktop.no_display"
    assert all(flag in said for flag in ("--site", "--demo --terminal", "--demo --offscreen"))


@pytest.mark.parametrize("environ", [X11, {"WAYLAND_DISPLAY": "wayland-0"}, {"QT_QPA_PLATFORM": "offscreen"}])
def test_that_any_place_to_draw_is_enough(environ: Mapping[str, str]) -> None:
    check(computer(environ=environ))


@pytest.mark.parametrize("system", ["win32", "darwin"])
def test_that_other_systems_have_a_display_and_qts_libraries(system: str) -> None:
    check(computer(system=system, environ={}, lacks=("libEGL.so.1",)))


@pytest.mark.parametrize(
    ("release", "root", "command"),
    [
        (DEBIAN, False, "To install them: sudo apt-get install -y libegl1 libxcb-cursor0"),
        (UBUNTU, True, "To install them: apt-get install -y libegl1 libxcb-cursor0"),
        (ROCKY, False, "To install them: sudo dnf install -y libglvnd-egl xcb-util-cursor"),
        ({"ID": "alpine"}, False, "To install them: your system's package manager has them"),
        ({}, False, "To install them: your system's package manager has them"),
    ],
)
def test_that_missing_libraries_come_with_the_command_of_the_system(
    release: Mapping[str, str], root: bool, command: str
) -> None:
    code, said = refusal(computer(lacks=("libEGL.so.1", "libxcb-cursor.so.0"), release=release, root=root))
    assert code == "desktop.qt_libraries"
    assert "libEGL.so.1, libxcb-cursor.so.0" in said and said.endswith(command)


@pytest.mark.parametrize("environ", [{"WAYLAND_DISPLAY": "wayland-0"}, X11 | {"QT_QPA_PLATFORM": "offscreen"}])
def test_that_only_x11_needs_the_libraries_of_x11(environ: Mapping[str, str]) -> None:
    check(computer(environ=environ, lacks=("libxcb-cursor.so.0",)))
    assert refusal(computer(environ=environ, lacks=("libEGL.so.1",)))[0] == "desktop.qt_libraries"


@pytest.mark.parametrize(
    ("environ", "system", "expected"),
    [
        ({}, "linux", None),
        (X11, "linux", "xcb"),
        (X11 | {"WAYLAND_DISPLAY": "wayland-0"}, "linux", "wayland"),
        ({"QT_QPA_PLATFORM": "wayland;xcb"}, "linux", "wayland"),
        ({"QT_QPA_PLATFORM": "vnc:port=5900"}, "linux", "vnc"),
        ({}, "win32", "windows"),
        ({}, "darwin", "cocoa"),
    ],
)
def test_that_the_platform_is_the_one_that_qt_takes(
    environ: Mapping[str, str], system: str, expected: str | None
) -> None:
    assert qt_platform(environ, system) == expected


def fresh(code: str, **environ: str) -> str:
    """What a new interpreter prints."""
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, **environ}, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_that_the_check_passes_here_without_importing_qt() -> None:
    code = (
        "import sys; from fedmed_desktop.desktop import preflight; preflight.check(); print('PySide6' in sys.modules)"
    )
    assert fresh(code) == "False"


def test_that_a_library_that_is_not_there_is_found_missing() -> None:
    assert not Computer().can_load("libno-such-library.so.1") and not Computer().installed("no_such_module")


def test_that_the_wheels_version_is_what_qt_says() -> None:
    code = (
        "import PySide6; from fedmed_desktop.desktop import preflight; "
        "print(PySide6.__version__, preflight.qt_version())"
    )
    qt, wheel = fresh(code).split()
    assert qt == wheel


def test_that_pyqtgraph_takes_pyside_after_the_preparation() -> None:
    code = (
        "from fedmed_desktop.desktop import preflight; preflight.prepare(); "
        "import pyqtgraph; print(pyqtgraph.Qt.QT_LIB)"
    )
    assert fresh(code, PYQTGRAPH_QT_LIB="PyQt6") == "PySide6"


def test_that_torchs_first_library_is_found_without_importing_torch() -> None:
    code = (
        "import sys; from fedmed_desktop.desktop import preflight; print(preflight.torch_library()); "
        "assert 'torch' not in sys.modules"
    )
    place = fresh(code)
    assert place.replace("\\", "/").endswith("torch/lib/c10.dll")
    assert torch_library() is not None


WITHOUT_EGL = """
import ctypes

class WithoutEgl(ctypes.CDLL):
    def __init__(self, name, *arguments, **options):
        if name == "libEGL.so.1":
            raise OSError("cannot open shared object file")
        super().__init__(name, *arguments, **options)

ctypes.CDLL = WithoutEgl
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the wheels bring all libraries")
@pytest.mark.slow
def test_that_tests_fail_where_qt_cannot_start(tmp_path: Path) -> None:
    (tmp_path / "without_egl.py").write_text(WITHOUT_EGL, "utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "without_egl", "-p", "no:cacheprovider", "tests/ui/test_leaks.py"],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "missing: libEGL.so.1." in done.stderr and "Traceback" not in done.stderr
