"""What this process may use of the machine."""

import os
import subprocess
import sys
from types import SimpleNamespace

import psutil
import pytest

from emseg_napari.core import machine


@pytest.fixture
def groups(tmp_path, monkeypatch):
    """A machine of 8 processors and 64 kB; returns what writes the files of control groups."""
    monkeypatch.setattr(machine, "_GROUPS", tmp_path / "groups")
    monkeypatch.setattr(machine, "_OWN", tmp_path / "own")
    monkeypatch.setattr(psutil.Process, "cpu_affinity", lambda self: list(range(8)), raising=False)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=64_000))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)

    def write(own: str, files: dict[str, str]) -> None:
        (tmp_path / "own").write_text(own)
        for name, text in files.items():
            path = tmp_path / "groups" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    return write


V1 = "9:name=systemd:/\n4:memory:/docker/abc\n2:cpu,cpuacct:/docker/abc\n0::/\n"
V2 = "0::/user/job\n"


@pytest.mark.parametrize(
    ("own", "files", "count"),
    [
        pytest.param("", {}, 8, id="no groups"),
        pytest.param(V2, {"user/job/cpu.max": "max 100000\n"}, 8, id="2: no limit"),
        pytest.param(V2, {"user/job/cpu.max": "250000 100000\n"}, 3, id="2: two and a half"),
        pytest.param(
            V2, {"user/job/cpu.max": "max 100000", "user/cpu.max": "50000 100000"}, 1, id="2: around"
        ),
        pytest.param("0::/\n", {"cpu.max": "200000 100000"}, 2, id="2: a container's own root"),
        pytest.param(
            V1, {"cpu/docker/abc/cpu.cfs_quota_us": "-1", "cpu/docker/abc/cpu.cfs_period_us": "100000"}, 8
        ),
        pytest.param(V1, {"cpu/cpu.cfs_quota_us": "400000", "cpu/cpu.cfs_period_us": "100000"}, 4, id="1"),
        pytest.param(
            V1,
            {"cpu,cpuacct/docker/abc/cpu.cfs_quota_us": "10000"}
            | {"cpu,cpuacct/docker/abc/cpu.cfs_period_us": "100000"},
            1,
            id="1: a tenth",
        ),
    ],
)
def test_a_quota_of_a_container_limits_the_processors(groups, own, files, count):
    groups(own, files)
    assert machine.processors() == count


@pytest.mark.parametrize(
    ("own", "files", "free"),
    [
        pytest.param("", {}, 64_000, id="no groups"),
        pytest.param(V2, {"memory.max": "max", "memory.current": "9"}, 64_000, id="2: no limit"),
        pytest.param(V2, {"user/memory.max": "8000", "user/memory.current": "3000"}, 5000, id="2"),
        pytest.param(
            V1,
            {
                "memory/docker/abc/memory.limit_in_bytes": "8000",
                "memory/docker/abc/memory.usage_in_bytes": "6000",
            }
            | {"memory/docker/abc/memory.stat": "cache 4\ninactive_file 2\ntotal_inactive_file 1500\n"},
            3500,
            id="1: files that may be dropped are free",
        ),
        pytest.param(V2, {"memory.max": "10", "memory.current": "12"}, 0, id="more than allowed"),
    ],
)
def test_a_limit_of_a_container_limits_the_memory(groups, own, files, free):
    groups(own, files)
    assert machine.free_memory() == free


@pytest.mark.parametrize(
    ("said", "count"), [("3", 3), ("2,4", 2), ("auto", 8), ("", 8), ("0", 8), ("-1", 8), ("²", 8)]
)
def test_threads_are_as_many_as_the_environment_says_if_it_says_a_number(groups, monkeypatch, said, count):
    monkeypatch.setenv("OMP_NUM_THREADS", said)
    assert machine.threads() == count
    assert machine.threads(5) == 5


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs affinity")
def test_affinity_limits_the_processors():
    one = sorted(os.sched_getaffinity(0))[:1]
    program = f"import os; os.sched_setaffinity(0, {one}); from emseg_napari.core import machine\n"
    done = subprocess.run(
        [sys.executable, "-c", program + "print(machine.processors())"], capture_output=True
    )
    assert done.stdout.split() == [b"1"]
