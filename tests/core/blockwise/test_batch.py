"""Workers that are jobs of a batch system: its commands are stand-ins that start and end processes."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile

from emseg_napari.core.blockwise import (
    BATCH_SYSTEMS,
    Scheduler,
    batch,
    batch_job,
    certificate,
    dask_client,
    dask_runner,
    job_plan,
    job_script,
    run_blocks,
)
from emseg_napari.core.blockwise.certificate import certificate_folder
from emseg_napari.core.files import is_temporary
from emseg_napari.core.jobs import Event, JobContext, Message, UserError
from emseg_napari.inference import plan
from emseg_napari.inference.volume import VolumeTask, predict_volume
from emseg_napari.io.open import open_volume
from emseg_napari.models.starter import STARTER
from emseg_napari.settings import PredictionSettings
from helpers.batch_system import BatchSystem, without_dask_settings
from helpers.block_work import Writing, after, cubes, written
from helpers.environments import other_numpy
from helpers.paths import CHECKOUT
from helpers.thread_workers import thread_workers
from helpers.timing import PATIENCE_S, wait_until


@pytest.fixture(autouse=True)
def settings(tmp_path, monkeypatch) -> Iterator[None]:
    """A home of the test's own, without settings of Dask, and schedulers that may take their time."""
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(dask_client, "SECONDS_TO_CONNECT", PATIENCE_S)
    with without_dask_settings(tmp_path):
        yield


@pytest.fixture
def slurm(tmp_path, monkeypatch) -> Iterator[BatchSystem]:
    import dask

    (tmp_path / "slurm").mkdir()
    found = BatchSystem(tmp_path / "slurm")
    monkeypatch.setenv("PATH", f"{found.commands}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, (CHECKOUT / "tests", CHECKOUT))))
    options = {"jobqueue.slurm.interface": "lo", "distributed.deploy.lost-worker-timeout": "100ms"}
    with dask.config.set(
        options | {"jobqueue.slurm.scheduler-options": {"dashboard_address": "127.0.0.1:0"}}
    ):
        yield found
    for job in found.running():
        found.kill(job)


@pytest.fixture
def output(tmp_path) -> Path:
    (tmp_path / "output").mkdir()
    return tmp_path / "output"


def script_of(*asked: object) -> str:
    plan_of_jobs = Scheduler(*asked).plan
    assert plan_of_jobs
    return job_script(plan_of_jobs)


def test_a_job_is_one_worker_of_one_core_and_connects_by_tls():
    lines = script_of("slurm", 8, "3GiB", "04:00:00").splitlines()
    assert lines[0] == "#!/usr/bin/env bash"
    for line in ("-n 1", "--cpus-per-task=1", "--mem=3G", "-t 04:00:00"):
        assert f"#SBATCH {line}" in lines
    command = lines[-1]
    assert command.startswith(f"{sys.executable} -m distributed.cli.dask_worker tls://HOST:PORT ")
    for words in ("--nthreads 1", "--memory-limit 3.00GiB", "--protocol tls://", "--tls-key FOLDER/key.pem"):
        assert words in command
    assert "--nworkers" not in command


def test_dask_settings_of_the_user_count_where_no_option_is_given():
    import dask

    user = {
        "queue": "normal",
        "cores": 4,
        "walltime": "01:00:00",
        "job-script-prologue": ["module load emseg"],
    }
    with dask.config.set({f"jobqueue.slurm.{name}": value for name, value in user.items()}):
        script = script_of("slurm", 8)
        later = script_of("slurm", 8, None, "02:00:00")
    for line in (
        "#SBATCH -p normal",
        "#SBATCH --cpus-per-task=4",
        "#SBATCH -t 01:00:00",
        "module load emseg",
    ):
        assert line in script.splitlines()
    assert "#SBATCH --mem=8G" in script  # 2 GiB for each of four workers
    assert "--nworkers 4" in script
    assert "#SBATCH -t 02:00:00" in later


@pytest.mark.parametrize(
    ("text", "asked"), [("2G", "2G"), ("3 GiB", "3G"), ("1GB", "954M"), ("1.5G", "2G"), ("2048M", "2G")]
)
def test_memory_is_read_in_the_spellings_of_dask_and_of_slurm(text, asked):
    assert f"#SBATCH --mem={asked}" in script_of("slurm", 8, text).splitlines()


@pytest.mark.parametrize("memory", [16_000_000_000, "16 gb", "16e9", "16GB"])
def test_memory_in_the_settings_is_read_as_dask_reads_it(memory):
    import dask

    with dask.config.set({"jobqueue.slurm.memory": memory}):
        assert "#SBATCH --mem=15G" in script_of("slurm", 2)


def test_a_walltime_in_the_settings_does_not_count_beside_the_option():
    import dask

    with dask.config.set({"jobqueue.slurm.walltime": 43200}):
        assert "#SBATCH -t 01:00:00" in script_of("slurm", 2, None, "01:00:00")


@pytest.mark.parametrize(
    ("setting", "value", "sentence"),
    [
        ("memory", "much", "'much' is not an amount of memory"),
        ("memory", 2, "2 for 2 workers is too little memory"),
        ("memory", "1GB", "1GB for 2 workers is too little memory"),
        ("walltime", "tomorrow", "'tomorrow' is not a walltime"),
        ("walltime", 43200, "43200 is not a walltime; .* in quotes"),  # 12:00:00 without quotes
        ("cores", "many", "'many' is not a whole number"),
    ],
)
def test_settings_of_dask_that_cannot_be_used_are_a_sentence(setting, value, sentence):
    import dask

    with (
        dask.config.set({"jobqueue.slurm.cores": 2, f"jobqueue.slurm.{setting}": value}),
        pytest.raises(
            UserError, match=rf"'{setting}' of slurm in Dask's settings .*jobqueue.yaml.: {sentence}"
        ),
    ):
        script_of("slurm", 2)


def test_workers_are_rounded_up_to_whole_jobs():
    import dask

    with dask.config.set({"jobqueue.slurm.cores": 3}):
        asked = Scheduler("slurm", 4).plan
        assert asked
        assert (asked.jobs, asked.processes) == (2, 3)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("jobqueue:\n  slurm:\n\tcores: 2\n", r"line 3: found character .* that cannot start any token"),
        ("jobqueue: [a\nslurm: 3\n", "line 2: expected"),
        ("cores", "config files must have a dict"),
    ],
)
def test_a_file_of_settings_that_cannot_be_read_is_named_with_its_line(tmp_path, text, reason):
    import dask

    file = tmp_path / "jobqueue.yaml"
    file.write_text(text)
    sentence = (
        rf"{re.escape(str(file))}, a file of Dask's settings, cannot be read \({reason}.*correct it there"
    )
    with pytest.raises(UserError, match=sentence), dask_client.imported():
        dask.config.collect(paths=[str(file)], env={})


def test_importing_dask_jobqueue_takes_no_signal(tmp_path):
    code = (
        "import signal; from emseg_napari.core.blockwise.dask_client import imported\n"
        "with imported(): import dask_jobqueue\n"
        "assert signal.getsignal(signal.SIGINT) is signal.default_int_handler\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("system", [name for name in BATCH_SYSTEMS if name != "htcondor"])
def test_every_batch_system_has_its_job(system):
    script = script_of(system, 2, "2GiB", "04:00")
    assert "04:00" in script
    assert "tls://HOST:PORT" in script


def test_what_dask_jobqueue_warns_of_does_not_reach_the_terminal(recwarn):
    assert "#OAR -l /nodes=1/core=1" in script_of("oar", 2)
    assert not list(recwarn)


def test_what_a_batch_system_does_not_have_is_a_sentence():
    with pytest.raises(UserError, match=r"no such jobs of htcondor .*disk.*jobqueue.yaml"):
        script_of("htcondor", 2)
    with pytest.raises(UserError, match=r"no such jobs of htcondor .*walltime"):
        script_of("htcondor", 2, None, "04:00:00")


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (("slurm",), "'slurm' needs a number of workers"),
        (("slurm", 2, "much"), "'much' is not an amount of memory"),
        (("slurm", 2, "3"), "'3' is not an amount of memory"),
        (("slurm", 2, "900MB"), "900MB is too little memory: a block takes up to 0.7 GiB"),
        (("slurm", 2, None, "all night"), "'all night' is not a walltime"),
        (("slurm", 2, None, "00:00:00"), "'00:00:00' is not a walltime"),
        (("slurm", 5000), "5000 workers cannot be started"),
        (("local", 2, "2GiB"), "go with a batch system only"),
        ((None, None, None, "1:00"), "go with a batch system only"),
        (("tcp://127.0.0.1:1", 2), "goes with the scheduler 'local' or a batch system only"),
        (("slurmm", None), "'slurmm' is not a scheduler; write 'local', a batch system .slurm, pbs"),
    ],
)
def test_what_cannot_be_asked_for_is_a_sentence(asked, sentence):
    with pytest.raises(UserError, match=sentence):
        Scheduler(*asked)


def test_jobs_killed_by_the_batch_system_are_replaced_and_the_bytes_are_the_same(
    slurm, tmp_path, monkeypatch
):
    monkeypatch.setattr(plan, "_CHUNK_PX", 32)
    monkeypatch.setattr(plan, "_BLOCK_PX", 64)
    image = np.random.default_rng(0).integers(0, 255, (2, 140, 96), np.uint8)
    tifffile.imwrite(tmp_path / "image.tif", image, photometric="minisblack")
    report = after(3, [], lambda: slurm.kill(slurm.jobs()[0]))
    for name, scheduler in (("here", Scheduler()), ("there", Scheduler("slurm", 1))):
        (tmp_path / name).mkdir()
        task = VolumeTask(
            tmp_path / name / "out.zarr",
            PredictionSettings(orientations=1, close_gaps=False),
            scheduler=scheduler,
        )
        context = JobContext(report) if name == "there" else None
        assert predict_volume(open_volume(tmp_path / "image.tif"), STARTER, task, context).done == 12
    assert contents(tmp_path / "here") == contents(tmp_path / "there")
    assert len(slurm.jobs()) == 2
    wait_until(lambda: not slurm.running())
    assert list((tmp_path / "home").glob(".emseg-*")) == []  # the certificate is gone


def test_a_job_of_several_workers_that_ends_is_replaced(slurm, output):
    import dask

    events: list[Event] = []
    report = after(6, events, lambda: slurm.kill(slurm.jobs()[0]))
    with dask.config.set({"jobqueue.slurm.cores": 2}):
        assert run_blocks(Writing(output, 0.1), cubes(30), Scheduler("slurm", 2), JobContext(report)) == []
    assert written(output) == list(range(30))
    assert len(slurm.jobs()) == 2


def test_a_job_with_another_environment_is_named(slurm, output, tmp_path):
    import dask

    folder = other_numpy(tmp_path / "environment")
    prologue = [f'export PYTHONPATH="{folder}:$PYTHONPATH"']
    with (
        dask.config.set({"jobqueue.slurm.job-script-prologue": prologue}),
        pytest.raises(UserError, match=r"The worker tls://127.0.0.1:\d+ has numpy 1.2.3, but"),
    ):
        run_blocks(Writing(output), cubes(4), Scheduler("slurm", 1))
    assert written(output) == []


def contents(folder: Path) -> dict[str, bytes]:
    """All files but those of which a killed worker had written a part, which nothing reads."""
    files = [path for path in folder.rglob("*") if path.is_file() and not is_temporary(path.name)]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_the_connection_of_jobs_is_encrypted_and_needs_the_certificate(slurm, output):
    from distributed import Security

    strangers: list[str] = []
    events: list[Event] = []

    def report(event: Event) -> None:
        events.append(event)
        if not strangers and isinstance(event, Message):
            address = event.text.removeprefix("Working with the scheduler ").split(";")[0].rstrip(".")
            monkey.setattr(dask_client, "SECONDS_TO_CONNECT", 2.0)
            for security, reason in (
                (None, "Dask's settings name none"),
                (Security.temporary(), "to the certificate"),
            ):
                with (
                    pytest.raises(UserError, match=reason),
                    dask_client.open_client(address, security),
                ):
                    pass
            strangers.append(address)

    with pytest.MonkeyPatch.context() as monkey:
        assert run_blocks(Writing(output), cubes(2), Scheduler("slurm", 1), JobContext(report=report)) == []
    assert written(output) == [0, 1]
    assert strangers[0].startswith("tls://")
    assert not any("not encrypted" in event.text for event in events if isinstance(event, Message))
    assert f"dask_worker {strangers[0]} " in slurm.script()


def test_jobs_that_are_refused_are_a_sentence_with_what_the_command_said(slurm, output):
    slurm.refuse_jobs()
    with pytest.raises(UserError, match=r"slurm takes none of the jobs \(sbatch: error: invalid partition"):
        run_blocks(Writing(output), cubes(2), Scheduler("slurm", 2))
    assert written(output) == []


def test_jobs_that_are_refused_are_told_and_the_others_do_the_work(slurm, output):
    slurm.refuse_jobs(2, 3)
    events: list[Event] = []
    assert run_blocks(Writing(output), cubes(9), Scheduler("slurm", 3), JobContext(events.append)) == []
    assert written(output) == list(range(9))
    messages = [event.text for event in events if isinstance(event, Message)]
    told = [text for text in messages if text.startswith("slurm refused ")]
    assert sum(int(text.split()[2]) for text in told) == 2
    assert told[-1].endswith("(sbatch: error: invalid partition specified: nowhere); the others do the work.")


def test_a_job_that_was_refused_does_not_end_the_work_while_another_is_submitted_again(slurm, output):
    slurm.refuse_jobs(2)
    events: list[Event] = []
    report = after(4, events, lambda: slurm.kill(slurm.jobs()[0]))
    assert run_blocks(Writing(output, 0.2), cubes(20), Scheduler("slurm", 2), JobContext(report)) == []
    assert written(output) == list(range(20))
    assert len(slurm.jobs()) == 2


def test_jobs_of_which_some_are_refused_and_the_others_end_at_once_are_a_sentence(slurm, output, monkeypatch):
    import dask

    monkeypatch.setattr(dask_runner, "_SECONDS_BETWEEN_COUNTS", 0.2)
    slurm.refuse_jobs(2)
    with (
        dask.config.set({"jobqueue.slurm.job-script-prologue": ["exit 1"]}),
        pytest.raises(UserError, match=r"All jobs that slurm took ended, or ran for 10 minutes, before"),
    ):
        run_blocks(Writing(output), cubes(4), Scheduler("slurm", 2))


@pytest.mark.parametrize("cores", [1, 2])
def test_a_job_that_ends_before_its_worker_came_is_replaced(slurm, output, tmp_path, monkeypatch, cores):
    import dask

    monkeypatch.setattr(dask_runner, "_SECONDS_BETWEEN_COUNTS", 0.2)
    prologue = [f"mkdir {tmp_path / 'once'} && exit 1"]
    with dask.config.set({"jobqueue.slurm.job-script-prologue": prologue, "jobqueue.slurm.cores": cores}):
        assert run_blocks(Writing(output), cubes(4), Scheduler("slurm", 1)) == []
    assert written(output) == [0, 1, 2, 3]
    assert len(slurm.jobs()) == 2


def test_a_job_that_is_killed_with_its_machine_before_its_worker_came_is_replaced(
    slurm, tmp_path, monkeypatch
):
    import dask

    prologue = [f"mkdir {tmp_path / 'once'} && kill -KILL 0"]
    with (
        dask.config.set({"jobqueue.slurm.job-script-prologue": prologue}),
        batch.batch_jobs(job_plan.JobPlan("slurm", 1)) as jobs,
    ):
        jobs.submit_missing()
        wait_until(lambda: jobs._cluster.workers and (tmp_path / "once").exists() and not slurm.running())
        jobs.submit_missing()
        assert [job.is_lost for job in jobs._cluster.workers.values()] == [False]  # a worker may still come
        with monkeypatch.context() as patch:
            patch.setattr(batch_job, "SECONDS_TO_COME", 0.0)
            jobs.submit_missing()
        wait_until(lambda: jobs._names())
        jobs.submit_missing()
        assert [job.has_worked for job in jobs._cluster.workers.values()] == [True]
    assert len(slurm.jobs()) == 2


@pytest.mark.parametrize(
    ("folder", "said"),
    [(None, "says why; 'log-directory' in Dask's settings"), ("logs", "says why, in .*logs")],
)
def test_jobs_that_end_at_once_again_and_again_are_a_sentence(
    slurm, output, tmp_path, monkeypatch, folder, said
):
    import dask

    monkeypatch.setattr(dask_runner, "_SECONDS_BETWEEN_COUNTS", 0.2)
    user = {"job-script-prologue": ["exit 1"], "log-directory": folder and str(tmp_path / folder)}
    with (
        dask.config.set({f"jobqueue.slurm.{name}": value for name, value in user.items()}),
        pytest.raises(UserError, match=rf"All jobs that slurm took ended, .* The output of job \d+ {said}"),
    ):
        run_blocks(Writing(output), cubes(4), Scheduler("slurm", 1))
    assert len(slurm.jobs()) == 3


def test_a_job_that_is_still_in_memory_does_not_keep_its_scheduler_from_closing(slurm):
    with batch.batch_jobs(job_plan.JobPlan("slurm", 2)) as jobs:
        jobs.submit_missing()
        wait_until(lambda: len(jobs._cluster.workers) == 2)
        kept = list(jobs._cluster.workers.values())
    assert [job.status.name for job in kept] == ["closed", "closed"]
    wait_until(lambda: not slurm.running())


KILLED = """
import os, signal
from emseg_napari.core.blockwise.certificate import certificate_folder
with certificate_folder() as folder:
    (folder / "key.pem").touch()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_certificate_of_a_process_that_was_killed_goes_with_the_next_and_that_of_a_living_one_stays():
    def found():
        return sorted(Path.home().glob(".emseg-*"))

    for _ in range(2):
        subprocess.run([sys.executable, "-c", KILLED], env=os.environ | {"PYTHONPATH": str(CHECKOUT)})
        (left,) = found()
        assert (left / "key.pem").exists()
    with certificate_folder() as living:
        assert found() == [living]
        with certificate_folder() as other:
            assert found() == sorted([living, other])
            assert (living.stat().st_mode & 0o777) == 0o700
        assert found() == [living]
    assert found() == []


@pytest.mark.parametrize("name", ["another-machine", ""])
def test_a_certificate_of_another_machine_stays(name):
    folder = Path.home() / ".emseg-there"
    folder.mkdir()
    (folder / "lock").write_text(name)
    with certificate_folder():
        pass
    assert folder.exists()


def test_a_certificate_that_cannot_be_locked_is_never_taken_for_one_that_was_left(monkeypatch):
    def no_locks(*_: object) -> bool:
        raise OSError("No locks available")

    monkeypatch.setattr(certificate, "lock_file", no_locks)
    with certificate_folder() as living:
        with certificate_folder():
            pass
        assert living.exists()


def test_no_job_is_submitted_where_nothing_is_to_do(slurm, output):
    assert run_blocks(Writing(output), [], Scheduler("slurm", 2)) == []
    assert slurm.jobs() == []


def test_a_batch_system_that_is_not_there_is_a_sentence(output, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="The command sbatch is not on this machine"):
        run_blocks(Writing(output), cubes(2), Scheduler("slurm", 2))


@pytest.mark.parametrize("package", ["dask_jobqueue", "cryptography"])
def test_packages_that_are_missing_are_asked_for(output, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=r'run: pip install "emseg-napari\[cluster\]"'):
        run_blocks(Writing(output), cubes(2), Scheduler("slurm", 2))


def test_a_scheduler_with_tls_is_reached_with_the_certificate_of_dasks_settings(output):
    import dask
    from distributed import LocalCluster, Security

    made = Security.temporary()
    there = LocalCluster(
        processes=False,
        n_workers=1,
        threads_per_worker=1,
        protocol="tls",
        host="127.0.0.1",
        dashboard_address=":0",
        security=made,
    )
    tls = {
        "ca-file": made.tls_ca_file,
        "client.cert": made.tls_client_cert,
        "client.key": made.tls_client_key,
    }
    files = {f"distributed.comm.tls.{name}": value for name, value in tls.items()}
    with there, dask.config.set(files):
        assert run_blocks(Writing(output), cubes(3), Scheduler(there.scheduler_address)) == []
    assert written(output) == [0, 1, 2]


@pytest.mark.parametrize(
    ("address", "is_open"),
    [
        ("tcp://127.0.0.1:8786", False),
        ("tcp://localhost:8786", False),
        ("tls://192.0.2.1:8786", False),
        ("tcp://192.0.2.1:8786", True),
    ],
)
def test_a_connection_without_encryption_is_told_where_it_leaves_the_machine(address, is_open):
    assert dask_client.is_open_to_others(address) == is_open


@pytest.mark.parametrize("is_open", [False, True])
def test_the_message_of_a_scheduler_says_that_its_connection_is_not_encrypted(output, is_open, monkeypatch):
    monkeypatch.setattr(dask_runner, "is_open_to_others", lambda address: is_open)
    events: list[Event] = []
    with thread_workers() as scheduler:
        run_blocks(Writing(output), cubes(1), scheduler, JobContext(events.append))
    messages = [event.text for event in events if isinstance(event, Message)]
    assert (
        any("is not encrypted, and whoever reaches it can run programs as you" in m for m in messages)
        == is_open
    )


def test_the_default_memory_of_a_worker_holds_a_block_before_dask_pauses_it():
    assert 0.8 * job_plan._DEFAULT_MEMORY > 1.4 * 2**30
