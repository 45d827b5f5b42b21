"""Podium as `make up` serves it, on servers of its own in a throw-away folder: nothing that is running is touched."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from config.children import spawn, stop
from config.embedded import ROOT, VARIABLES, hold, service_folder
from config.servers import first_number, tail
from config.supervisor import programs

START_SECONDS = 60.0


class SiteError(Exception):
    """The site did not come up; the text says why."""


@dataclass(frozen=True)
class Site:
    host: str
    port: int
    app: list[int]  # roots of the process trees whose CPU time counts
    database: list[int]


@contextmanager
def throw_away_home() -> Iterator[Path]:
    home = Path(tempfile.mkdtemp(prefix="podium-bench-"))
    home.chmod(0o711)  # as root, Postgres is user nobody and has to pass through
    try:
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


@contextmanager
def services(home: Path) -> Iterator[None]:
    """Postgres and the broker with the settings of `make up`: what is committed is on the disk."""
    with ExitStack() as stack:
        urls = {variable: stack.enter_context(hold(name, home=home)) for name, variable in VARIABLES.items()}
        os.environ.update(urls, PODIUM_HOME=str(home), DJANGO_SETTINGS_MODULE="config.settings")
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        yield


def migrate() -> None:
    """Tables and static files, as before every start."""
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", interactive=False, verbosity=0)
    from config.prepare import collect_static_files

    collect_static_files()


@contextmanager
def web(home: Path) -> Iterator[Site]:
    """The web server that `make up` starts, with its numbers of workers and threads."""
    host, port = "127.0.0.1", free_port()
    (program,) = [program for program in programs(f"{host}:{port}") if program.name == "web"]
    with served(list(program.command), log=home / "web.log", host=host, port=port, path="/accounts/login/") as pid:
        yield Site(host, port, app=[pid], database=[postmaster(home), broker(home)])


@contextmanager
def served(
    command: list[str],
    *,
    log: Path,
    host: str,
    port: int,
    path: str,
    env: dict[str, str] | None = None,
    cwd: Path = ROOT,
    seconds: float = START_SECONDS,
) -> Iterator[int]:
    """Run a web server until the block ends; its process number."""
    with open(log, "wb") as file:
        process = spawn(command, stdout=file, env=env, cwd=cwd)
    try:
        _wait_for(process, host, port, path, log, seconds)
        yield process.pid
    finally:
        import signal

        stop(process, (signal.SIGTERM, 8), (signal.SIGQUIT, 4))


def postmaster(home: Path) -> int:
    pid = first_number(service_folder(home, "postgres") / "data" / "postmaster.pid")
    assert pid is not None
    return pid


def broker(home: Path) -> int:
    pid = first_number(service_folder(home, "valkey") / "valkey.pid")
    assert pid is not None
    return pid


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run(command: list[str], *, env: dict[str, str] | None = None, cwd: Path = ROOT, what: str = "") -> str:
    done = subprocess.run(command, env=env, cwd=cwd, text=True, capture_output=True, check=False)
    if done.returncode:
        raise SiteError(f"{what or command[0]} failed:\n{done.stdout[-1500:]}{done.stderr[-3000:]}")
    return done.stdout


def _wait_for(process: "subprocess.Popen[bytes]", host: str, port: int, path: str, log: Path, seconds: float) -> None:
    import http.client

    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise SiteError(f"The server ended at once:\n{tail(log)}")
        try:
            connection = http.client.HTTPConnection(host, port, timeout=10)
            connection.request("GET", path)
            if connection.getresponse().status < 500:
                return
        except OSError:
            pass  # not there yet
        time.sleep(0.1)
    raise SiteError(f"The server does not answer after {seconds:.0f} s:\n{tail(log)}")


PYTHON = sys.executable
