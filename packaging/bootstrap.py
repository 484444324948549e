# SPDX-License-Identifier: Apache-2.0
"""From a fresh checkout to a running program in one command; needs only Python's standard library.

    python3 packaging/bootstrap.py desktop       open the desktop
    python3 packaging/bootstrap.py demo          see a federation work
    python3 packaging/bootstrap.py lab quick     compare methods
    python3 packaging/bootstrap.py test          run the tests
    python3 packaging/bootstrap.py coordinator   host a federation: no torch, no screen

Makes .venv with the exact versions of packaging/pins/, then becomes the program; the second time it is silent. What
follows the mode goes to the program. Readable for Python 3.8, so that one that is too old can say so.
"""

from __future__ import annotations

import argparse
import errno
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PINS = ROOT / "packaging" / "pins"
OLDEST_PYTHON = (3, 11)
WINDOWS = os.name == "nt"
THIS_COMMAND = "py packaging\\bootstrap.py" if WINDOWS else f"{Path(sys.executable).name} packaging/bootstrap.py"
DEFAULT_FOLDER = ROOT / ".venv"

# mode -> (topmost pin file, what to run with the environment's Python)
MODES = {
    "desktop": ("desktop", ["-m", "fedmed_desktop"]),
    "demo": ("desktop", ["-m", "fedmed_desktop", "--demo"]),
    "lab": ("lab", ["-m", "fedmed_desktop", "--lab"]),
    "test": ("dev", ["-m", "pytest"]),
    "coordinator": ("base", ["-m", "fedmed_desktop", "--coordinator"]),
}
LAYERS = ["build", "base", "site", "desktop", "lab", "dev"]  # of pin files, each on top of the one before
TORCH_DOWNLOAD = "torch alone is 0.2 GB for CPU, several GB with CUDA; Qt is 0.1 GB"
DOWNLOADS = {"base": "about 50 MB", "desktop": TORCH_DOWNLOAD, "lab": TORCH_DOWNLOAD, "dev": TORCH_DOWNLOAD}
# The least room that the installed packages take (torch for CPU on Linux); running out later is explained as well.
ROOM_GB = {"base": 0.4, "desktop": 1.8, "lab": 1.9, "dev": 2.7}

FAULTS = [
    # (what pip says, our sentence); the first match wins: without network pip ends with "no matching distribution"
    (r"No space left|Errno 28\b|Errno 122\b|WinError 112|not enough space", "disk"),
    (r"CERTIFICATE_VERIFY_FAILED|SSLCertVerificationError", "certificate"),
    (r"ProxyError|Tunnel connection failed|407 Proxy", "proxy"),
    (
        r"NewConnectionError|NameResolutionError|Failed to establish a new connection|Temporary failure in name"
        r"|getaddrinfo failed|Max retries exceeded|Network is unreachable|TimeoutError|Read timed out|Connection broken"
        r"|IncompleteRead|ConnectionResetError|RemoteDisconnected",
        "network",
    ),
    (r"No matching distribution found for (?P<name>\S+)", "missing"),
    (r"Permission denied|Errno 13\b|WinError 5\b|Read-only file system", "permission"),
]
SENTENCES = {
    "disk": "No space is left on the disk. Free some, or put the environment and the temporary files elsewhere: "
    "TMPDIR=/big/tmp {again} --venv /big/venv",
    "certificate": "pip does not trust the certificate of the package index, as behind a proxy that inspects traffic. "
    "Ask your IT for its CA file, then: PIP_CERT=/path/to/ca.pem {again}",
    "proxy": "The proxy refuses the package index. Set it, with a user if it wants one, and run again: "
    "HTTPS_PROXY=http://user:password@proxy:port {again}",
    "network": "The package index does not answer: is there a network? When there is: {again}; "
    "or without one, from a folder of wheels: PIP_NO_INDEX=1 PIP_FIND_LINKS=/path/to/wheels {again}",
    "missing": "The package index has no {name} for Python {python} on this kind of machine. "
    "Try another Python from 3.11 on, for instance: python3.12 packaging/bootstrap.py {mode}",
    "permission": "The environment cannot be written in {folder}. Put it elsewhere: {again} --venv /path/to/venv",
    "venv": "This Python cannot make virtual environments. On Debian and Ubuntu: "
    "sudo apt install python{python}-venv, then {again}",
    "other": "pip could not install the packages ({line}). All it said is in {folder}/bootstrap.log. "
    "To try again: {again}",
    "foreign": "{folder} holds something else than a Python environment. Choose another: {again} --venv /path/to/venv",
}


class Trouble(Exception):
    """What is wrong and the command that mends it, as one sentence."""

    def __init__(self, kind: str, environment: Environment, **details: str) -> None:
        again = f"{THIS_COMMAND} {environment.mode}"
        if environment.folder != DEFAULT_FOLDER and "--venv" not in SENTENCES[kind]:
            again += f" --venv {environment.folder}"
        python = "{}.{}".format(*sys.version_info)
        facts = {"again": again, "mode": environment.mode, "python": python, "folder": str(environment.folder)}
        sentence = SENTENCES[kind].format(**{**facts, **details})
        # a variable for one command is said in another way in PowerShell
        super().__init__(re.sub(r"\b([A-Z_]+)=(\S+) ", r"$env:\1='\2'; ", sentence) if WINDOWS else sentence)


def main(arguments: list[str]) -> int:
    if sys.version_info < OLDEST_PYTHON:
        print(f"bootstrap: {too_old(arguments)}", file=sys.stderr)
        return 1
    options, rest = parse(arguments)
    environment = Environment(options.venv, options.mode)
    try:
        environment.prepare(options.torch_index)
    except Trouble as trouble:
        print(f"bootstrap: {trouble}", file=sys.stderr)
        return 1
    except OSError as error:
        kinds = {errno.ENOSPC: "disk", errno.EACCES: "permission", errno.EPERM: "permission", errno.EROFS: "permission"}
        trouble = Trouble(kinds.get(error.errno or 0, "other"), environment, line=str(error))
        print(f"bootstrap: {trouble}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"\nbootstrap: stopped; to begin again: {THIS_COMMAND} {options.mode}", file=sys.stderr)
        return 130
    command = [str(environment.python), *MODES[options.mode][1], *rest]
    return become(command, ROOT if options.mode == "test" else None)


def too_old(arguments: list[str]) -> str:
    newer = next((name for name in ("python3.12", "python3.13", "python3.11", "python3.14") if starts(name)), None)
    get = {
        "win32": "winget install Python.Python.3.12, then py -3.12",
        "darwin": "brew install python@3.12, then python3.12",
    }
    use = newer or get.get(sys.platform, "sudo apt install python3.12-venv (or your system's like), then python3.12")
    command = " ".join([use, "packaging/bootstrap.py", *arguments])
    version = "{}.{}.{}".format(*sys.version_info)
    return f"fedmed-desktop needs Python 3.11 or newer, and this is {version}. Run: {command}"


def starts(name: str) -> bool:
    """Whether that Python is there and is more than a version manager's stand-in."""
    found = shutil.which(name)
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return bool(found) and subprocess.run([found, "-c", ""], **silent).returncode == 0


def parse(arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
    """Our own options stand before or right after the mode; from the first other word on all is the program's."""
    parser = argparse.ArgumentParser(
        prog=THIS_COMMAND, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("mode", choices=MODES, help="what to run once the environment stands")
    parser.add_argument("--venv", type=Path, default=DEFAULT_FOLDER, metavar="DIR", help="the environment (.venv)")
    parser.add_argument("--torch-index", metavar="URL", help="also look here for torch: an index of CPU wheels")
    end, has_mode = 0, False
    while end < len(arguments):
        word = arguments[end]
        if word in ("--venv", "--torch-index"):
            end += 2
        elif word.startswith(("--venv=", "--torch-index=")) or not has_mode:
            has_mode = has_mode or not word.startswith("-")
            end += 1
        else:
            break
    return parser.parse_args(arguments[:end]), arguments[end:]


class Environment:
    """A virtual environment and its stamp, which says what was installed and whether that came to its end."""

    def __init__(self, folder: Path, mode: str) -> None:
        self.folder = folder.absolute()
        self.mode = mode
        self.level = MODES[mode][0]
        self.layers = LAYERS[: LAYERS.index(self.level) + 1]
        self.python = self.folder / ("Scripts/python.exe" if WINDOWS else "bin/python")
        self.stamp_file = self.folder / "bootstrap.json"
        self.log_file = self.folder / "bootstrap.log"

    def prepare(self, torch_index: str | None) -> None:
        """Bring the environment up to the pins. Silent where the stamp says that it is."""
        inputs = [PINS / f"{name}.txt" for name in self.layers] + [ROOT / "pyproject.toml"]
        wanted = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in inputs}
        stamp = self.read_stamp()
        fault = self.fault(stamp)
        installed = {} if fault else stamp.get("installed", {})
        if not fault and stamp.get("root") == str(ROOT) and wanted.items() <= installed.items():
            return
        started = time.monotonic()
        if fault:
            self.make(fault)
        self.install(installed, torch_index)
        self.write_stamp(working=False, installed={**installed, **wanted})
        say(f"{self.folder} is ready after {time.monotonic() - started:.0f} s")

    def identity(self) -> dict[str, str]:
        """A stamp with other values belongs to another Python, or to a folder that was moved or copied."""
        return {"python": "{}.{}".format(*sys.version_info), "folder": str(self.folder)}

    def read_stamp(self) -> dict[str, Any]:
        """Empty where there is none; one that cannot be read counts as left half made."""
        try:
            return json.loads(self.stamp_file.read_text("utf-8"))
        except FileNotFoundError:
            return {}
        except ValueError:
            return {"working": True}

    def write_stamp(self, working: bool, installed: dict[str, str]) -> None:
        stamp = {**self.identity(), "root": str(ROOT), "working": working, "installed": installed}
        temporary = self.stamp_file.with_suffix(".new")
        temporary.write_text(json.dumps(stamp, indent=1), "utf-8")
        temporary.replace(self.stamp_file)

    def fault(self, stamp: dict[str, Any]) -> str:
        """Why the environment must be made anew, or "" where what is there can be built on."""
        if not self.folder.exists() or not any(self.folder.iterdir()):
            return "new"
        if not stamp:  # made by hand: used where it works, and nothing but an environment is ever removed
            if not (self.folder / "pyvenv.cfg").exists():
                raise Trouble("foreign", self)
            return "" if self.has_pip() else "without pip, or of another Python"
        if stamp["working"]:
            return "left half made"
        if any(stamp.get(key) != value for key, value in self.identity().items()):
            return "made by another Python or in another place"
        return "" if self.python.exists() else "without its Python"

    def has_pip(self) -> bool:
        """Whether its Python is of our version, starts and has pip."""
        ask = f"import pip, sys; sys.exit(sys.version_info[:2] != {sys.version_info[:2]})"
        try:
            return subprocess.run([str(self.python), "-c", ask], stderr=subprocess.DEVNULL).returncode == 0
        except OSError:
            return False

    def make(self, fault: str) -> None:
        if fault != "new":
            say(f"{self.folder} is {fault}: making it anew")
            shutil.rmtree(self.folder)
        parent = next(path for path in self.folder.parents if path.exists())
        if shutil.disk_usage(parent).free < ROOM_GB[self.level] * 1e9:
            raise Trouble("disk", self)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.write_stamp(working=True, installed={})
        command = [sys.executable, "-m", "venv", str(self.folder)]
        made = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if made.returncode:
            self.log(made.stdout)
            raise explained(made.stdout, self, otherwise="venv")

    def install(self, installed: dict[str, str], torch_index: str | None) -> None:
        """pip, in steps: pip and the build tool themselves, torch alone, everything, and this checkout.

        torch comes by itself, under the pins as constraints, so that the wheel which pip is set up with is the one.
        """
        pins = read_pins(self.layers)
        names = sorted(pins)
        torch = [f"torch=={pins['torch']}"] if "torch" in pins else []
        say(f"installing {len(names)} packages into {self.folder} ({DOWNLOADS[self.level]})")
        progress = Progress(names)
        self.write_stamp(working=True, installed={})
        try:
            self.pip(progress, ["-r", str(PINS / "build.txt"), "--progress-bar", "off"])
            if torch:
                constraints = self.folder / "constraints.txt"
                constraints.write_text("".join(f"{name}=={version}\n" for name, version in pins.items()), "utf-8")
                index = ["--extra-index-url", torch_index] if torch_index else []
                self.pip(progress, [*torch, "-c", str(constraints), *index, "--progress-bar", "raw"])
            self.pip(progress, ["-r", str(PINS / f"{self.level}.txt"), "--progress-bar", "raw"])
            self.pip(progress, ["--no-deps", "--no-build-isolation", "-e", str(ROOT)])
        except Trouble:
            self.write_stamp(working=False, installed={})  # pip ended in order: what it installed can be built on
            raise

    def pip(self, progress: Progress, arguments: list[str]) -> None:
        command = [str(self.python), "-m", "pip", "install", "--no-input", "--disable-pip-version-check", *arguments]
        self.log(f"$ {' '.join(command)}")
        lines: dict[str, Any] = {"bufsize": 1, "encoding": "utf-8", "errors": "replace"}
        unbuffered = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=unbuffered, **lines)
        said = []
        try:
            for line in process.stdout or ():
                if progress.heard(line):
                    said.append(line)
            code = process.wait()
        finally:
            if process.poll() is None:  # Ctrl-C reached pip as well: let it undo what it began
                process.wait()
            progress.clear()
            self.log("".join(said))
        if code:
            raise explained("".join(said), self, otherwise="other")

    def log(self, text: str) -> None:
        try:
            with self.log_file.open("a", encoding="utf-8") as log:
                log.write(text + "\n")
        except OSError:
            pass  # a full disk: the sentence says so


class Progress:
    """How far pip is, in one line: rewritten on a terminal, now and then elsewhere."""

    EVERY_S = 10.0

    def __init__(self, names: list[str]) -> None:
        self.names = frozenset(names)
        self.done: set[str] = set()
        self.download = ""
        self.width = 0
        self.rewrites = sys.stdout.isatty()
        self.last = time.monotonic()

    def heard(self, line: str) -> bool:
        """Take in one line of pip's; whether it is worth a place in the log."""
        if step := re.match(r"Progress (\d+) of (\d+)", line):
            have, total = int(step[1]), int(step[2])
            if total > 5_000_000:
                self.show(f"{self.download} {100 * have // total} %")
            return False
        if found := re.match(r"(?:Collecting|Requirement already satisfied:) ([\w.-]+)|Processing .*[/\\](\w+)-", line):
            name = found[1] or found[2]
            self.done |= {canonical(name)} & self.names
            self.show(name)
        elif found := re.match(r"\s*Downloading (\S+?)(?:\.metadata)?( \([^)]*\))?$", line.rstrip()):
            self.download = f"downloading {found[1].rpartition('/')[2].split('-')[0]}{found[2] or ''}"
            self.show(self.download)
        elif line.startswith("Installing collected packages:"):
            self.show(f"unpacking {line.count(',') + 1} of them")
        elif "Retrying (" in line:
            self.show("the network does not answer, trying again")
        return True

    def show(self, what: str) -> None:
        text = f"  {len(self.done)} of {len(self.names)} packages: {what}"
        if self.rewrites:
            columns = shutil.get_terminal_size().columns - 1
            print("\r" + text[:columns].ljust(self.width), end="", flush=True)
            self.width = min(len(text), columns)
        elif time.monotonic() - self.last >= self.EVERY_S:
            print(text, flush=True)
            self.last = time.monotonic()

    def clear(self) -> None:
        if self.rewrites and self.width:
            print("\r" + " " * self.width + "\r", end="", flush=True)
            self.width = 0


def explained(said: str, environment: Environment, otherwise: str) -> Trouble:
    """The one sentence for what pip or venv said at its end."""
    for pattern, kind in FAULTS:
        if found := re.search(pattern, said):
            return Trouble(kind, environment, **found.groupdict())
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith("error")] or lines
    return Trouble(otherwise, environment, line=errors[-1] if errors else "it said nothing")


def read_pins(files: list[str]) -> dict[str, str]:
    """Canonical name -> version, of the lines whose marker holds here."""
    pins = {}
    for file in files:
        for line in (PINS / f"{file}.txt").read_text("utf-8").splitlines():
            pin, _, marker = line.partition(";")
            name, _, version = pin.strip().partition("==")
            if version and all(holds(term) for term in marker.split(" and ") if term.strip()):
                pins[canonical(name)] = version
    return pins


def holds(term: str) -> bool:
    """One comparison of a marker, of the two kinds that compile.py writes."""
    variable, operator, value = term.split()
    value = value.strip("'")
    if variable == "sys_platform":
        return (sys.platform == value) == (operator == "==")
    version = tuple(int(number) for number in value.split("."))
    return (sys.version_info[:2] < version) == (operator == "<")


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def say(text: str) -> None:
    print(f"bootstrap: {text}", flush=True)


def become(command: list[str], folder: Path | None) -> int:
    """Run the program in our place: its exit status, its signals and its terminal are its own."""
    if folder:
        os.chdir(folder)
    if not WINDOWS:
        os.execv(command[0], command)
    process = subprocess.Popen(command)
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue  # the program got it too and decides


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
