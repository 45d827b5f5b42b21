"""One embedded server (Postgres or Valkey) and the process that keeps it. Standard library alone.

    python -m config.keeper postgres FOLDER [--fresh]

A keeper runs one server as its child for as long as anybody uses it, starts it again when it dies, and stops it after
its last user. Who is who is told by three locks, which the kernel lets go of when a process ends, however it ends:

    FOLDER/lock       held by the keeper, so that there is one
    FOLDER/kept       held by the keeper once it has removed what an earlier one left; free means that nobody keeps this
                      server, whatever state.json says
    FOLDER/users      shared by every user; the keeper waits for it in vain until the last user is gone
    FOLDER/state.json address of the running server, removed before it is stopped
    FOLDER/data/      the server's files      FOLDER/password   mode 0600      FOLDER/server.log
"""

import fcntl
import json
import os
import secrets
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from config.children import NoUnprivilegedUserError
from config.servers import SERVERS, START_SECONDS, Server, ServerFailedError, first_number, write_private

LONGEST_PAUSE = 5.0  # between two tries to start a server that keeps dying


def keep(server: Server) -> None:
    """Start the server and keep it up until its last user is gone or somebody tells this process to end."""
    state = server.folder / "state.json"
    enough = threading.Event()
    for sig in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(sig, lambda *_: enough.set())
    server.stop_stale()
    server.prepare()
    _start_on_a_free_port(server)
    write_private(state, json.dumps({"url": server.url(), "port": server.port, "keeper": os.getpid()}))
    with open(server.folder / "users", "a") as users:
        threading.Thread(target=_wait_for_the_last_user, args=(users, state, enough), daemon=True).start()
        while not enough.wait(0.1):
            _revive(server, enough)
        state.unlink(missing_ok=True)
        server.stop()


@contextmanager
def only_keeper(folder: Path) -> Iterator[bool]:
    """Yield True with both locks of a keeper, or False when another one has brought the server up in the meantime."""
    with open(folder / "lock", "a") as lock:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:  # its holder starts, runs or stops the server
                if is_kept(folder) and (folder / "state.json").exists():
                    break
                time.sleep(0.05)
            else:
                (folder / "state.json").unlink(missing_ok=True)  # before anybody could believe it
                with open(folder / "kept", "a") as kept:
                    fcntl.flock(kept, fcntl.LOCK_EX)
                    yield True
                return
        yield False


def is_kept(folder: Path) -> bool:
    try:
        with open(folder / "kept") as kept:
            fcntl.flock(kept, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False


def _start_on_a_free_port(server: Server) -> None:
    """Whoever holds the address of an earlier keeper's server finds it there again, when the port is still free."""
    wanted = first_number(server.folder / "port") or 0
    for attempt in range(5):
        server.port = _free_port(wanted if attempt == 0 else 0)
        try:
            server.start()
        except ServerFailedError:
            server.stop()
            if attempt == 4 or not _is_taken(server.port):
                raise
        else:
            write_private(server.folder / "port", str(server.port))
            return


def _revive(server: Server, enough: threading.Event) -> None:
    """Start a dead server again, with growing pauses, for as long as it takes."""
    pause = 0.1
    while not enough.is_set() and server.child is not None and server.child.poll() is not None:
        print(f"{server.name} ended with {server.child.returncode}; starting it again", flush=True)
        try:
            server.start()
        except ServerFailedError as error:
            print(error, flush=True)
            server.stop()
            enough.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        else:
            print(f"{server.name} answers again", flush=True)


def _wait_for_the_last_user(users: IO[str], state: Path, enough: threading.Event) -> None:
    fcntl.flock(users, fcntl.LOCK_EX)
    state.unlink(missing_ok=True)  # while we hold it, so that a newcomer waits, finds no address, and starts a keeper
    fcntl.flock(users, fcntl.LOCK_UN)
    enough.set()


def _free_port(wanted: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _is_taken(port: int) -> bool:
    return _free_port(port) != port


def _throw_away(folder: Path) -> None:
    """Remove the server's folder, and PODIUM_HOME too after the last server: its maker may have been killed."""
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.parent.rmdir()
    except OSError:  # the other server's keeper will do it
        return
    shutil.rmtree(folder.parent.parent, ignore_errors=True)


def _password(folder: Path) -> str:
    path = folder / "password"
    if not path.exists():
        write_private(path, secrets.token_urlsafe(24))
    return path.read_text()


def main(name: str, folder: Path, *, fresh: bool) -> int:
    with only_keeper(folder) as alone:
        if not alone:
            return 0
        server = SERVERS[name](folder=folder, fresh=fresh, password=_password(folder))
        try:
            keep(server)
        except (ServerFailedError, NoUnprivilegedUserError) as error:
            server.stop()
            print(error, flush=True)
            return 1
        if fresh:
            _throw_away(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2]), fresh="--fresh" in sys.argv[3:]))
