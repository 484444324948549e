# SPDX-License-Identifier: Apache-2.0
"""Goes from a fresh checkout to a running program in one command; needs only Python's standard library.

    python3 packaging/bootstrap.py desktop       open the desktop
    python3 packaging/bootstrap.py demo          see a federation work
    python3 packaging/bootstrap.py lab quick     compare methods
    python3 packaging/bootstrap.py test          run the tests
    python3 packaging/bootstrap.py bench         measure its speed beside that of others
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
    "bench": ("dev", [str(ROOT / "packaging" / "benchmarks" / "run.py")]),
    "coordinator": ("base", ["-m", "fedmed_desktop", "--coordinator"]),
}
LAYERS = ["build", "base", "site", "desktop", "lab", "dev"]  # of pin files, each on top of the one before
TORCH_DOWNLOAD = "torch alone is 0.2 GB for CPU, several GB with CUDA; Qt is 0.1 GB"
DOWNLOADS = {"base": "about 50 MB", "desktop": TORCH_DOWNLOAD, "lab": TORCH_DOWNLOAD, "dev": TORCH_DOWNLOAD}
# The least room that the installed packages take (torch for CPU on Linux); running out later is explained as well.
ROOM_GB = {"base": 0.4, "desktop": 1.8, "lab": 1.9, "dev": 2.7}

UV = "uv==0.13.9"  # installs many times faster than pip
# pip's settings -> uv's
UVS_NAMES = {
    "index-url": ("UV_DEFAULT_INDEX",),
    "extra-index-url": ("UV_INDEX",),
    "find-links": ("UV_FIND_LINKS",),
    "no-index": ("UV_NO_INDEX",),
    "trusted-host": ("UV_INSECURE_HOST",),
    "constraint": ("UV_CONSTRAINT",),
    "cert": ("SSL_CERT_FILE",),
    "proxy": ("HTTP_PROXY", "HTTPS_PROXY"),
    "timeout": ("UV_HTTP_TIMEOUT",),
}

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
    """Sentence that says what is wrong, and the command that mends it."""

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
    # the whole suite runs in parallel; a selection begins sooner without
    parallel = ["-n", "auto", "--dist", "loadfile"] if options.mode == "test" and not rest else []
    command = [str(environment.python), *MODES[options.mode][1], *parallel, *rest]
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
    """Tells whether that Python is there and is more than a version manager's stand-in."""
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
        """Reason why the environment must be made again, or "" where what is there can be built on."""
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
        """Tells whether its Python is of our version, starts and has pip."""
        ask = f"import pip, sys; sys.exit(sys.version_info[:2] != {sys.version_info[:2]})"
        try:
            return subprocess.run([str(self.python), "-c", ask], stderr=subprocess.DEVNULL).returncode == 0
        except OSError:
            return False

    def make(self, fault: str) -> None:
        if fault != "new":
            say(f"{self.folder} is {fault}: making a new one")
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
        """The build tools, everything, and this checkout: by uv, and by pip where uv is not to be had or fails."""
        say(f"installing into {self.folder} ({DOWNLOADS[self.level]})")
        index = ["--extra-index-url", torch_index] if torch_index else []
        steps = [["-r", str(PINS / "build.txt")], ["-r", str(PINS / f"{self.level}.txt"), *index]]
        steps += [["--no-deps", "--no-build-isolation", "-e", str(ROOT)]]
        self.write_stamp(working=True, installed={})
        pip = [str(self.python), "-m", "pip", "install", "--no-input", "--disable-pip-version-check"]
        try:
            settings = self.pip_settings()
            if uv := self.uv(pip):
                uv += ["pip", "install", "--python", str(self.python)]
                if all(self.run([*uv, *step], settings)[0] == 0 for step in steps):
                    return
                say("uv could not install them; pip tries")
            for step in steps:
                code, said = self.run([*pip, "--progress-bar", "off", *step])
                if code:
                    raise explained(said, self, otherwise="other")
        except Trouble:
            self.write_stamp(working=False, installed={})  # pip ended in order: what it installed can be built on
            raise

    def uv(self, pip: list[str]) -> list[str]:
        """Command that starts uv: the one on PATH, or one that pip installs beside it; [] where there is none."""
        if on_path := shutil.which("uv"):
            return [on_path]
        code, _ = self.run([*pip, "--quiet", "--retries", "1", UV], heard=False)
        return [str(self.python), "-m", "uv"] if code == 0 else []

    def pip_settings(self) -> dict[str, str]:
        """Settings of pip on this machine (indexes, proxy, certificates), as uv's environment variables."""
        command = [str(self.python), "-m", "pip", "config", "list", "--disable-pip-version-check"]
        said = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, encoding="utf-8").stdout
        found: dict[str, str] = {}
        lines = re.findall(r"^(\S+?)\.([\w-]+)='(.*)'$", said, re.MULTILINE)
        for place in ("global", "install", ":env:"):  # pip lets the later ones win
            found.update({key: value.replace("\\n", " ") for where, key, value in lines if where == place})
        settings = {"UV_INDEX_STRATEGY": "unsafe-best-match", "UV_NATIVE_TLS": "1", "UV_NO_PROGRESS": "1"}  # as pip
        for key, names in UVS_NAMES.items():
            separator = "," if key == "find-links" else " "
            settings.update({name: separator.join(found[key].split()) for name in names if key in found})
        return settings

    def run(self, command: list[str], settings: dict[str, str] | None = None, heard: bool = True) -> tuple[int, str]:
        """Exit status and words of pip or uv; what it downloads is shown, all that it says is in the log."""
        self.log(f"$ {' '.join(command)}")
        lines: dict[str, Any] = {"bufsize": 1, "encoding": "utf-8", "errors": "replace"}
        environment = {**(settings or {}), **os.environ, "PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, **lines)
        said = []
        try:
            for line in process.stdout or ():
                said.append(line)
                if heard and re.match(r"\s*(Downloading|Installing|Installed|Resolved|Prepared)\b", line):
                    print("  " + line.strip()[:110], flush=True)
            return process.wait(), "".join(said)
        finally:
            if process.poll() is None:  # Ctrl-C reached it as well: let it undo what it began
                process.wait()
            self.log("".join(said))

    def log(self, text: str) -> None:
        try:
            with self.log_file.open("a", encoding="utf-8") as log:
                log.write(text + "\n")
        except OSError:
            pass  # a full disk: the sentence says so


def explained(said: str, environment: Environment, otherwise: str) -> Trouble:
    """The one sentence for what pip or venv said at its end."""
    for pattern, kind in FAULTS:
        if found := re.search(pattern, said):
            return Trouble(kind, environment, **found.groupdict())
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith("error")] or lines
    return Trouble(otherwise, environment, line=errors[-1] if errors else "it said nothing")


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
