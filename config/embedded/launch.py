"""Become another program: `launch.py [--die-with PID] [--signal NUMBER] [--unprivileged] PROGRAM [ARGUMENT]...`

Run as a file, with the standard library alone, because it stands between a parent and every process that it starts.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

CLONE_NEWUSER = 0x10000000
PR_SET_PDEATHSIG = 1
INNER_ID = 1000


def leave_root() -> None:
    """Enter a user namespace in which root's files belong to an ordinary user, who is who we then are.

    It adds no user to the system and changes the owner or mode of no file; PostgreSQL, which refuses to run as root,
    runs in it on folders that stay root's.
    """
    outer_user, outer_group = os.geteuid(), os.getegid()
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "unshare") or libc.unshare(CLONE_NEWUSER) != 0:
        raise SystemExit(
            "PostgreSQL does not run as root, and this system lets no program enter a user namespace "
            f"({os.strerror(ctypes.get_errno())}). Run Plumbline as an ordinary user, or set DATABASE_URL to a "
            "PostgreSQL server."
        )
    for name, line in (
        ("setgroups", "deny"),
        ("uid_map", f"{INNER_ID} {outer_user} 1"),
        ("gid_map", f"{INNER_ID} {outer_group} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(line)


def die_with(parent: int, sent: int = signal.SIGINT) -> None:
    """Have the kernel send this process a signal when `parent` is gone, however it went (nothing happens off Linux)."""
    if sys.platform != "linux":
        return
    # After leave_root(): entering a user namespace forgets the request.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, sent)
    if os.getppid() != parent:
        raise SystemExit(f"the process that started this one ({parent}) is gone")


def main(arguments: list[str]) -> None:
    parent, sent, unprivileged = 0, int(signal.SIGINT), False
    while arguments and arguments[0].startswith("--"):
        match arguments.pop(0):
            case "--die-with":
                parent = int(arguments.pop(0))
            case "--signal":
                sent = int(arguments.pop(0))
            case "--unprivileged":
                unprivileged = True
            case unknown:
                raise SystemExit(f"launch.py: unknown option {unknown!r}")
    if unprivileged and os.geteuid() == 0:
        leave_root()
    if parent:
        die_with(parent, sent)
    os.execvp(arguments[0], arguments)  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1:])
