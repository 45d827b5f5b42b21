"""`make up`: the whole of Podium on one machine.

PORT and PODIUM_HOST say where the site listens (default 127.0.0.1:8000).
"""

import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from config import embedded
from config.children import command_of
from config.supervisor import Supervised, Supervisor, catch_signals, process_ids, programs, say

MIN_FREE_BYTES = 1_000_000_000


class StartError(Exception):
    """Podium cannot start; the text says what to do about it."""


def up(host: str, port: int) -> None:
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    with only_supervisor(address):
        check_disk()
        stop_stale()
        check_port(host, port)
        say("starting the database and the broker")
        with embedded.services() as services:
            check_services(services.urls)
            say("bringing tables, demo and static files up to date")
            log_ins = prepare()
            welcome = _welcome(address, log_ins)
            supervisor = Supervisor([Supervised(program) for program in programs(address)], services, address, welcome)
            catch_signals(supervisor)
            try:
                supervisor.run()
            finally:
                supervisor.stop()
                if log_ins and not supervisor.has_greeted:
                    say(log_ins)  # nobody could find them out later
    say("stopped; everything is kept for the next `make up`")


@contextmanager
def only_supervisor(address: str) -> Iterator[None]:
    home = embedded.podium_home()
    home.mkdir(parents=True, exist_ok=True, mode=0o711)
    with open(home / "up.lock", "a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise StartError(f"Podium runs already: http://{lock.read().strip()}/ (data in {home}).") from None
        lock.truncate(0)
        lock.write(address)
        lock.flush()
        yield


def check_disk() -> None:
    home = embedded.podium_home()
    free = shutil.disk_usage(home).free
    if free < MIN_FREE_BYTES:
        raise StartError(
            f"Only {free / 1e9:.2f} GB free on the disk of {home}; Podium needs 1 GB to start. "
            "Make room, or set PODIUM_HOME to a folder on another disk."
        )


def check_port(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise StartError(
                f"Cannot listen on {host}:{port} ({error.strerror}). Take another one: PORT={port + 10} make up"
            ) from None


def check_services(urls: dict[str, str]) -> None:
    """A server that the environment names is not ours to start, but ours to name when it does not answer."""
    for variable, default_port in (("DATABASE_URL", 5432), ("REDIS_URL", 6379)):
        parts = urlsplit(urls[variable])
        where = (parts.hostname or "127.0.0.1", parts.port or default_port)
        try:
            socket.create_connection(where, timeout=5).close()
        except OSError as error:
            reason = error.strerror or error
            raise StartError(f"{where[0]}:{where[1]}, which {variable} names, does not answer ({reason}).") from None


def stop_stale() -> None:
    """Stop what outlived a killed supervisor, where children do not die with their parent (macOS)."""
    try:
        ids = json.loads(process_ids().read_text())
    except (OSError, ValueError):
        return
    for pid in ids:
        if "config.wsgi" in command_of(pid) or "config.celery" in command_of(pid):
            os.killpg(pid, signal.SIGKILL)


def prepare() -> str:
    """Migrate, seed, collect; returns what the demo has to say about log-ins."""
    command = [sys.executable, "-m", "config.prepare"]
    outcome = subprocess.run(command, cwd=embedded.ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if outcome.returncode:
        raise StartError("Preparing the database failed; the lines above say why.")
    return outcome.stdout.strip()


def _welcome(address: str, log_ins: str) -> str:
    shown = address.replace("0.0.0.0", "127.0.0.1").replace("[::]", "[::1]")  # noqa: S104
    if log_ins:
        people = f"Log-ins of the demo project, shown this once:\n{log_ins}"
    else:
        people = "Log-ins were shown at the first start. Forgotten? .venv/bin/python manage.py changepassword EMAIL"
    return f"""
Podium is up: http://{shown}/

{people}

First, as the labeler: open the demo project and rank the next task.
Then, as the manager: open its dashboard and run the whole loop.
Ctrl-C stops Podium and keeps everything; `make up` goes on from there.
"""


def _port(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise StartError(f"PORT={text} is no port; it is a number from 1 to 65535, for example PORT=8010 make up")
    return int(text)


def main() -> int:
    try:
        up(os.environ.get("PODIUM_HOST") or "127.0.0.1", _port(os.environ.get("PORT") or "8000"))
    except (StartError, embedded.EmbeddedError) as error:
        print(f"podium: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
