"""The machine: processor, memory, GPU and locale."""

from __future__ import annotations

import locale
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil

from emseg_napari.core import machine
from emseg_napari.core.jobs import JobContext
from emseg_napari.doctor.finding import Finding, note, problem
from emseg_napari.doctor.messages import NO_MEMORY, recognised

# Measured on 1 December 2026, Linux, two cores: a training with the default settings takes 1.1 GB, and napari
# with the dock and the sample phantom 0.7 GB.
_LEAST_GB, _ENOUGH_GB = 2, 4


def findings() -> Iterator[Finding]:
    """Give what there is to compute with."""
    yield processor()
    yield memory()
    yield gpu()
    yield letters()


def processor() -> Finding:
    """Return the processor, and how much of it this process may use."""
    used, there = machine.processors(), os.cpu_count() or 1
    name, flags = _stated()
    value = f"{name}: {used} of {there} cores may be used"
    if flags and "avx" not in flags and platform.machine().lower() in ("x86_64", "amd64"):
        advice = recognised("AVX instructions")
        assert advice is not None
        return problem("processor", value, *advice)
    if used < there:
        return note(
            "processor",
            value,
            "Affinity or a control group allows less than there is.",
            "If that was not meant: docker run --cpus, Slurm --cpus-per-task, taskset.",
        )
    if used < 2:
        return note(
            "processor", value, "With one core, the window is slow while something is trained or predicted."
        )
    return Finding("processor", value)


def _stated() -> tuple[str, set[str]]:
    """Return the processor's name, and its instructions where Linux states them."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine(), set()
    stated = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    return stated.get("model name", platform.machine()), set(stated.get("flags", "").split())


def memory() -> Finding:
    """Return how much memory there is and how much of it is left."""
    free, limit = machine.free_memory(), machine.memory_limit()
    value = f"{_gb(free)} left of {_gb(psutil.virtual_memory().total)}"
    if limit is not None:
        value += f"; a control group allows {_gb(limit)}"
    if (most := _address_space()) is not None:
        value += f"; ulimit -v allows {_gb(most)}"
    least = min(free, most or free)
    if least < _LEAST_GB * 1e9:
        sentence = "Too little: a training of the usual size takes 1.1 GB and the window 0.7 GB."
        return problem("memory", value, sentence, NO_MEMORY.action)
    if least < _ENOUGH_GB * 1e9:
        sentence = "Enough for small stacks: a training takes 1.1 GB and the window 0.7 GB beside the images."
        return note("memory", value, sentence, "Close other programs before large ones.")
    return Finding("memory", value)


def _address_space() -> int | None:
    """Return to how many bytes of addresses this process is limited; None if it is not."""
    if sys.platform == "win32":
        return None
    import resource

    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if limit == resource.RLIM_INFINITY else limit


def gpu() -> Finding:
    """Return what predictions are computed on; what may be faster than the processor is measured."""
    from emseg_napari.inference.execution_choice import ranked, trials

    found = trials(JobContext())
    best = next(iter(ranked(found)), found[0].execution)
    value = f"predictions are computed on: {best}"
    if best.on_gpu or not shutil.which("nvidia-smi"):
        return Finding("GPU", value)
    dropped = "; ".join(f"{one.execution}: {one.dropped}" for one in found if one.dropped)
    return note(
        "GPU",
        value,
        "There is an NVIDIA GPU, which predictions do not use" + (f" ({dropped})." if dropped else "."),
        "Install onnxruntime-gpu as docs/command-line.md says under 'GPUs'; 'emseg info' says more.",
    )


def letters() -> Finding:
    """Return the locale, and whether names of files may hold any letters."""
    asked = next(
        (os.environ[one] for one in ("LC_ALL", "LC_CTYPE", "LANG") if os.environ.get(one)), "not set"
    )
    encoding = sys.getfilesystemencoding()
    value = f"{asked}, names of files in {encoding}"
    if encoding.lower() not in ("utf-8", "utf8"):
        return note(
            "locale",
            value,
            "Names with other letters than those of English cannot be read.",
            "Set LANG=C.UTF-8 or PYTHONUTF8=1 in the environment.",
        )
    before = locale.setlocale(locale.LC_CTYPE)
    try:
        locale.setlocale(locale.LC_CTYPE, "")
    except locale.Error:
        sentence = f"The locale {asked} is not installed, and Qt may not take accents and other letters."
        return note("locale", value, sentence, "Set LANG=C.UTF-8 in the environment, or install that locale.")
    finally:
        locale.setlocale(locale.LC_CTYPE, before)
    return Finding("locale", value)


def _gb(count: float) -> str:
    return f"{count / 1e9:.1f} GB"
