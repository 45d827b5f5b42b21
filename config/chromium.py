"""The browser for the browser tests: one that is there, or Debian's. Prints where it is."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MAC_APPLICATIONS = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)


def find() -> str | None:
    """The browser that PODIUM_CHROMIUM names, or the first one found."""
    if named := os.environ.get("PODIUM_CHROMIUM"):
        return named
    found = (shutil.which(name) for name in NAMES)
    return next((path for path in (*found, *MAC_APPLICATIONS) if path and Path(path).exists()), None)


def install() -> None:
    """With apt where we may; the tests say clearly what is missing where we may not."""
    apt_get = shutil.which("apt-get")
    sudo = [] if os.getuid() == 0 else ["sudo", "-n"]
    if apt_get is None or (sudo and shutil.which("sudo") is None):
        return
    print("podium: installing chromium for the browser tests", file=sys.stderr)
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    subprocess.run([*sudo, apt_get, "update", "-qq"], env=env, check=False, stdout=subprocess.DEVNULL)
    subprocess.run(
        [*sudo, apt_get, "install", "-y", "-qq", "chromium"], env=env, check=False, stdout=subprocess.DEVNULL
    )


def main() -> int:
    if find() is None:
        install()
    if find() is None:
        print(
            "podium: the browser tests need Chromium or Chrome. Install one (Debian: apt install chromium; "
            "macOS: brew install --cask chromium) or name one: PODIUM_CHROMIUM=/path/to/chrome make test",
            file=sys.stderr,
        )
        return 1
    print(find())
    return 0


if __name__ == "__main__":
    sys.exit(main())
