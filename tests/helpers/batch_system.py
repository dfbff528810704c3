"""A stand-in for Slurm: jobs are processes of this machine, which tests may kill."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

# Starts the script as a session of its own, whose number is the job's.
_SBATCH = """#!{python}
import pathlib, subprocess, sys, time
jobs = pathlib.Path({jobs!r})
script = jobs / f"{{time.time_ns()}}.sh"
script.write_text(pathlib.Path(sys.argv[1]).read_text())
with open({log!r}, "ab") as log:
    job = subprocess.Popen(
        ["bash", script], start_new_session=True, stdin=subprocess.DEVNULL, stdout=log, stderr=log
    )
script.with_suffix(".job").write_text(str(job.pid))
print("Submitted batch job", job.pid)
"""
_SCANCEL = """#!{python}
import os, signal, sys
try:
    os.killpg(int(sys.argv[1]), signal.SIGKILL)
except ProcessLookupError:
    sys.exit("Invalid job id specified")
"""
_REFUSING = """#!/bin/sh
n=1
while ! mkdir "$0-$n" 2>/dev/null; do n=$((n + 1)); done
case " {refused} " in *" $n "* | " all ")
    echo "sbatch: error: invalid partition specified: nowhere" >&2
    exit 1
esac
exec "$0-real" "$@"
"""


@contextmanager
def without_dask_settings(folder: Path) -> Iterator[None]:
    """Let Dask's settings be as they are where nobody has changed them; what it writes goes to a folder."""
    import dask

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dask.config, "PATH", str(folder))  # of a template, at the first import of the next
        import dask_jobqueue.config

        dask.config.refresh(paths=[], env={})
        dask_jobqueue.config.reconfigure()
        yield
    dask.config.refresh()


class BatchSystem:
    """Commands `sbatch` and `scancel` in a folder of their own, and the jobs that they started."""

    def __init__(self, folder: Path) -> None:
        self.commands, self._jobs, self.log = folder / "commands", folder / "jobs", folder / "log"
        self.commands.mkdir()
        self._jobs.mkdir()
        words = {"python": sys.executable, "jobs": str(self._jobs), "log": str(self.log)}
        self._write("sbatch", _SBATCH.format(**words))
        self._write("scancel", _SCANCEL.format(**words))

    def refuse_jobs(self, *numbers: int) -> None:
        """Refuse some submissions, 1 being the first; all if none are given."""
        (self.commands / "sbatch").rename(self.commands / "sbatch-real")
        self._write("sbatch", _REFUSING.format(refused=" ".join(map(str, numbers)) or "all"))

    def jobs(self) -> list[int]:
        """The numbers of all jobs so far, in their order."""
        started = sorted(self._jobs.glob("*.job"), key=lambda path: int(path.stem))
        return [int(path.read_text()) for path in started]

    def script(self) -> str:
        """The script of the first job."""
        return min(self._jobs.glob("*.sh")).read_text()

    def kill(self, job: int) -> None:
        with suppress(ProcessLookupError):
            os.killpg(job, signal.SIGKILL)

    def running(self) -> list[int]:
        return [job for job in self.jobs() if _is_alive(job)]

    def _write(self, name: str, text: str) -> None:
        path = self.commands / name
        path.write_text(text)
        path.chmod(0o755)


def _is_alive(group: int) -> bool:
    """Say whether a process of the job works; those that have ended and wait for their parent do not."""
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _, its_group = status.read_text().rpartition(")")[2].split()[:3]
            if int(its_group) == group and state != "Z":
                return True
    return False
