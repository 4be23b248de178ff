"""Tells whether another user of the machine could change a file before it is loaded as code."""

from __future__ import annotations

import os
import stat
from pathlib import Path

_ACCESS_LIST = "system.posix_acl_access"


def find_exposure(path: Path) -> str | None:
    """What lets another user change a file or the folder that holds it; None: nothing does.

    File and folder must be this user's own and writable by nobody else. Whoever can write a
    folder above them could exchange them: so each of those is this user's or root's, and is
    writable by nobody else or keeps everyone's entries apart, as ``/tmp`` does. A group that
    holds this user alone, as many systems give to each user, counts as nobody else.

    Args:
        path: A file, or a folder that files will be put into; absolute, without symbolic links.

    Returns:
        A clause that names the first entry that is exposed, and why.
    """
    if not hasattr(os, "geteuid"):  # Windows keeps a user's cache from others by itself
        return None
    own = os.geteuid()
    inner = (path,) if path.is_dir() else (path, path.parent)
    for entry in inner:
        if found := _look_at(entry, {own}, sticky_is_safe=False):
            return found
    for entry in inner[-1].parents:
        if found := _look_at(entry, {own, 0}, sticky_is_safe=True):
            return found
    return None


def _look_at(entry: Path, owners: set[int], *, sticky_is_safe: bool) -> str | None:
    found = entry.lstat()
    if stat.S_ISLNK(found.st_mode):
        return f"{entry} is a symbolic link"
    if found.st_uid not in owners:
        return f"{entry} belongs to the user {_name_user(found.st_uid)}"
    if sticky_is_safe and found.st_mode & stat.S_ISVTX:
        return None
    by_group = found.st_mode & stat.S_IWGRP and not _holds_this_user_alone(found.st_gid, entry)
    if by_group or found.st_mode & stat.S_IWOTH:
        return f"other users can write {entry}"
    return None


def _holds_this_user_alone(group: int, entry: Path) -> bool:
    import grp
    import pwd

    if hasattr(os, "listxattr") and _ACCESS_LIST in os.listxattr(entry, follow_symlinks=False):
        return False  # then the group's bits stand for everyone whom the list names
    try:
        user, members = pwd.getpwuid(os.geteuid()), grp.getgrgid(group)
    except KeyError:
        return False
    private = members.gr_name == user.pw_name and user.pw_gid == group
    return private and set(members.gr_mem) <= {user.pw_name}


def _name_user(number: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
