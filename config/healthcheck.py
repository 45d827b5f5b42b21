"""Whether this container does its work: exit status 0 or 1.

python -m config.healthcheck web | beat | default | gpu
"""

import http.client
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

BEAT_SECONDS = 300  # beat writes its schedule every three minutes


def web() -> bool:
    """Any answer that is not the server's own failure: a redirect to TLS and a refused name are answers too."""
    connection = http.client.HTTPConnection("127.0.0.1", int(os.environ.get("PORT") or 8000), timeout=4)
    try:
        connection.request("GET", "/accounts/login/", headers={"X-Forwarded-Proto": "https", "Host": _host()})
        return connection.getresponse().status < 500
    except OSError:
        return False


def beat() -> bool:
    files = Path(os.environ["PODIUM_HOME"]).glob("beat-schedule*")
    return any(time.time() - file.stat().st_mtime < BEAT_SECONDS for file in files)


def worker(queue: str) -> bool:
    name = f"{queue}@{socket.gethostname()}"
    command = [sys.executable, "-m", "celery", "-A", "config.celery:app", "inspect", "ping", "-d", name, "-t", "10"]
    return subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode == 0


def _host() -> str:
    """A name that the site answers to, so that it really renders the page."""
    return os.environ.get("PODIUM_ALLOWED_HOSTS", "localhost").split(",")[0].lstrip(".*") or "localhost"


def main(what: str) -> int:
    if what == "web":
        return 0 if web() else 1
    return 0 if (beat() if what == "beat" else worker(what)) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
