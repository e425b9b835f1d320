"""One virtual screen with one Blender on it, inside the throw-away root; everything ends with it."""

import json
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
DISPLAY = ":77"
WIDTH, HEIGHT = 1600, 1000

# Mounts and processes live in namespaces of their own: they end with the first process, whatever happens.
_INSIDE = r"""
set -eu
root=$1 exchange=$2
shift 2
mkdir -p "$root/exchange" "$root/dev/shm"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/dev/shm"
mount --bind "$exchange" "$root/exchange"
for place in "$@"; do
    mkdir -p "$root$place"
    mount --bind "$place" "$root$place"
    mount -o remount,bind,ro "$root$place"
done
exec chroot "$root" /usr/bin/env -i PATH=/usr/bin:/bin HOME=/exchange/home LANG=C.UTF-8 DISPLAY="$DISPLAY" \
    LIBGL_ALWAYS_SOFTWARE=1 LP_NUM_THREADS=2 OMP_NUM_THREADS=2 PAMIR_GUI_SOCKET=/exchange/socket \
    /bin/sh -c "$COMMAND"
"""
_COMMAND = """
rm -f /tmp/.X{n}-lock /tmp/.X11-unix/X{n}
Xvfb {display} -screen 0 {width}x{height}x24 -nolisten tcp &
tries=0
until xdotool getdisplaygeometry 2>/dev/null; do
    tries=$((tries + 1)); [ $tries -lt 100 ] || exit 3; sleep 0.1
done
blender --factory-startup --window-geometry 0 0 {width} {height} --python-exit-code 7 \\
    --python /exchange/side_channel.py
"""


class BlenderError(AssertionError):
    """Blender ended, does not answer, or what was asked of it raised."""


class Session:
    """Blender in a window. ``exchange`` is a folder that both sides see, Blender as ``/exchange``."""

    def __init__(self, root: Path, exchange: Path, visible: list[Path]) -> None:
        """Start it; ``visible`` are folders that Blender sees, read-only, under their own paths."""
        self.root, self.exchange = root.resolve(), exchange
        (exchange / "home").mkdir()
        shutil.copy(HERE / "side_channel.py", exchange)
        self.log = exchange / "blender.log"
        command = _COMMAND.format(display=DISPLAY, n=DISPLAY[1:], width=WIDTH, height=HEIGHT)
        # Killing this process kills unshare, and that what it started.
        apart = "setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child --propagation private"
        self._process = subprocess.Popen(
            [*apart.split(), "bash", "-c", _INSIDE, "-", str(self.root), str(exchange), *map(str, visible)],
            env=os.environ | {"DISPLAY": DISPLAY, "COMMAND": command},
            stdin=subprocess.DEVNULL,
            stdout=self.log.open("w"),
            stderr=subprocess.STDOUT,
        )

    def ask(self, source: str, seconds: float = 60) -> object:
        """Run Python in Blender's event loop and return what it assigned to ``value``."""
        if self._process.poll() is not None:
            raise BlenderError(f"Blender ended with {self._process.returncode}:\n{self.tail()}")
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(seconds)
            try:
                connection.connect(str(self.exchange / "socket"))
                connection.sendall(source.encode())
                connection.shutdown(socket.SHUT_WR)
                answer = json.loads(connection.makefile("r", encoding="utf-8").read() or "{}")
            except (OSError, ValueError) as error:
                raise BlenderError(f"no answer from Blender: {error}\n{self.tail()}") from error
        if "value" not in answer:
            raise BlenderError(answer.get("error", "no answer from Blender"))
        return answer["value"]

    def get(self, expression: str) -> object:
        """The value of one Python expression in Blender."""
        return self.ask(f"value = {expression}")

    def wait_for(self, expression: str, seconds: float = 60) -> object:
        """Ask until the expression is true; the limit only tells a hang from work."""
        deadline = time.monotonic() + seconds
        while True:
            value = self.get(expression)
            if value:
                return value
            if time.monotonic() > deadline:
                raise BlenderError(f"still not true: {expression}\n{self.tail()}")
            time.sleep(0.1)

    def settle(self) -> None:
        """Let Blender's event loop turn until what the mouse and keyboard did so far has been handled."""
        for _ in range(3):
            self.get("True")

    def wait_ready(self, seconds: float = 120) -> None:
        """Wait until Blender has drawn its window."""
        deadline = time.monotonic() + seconds
        while not (self.exchange / "socket").exists():
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise BlenderError(f"Blender did not start:\n{self.tail()}")
            time.sleep(0.1)
        self.wait_for("draws > 0")

    def run(self, *command: str) -> bytes:
        """Run a program of the root on the same screen, e.g. xdotool; returns its standard output."""
        done = subprocess.run(
            ["chroot", str(self.root), "/usr/bin/env", f"DISPLAY={DISPLAY}", "PATH=/usr/bin:/bin", *command],
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.stderr.decode()}"
        return done.stdout

    def workers(self) -> list[int]:
        """Ids of the worker processes that run inside the root."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and (entry / "root").readlink() == self.root:
                    command = (entry / "cmdline").read_bytes()
                    if b"pamir_blender/worker/launch.py" in command:
                        found.append(int(entry.name))
            except OSError:
                continue  # it has just ended
        return found

    def tail(self) -> str:
        """The end of what Blender printed."""
        return self.log.read_text(errors="replace")[-3000:]

    def close(self) -> None:
        """End Blender, the screen and all that they started."""
        self._process.kill()  # unshare heeds no milder signal
        self._process.wait()
