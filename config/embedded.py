"""Postgres and a broker for a machine that has neither. Standard library alone: it runs before settings are read.

    python -m config.embedded exec [--fresh] -- COMMAND…

runs COMMAND with DATABASE_URL and REDIS_URL set. What the environment names already is used as it is; the rest is
embedded: running servers are joined, otherwise they are started and end with their last user. Their data stays in
PODIUM_HOME. `--fresh` starts servers of its own on a throw-away folder (tests; several at once do not meet).
"""

import argparse
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from config.children import spawn
from config.keeper import is_kept
from config.servers import START_SECONDS, tail

ROOT = Path(__file__).resolve().parent.parent
VARIABLES = {"postgres": "DATABASE_URL", "valkey": "REDIS_URL"}


class EmbeddedError(Exception):
    """No server came up; the text is for the person at the keyboard."""


def podium_home() -> Path:
    return Path(os.environ.get("PODIUM_HOME") or ROOT / ".podium").resolve()


@dataclass
class Services:
    """The servers' addresses by environment variable, and the folders of those that are embedded."""

    urls: dict[str, str] = field(default_factory=dict)
    folders: dict[str, Path] = field(default_factory=dict)

    def ensure(self) -> None:
        """Bring back a server whose keeper was killed, at its old address: others hold that."""
        for name, folder in self.folders.items():
            if not is_kept(folder) and _address(name, folder=folder, fresh=False) != self.urls[VARIABLES[name]]:
                raise EmbeddedError(f"{name} came back at another address, its port was taken; start Podium again.")


@contextmanager
def services() -> Iterator[Services]:
    """Put DATABASE_URL and REDIS_URL into the environment for as long as the block lasts."""
    before = dict(os.environ)
    found = Services(urls={variable: before[variable] for variable in VARIABLES.values() if before.get(variable)})
    with ExitStack() as stack:
        for name, variable in VARIABLES.items():
            if variable not in found.urls:
                found.urls[variable] = stack.enter_context(hold(name, home=podium_home()))
                found.folders[name] = service_folder(podium_home(), name)
        os.environ.update(found.urls)
        try:
            yield found
        finally:
            for variable in found.urls.keys() - before.keys():
                os.environ.pop(variable, None)


@contextmanager
def fresh_services() -> Iterator[dict[str, str]]:
    """An environment with servers of its own on a throw-away PODIUM_HOME, whatever else runs."""
    home = Path(tempfile.mkdtemp(prefix="podium-"))
    home.chmod(0o711)  # ours alone; user nobody has to pass through to the data folder when we are root
    try:
        with ExitStack() as stack:
            env = {"PODIUM_HOME": str(home), "DATABASE_URL": os.environ.get("PODIUM_TEST_DATABASE_URL", "")}
            for name, variable in VARIABLES.items():
                if not env.get(variable):
                    env[variable] = stack.enter_context(hold(name, home=home, fresh=True))
            yield env
    finally:
        shutil.rmtree(home, ignore_errors=True)


def service_folder(home: Path, name: str) -> Path:
    return home / "services" / name


@contextmanager
def hold(name: str, *, home: Path, fresh: bool = False) -> Iterator[str]:
    """Keep one embedded server up and yield its address; it ends with its last holder."""
    folder = service_folder(home, name)
    folder.mkdir(parents=True, exist_ok=True)
    for part in (folder.parent, folder):
        part.chmod(0o711)
    with open(folder / "users", "a") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        yield _address(name, folder=folder, fresh=fresh)
    _wait_until_stopped(folder)


def _address(name: str, *, folder: Path, fresh: bool) -> str:
    keeper: subprocess.Popen[bytes] | None = None
    deadline = time.monotonic() + 2 * START_SECONDS
    while time.monotonic() < deadline:
        if url := _running(folder):
            return url
        if keeper is None:
            keeper = _spawn_keeper(name, folder=folder, fresh=fresh)
        elif keeper.poll() is not None:
            if keeper.returncode != 0:
                raise EmbeddedError(f"{name} did not start.\n{tail(folder / 'keeper.log')}")
            keeper = None if not is_kept(folder) else keeper
        time.sleep(0.02)
    raise EmbeddedError(f"{name} does not answer; see {folder / 'keeper.log'} and {folder / 'server.log'}")


def _running(folder: Path) -> str | None:
    """The address of a server that is kept and listens; a state file left by a killed keeper is not believed."""
    if not is_kept(folder):
        return None
    try:
        state = json.loads((folder / "state.json").read_text())
        socket.create_connection(("127.0.0.1", state["port"]), timeout=1).close()
    except OSError:
        return None
    return str(state["url"])


def _spawn_keeper(name: str, *, folder: Path, fresh: bool) -> subprocess.Popen[bytes]:
    """In a session of its own: Ctrl-C is for its users, and it ends after the last of them."""
    with open(folder / "keeper.log", "wb" if not is_kept(folder) else "ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "config.keeper", name, str(folder), *(["--fresh"] if fresh else [])],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            start_new_session=True,
        )


def _wait_until_stopped(folder: Path) -> None:
    """Return when the server is down, or soon when somebody else still uses it."""
    deadline = time.monotonic() + 20
    while is_kept(folder) and time.monotonic() < deadline:
        shared = _is_shared(folder)
        time.sleep(0.02)
        if shared and (folder / "state.json").exists():  # not the keeper itself, who holds it to remove the state
            return


def _is_shared(folder: Path) -> bool:
    try:
        with open(folder / "users") as users:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:  # a throw-away folder, already thrown away
        return False
    return False


def run(command: list[str], *, fresh: bool) -> int:
    """Run a command with the servers up; its exit status is ours, and Ctrl-C is for it to handle."""
    with ExitStack() as stack:
        env = stack.enter_context(fresh_services()) if fresh else stack.enter_context(services()).urls
        child = spawn(command, env={**os.environ, **env}, stdin=None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, lambda *_: child.terminate())
        status = child.wait()
    return status if status >= 0 else 128 - status


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m config.embedded", description=__doc__)
    exec_parser = parser.add_subparsers(required=True).add_parser("exec", help="run a command with the servers up")
    exec_parser.add_argument("--fresh", action="store_true", help="throw-away servers of its own, for tests")
    exec_parser.add_argument("command", nargs="+", metavar="COMMAND")
    arguments = parser.parse_args()
    try:
        return run(arguments.command, fresh=arguments.fresh)
    except (EmbeddedError, FileNotFoundError) as error:
        print(f"podium: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
