"""Child processes that end with their parent, and never run Postgres as root. Standard library alone."""

import ctypes
import os
import pwd
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


class NoUnprivilegedUserError(Exception):
    """We are root and found no way to run a server as somebody else."""


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Who a server runs as: `prefix` goes in front of its command, `uid` and `gid` are for Popen."""

    uid: int | None = None
    gid: int | None = None
    prefix: tuple[str, ...] = ()

    def own(self, folder: Path) -> None:
        """Hand `folder` with all in it over, where an earlier start ran it as somebody else."""
        uid, gid = (os.getuid() if self.uid is None else self.uid), (os.getgid() if self.gid is None else self.gid)
        if folder.stat().st_uid == uid:
            return
        for root, folders, files in os.walk(folder):
            for name in (*folders, *files):
                os.lchown(os.path.join(root, name), uid, gid)
        os.chown(folder, uid, gid)  # last, so that a hand-over cut short is begun again


def unprivileged(*, binary: Path, folder: Path) -> Identity:
    """The identity for a server that refuses to be root, e.g. Postgres, with `binary` and its data under `folder`."""
    if os.getuid() != 0:
        return Identity()
    nobody = pwd.getpwnam("nobody")
    candidates = []
    if _others_may_enter(folder):
        candidates.append(Identity(uid=nobody.pw_uid, gid=nobody.pw_gid))
    if sys.platform == "linux":  # a venv or checkout under /root: nobody cannot enter, root under another number can
        candidates.append(Identity(prefix=("unshare", "-U", f"--map-user={nobody.pw_uid}", "--")))
    for identity in candidates:
        if _can_run(identity, binary):
            return identity
    raise NoUnprivilegedUserError(
        f"Postgres does not run as root, and user 'nobody' cannot reach {binary} or {folder}, "
        "and this system refuses user namespaces. Run Podium as a normal user, put the checkout where everybody may "
        "enter (for example /opt/podium), or set DATABASE_URL to a Postgres of your own."
    )


def spawn(
    command: list[str],
    *,
    identity: Identity | None = None,
    death_signal: signal.Signals = signal.SIGTERM,
    stdin: int | None = subprocess.DEVNULL,
    stdout: int | IO[Any] | None = None,
    env: dict[str, str] | None = None,
    cwd: str | Path | None = None,
    new_session: bool = False,
) -> subprocess.Popen[bytes]:
    """Start a child that gets `death_signal` however this process ends (on Linux; elsewhere there are pid files)."""
    identity = identity or Identity()
    return subprocess.Popen(
        [*identity.prefix, *command],
        stdin=stdin,
        stdout=stdout,
        stderr=subprocess.STDOUT if stdout is not None else None,
        env=env,
        cwd=cwd,
        start_new_session=new_session,
        user=identity.uid,
        group=identity.gid,
        extra_groups=None if identity.uid is None else [],
        # Runs after setuid, which would clear the death signal. It only makes system calls, so threads are safe.
        preexec_fn=_die_with_parent(death_signal),  # noqa: PLW1509
    )


def stop(child: subprocess.Popen[bytes], *signals: tuple[signal.Signals, float]) -> int:
    """Send each signal in turn and wait its seconds; the last resort is SIGKILL."""
    for sig, seconds in signals:
        if child.poll() is not None:
            break
        child.send_signal(sig)
        try:
            return child.wait(seconds)
        except subprocess.TimeoutExpired:
            continue
    if child.poll() is None:
        child.kill()
    return child.wait()


def end_group_with(parent: int, *, grace: float = 5.0) -> None:
    """Once `parent` is not this process's parent any more, give it `grace` seconds to end by itself, then kill its
    group. For a child that leads its own group."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        time.sleep(grace)
        os.killpg(os.getpgid(0), signal.SIGKILL)

    threading.Thread(target=watch, name="end-with-parent", daemon=True).start()


def command_of(pid: int) -> str:
    """The command line of a living process; empty for one that is gone or a zombie."""
    if sys.platform == "linux":
        try:
            return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            return ""
    answer = subprocess.run(["ps", "-p", str(pid), "-o", "command="], capture_output=True, text=True, check=False)
    return "" if "<defunct>" in answer.stdout else answer.stdout


def _die_with_parent(sig: signal.Signals) -> Callable[[], None] | None:
    if _libc is None:
        return None
    parent, prctl = os.getpid(), _libc.prctl

    def before_exec() -> None:
        prctl(PR_SET_PDEATHSIG, int(sig), 0, 0, 0)
        if os.getppid() != parent:  # it ended between fork and prctl
            os._exit(1)

    return before_exec


def _others_may_enter(folder: Path) -> bool:
    folder = folder.resolve()
    return all(part.stat().st_mode & 0o001 for part in (folder, *folder.parents))


def _can_run(identity: Identity, binary: Path) -> bool:
    try:
        child = spawn([str(binary), "--version"], identity=identity, stdout=subprocess.DEVNULL, cwd="/")
    except OSError:
        return False
    return child.wait(10) == 0
