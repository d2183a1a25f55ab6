"""The files of runs: written such that nobody ever reads half of one, and the newest run found."""

import contextlib
import os
from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` such that a reader, or a crash, never meets half of it.

    Raises:
        OSError: if it cannot be written; ``path`` is then as it was.
    """
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with unfinished.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def point_to_newest(results: Path, run: Path) -> None:
    """Have ``latest`` in ``results`` point to the folder ``run``; where there are no links, there is none."""
    latest = results / f".latest-{os.getpid()}"
    with contextlib.suppress(OSError, NotImplementedError):  # exFAT, some network folders, Windows: no links
        latest.symlink_to(run.name)
        latest.replace(results / "latest")


def newest_run(results: Path) -> Path | None:
    """Return the folder of the newest run in ``results``: where ``latest`` points, else the last by name, a time."""
    if (results / "latest").exists():
        return (results / "latest").resolve()
    runs = [path for path in results.glob("[0-9]*T*") if (path / "environment.json").exists()]
    return max(runs, default=None, key=lambda path: path.name)
