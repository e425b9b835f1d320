"""Full and read-only disks for one process: real ones, mounted where nobody else sees them.

``run`` starts a script in a mount namespace of its own (Linux: as root, or where users may make namespaces),
with tiny or read-only file systems over folders of the test's. Elsewhere :data:`needs_mounts` skips the test
and says why.
"""

import functools
import shlex
import shutil
import subprocess
import sys
import tempfile

import pytest

_ENTER = ("unshare", "--mount", "--propagation", "private")
_ENTER_AS_USER = (*_ENTER, "--user", "--map-root-user")


@functools.cache
def _enter():
    """The command that enters a namespace in which a tmpfs can be mounted; empty if there is none."""
    if not sys.platform.startswith("linux") or shutil.which("unshare") is None:
        return ()
    with tempfile.TemporaryDirectory() as folder:
        for command in (_ENTER, _ENTER_AS_USER):
            mount = f"mount -t tmpfs -o size=64k tmpfs {shlex.quote(folder)}"
            if (
                subprocess.run([*command, "sh", "-c", mount], capture_output=True, check=False).returncode
                == 0
            ):
                return command
    return ()


needs_mounts = pytest.mark.skipif(
    not _enter(),
    reason="no private mount namespace can be made here (Linux, as root or with user namespaces)",
)


def prelude(*, tiny=(), size="1m", read_only=(), writable=()):
    """Shell commands that mount a tmpfs of ``size`` on each folder of ``tiny``, and lock ``read_only`` ones.

    ``writable`` folders below a read-only one are opened again.
    """
    quote = shlex.quote
    lines = ["set -e"]
    lines += [f"mount -t tmpfs -o size={size} tmpfs {quote(str(folder))}" for folder in tiny]
    for folder in writable:
        lines.append(f"mount --bind {quote(str(folder))} {quote(str(folder))}")
    for folder in read_only:
        lines.append(f"mount --bind {quote(str(folder))} {quote(str(folder))}")
        lines.append(f"mount -o remount,bind,ro {quote(str(folder))}")
    for folder in writable:
        lines.append(f"mount --bind {quote(str(folder))} {quote(str(folder))}")
    return "\n".join(lines)


def shell_wrapper(path, program, **mounts):
    """An executable that enters the namespace and becomes ``program``; to stand in for a worker's Python."""
    inner = prelude(**mounts) + f'\nexec {shlex.quote(str(program))} "$@"'
    path.write_text(f'#!/bin/sh\nexec {shlex.join(_enter())} sh -c {shlex.quote(inner)} sh "$@"\n')
    path.chmod(0o755)
    return path


def run(script, *arguments, python=sys.executable, timeout=120, env=None, **mounts):
    """Run the Python ``script`` (its text) in the namespace; returns the finished process, output as text."""
    inner = prelude(**mounts) + '\nexec "$@"'
    command = [*_enter(), "sh", "-c", inner, "sh", str(python), "-c", script, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout, env=env)
