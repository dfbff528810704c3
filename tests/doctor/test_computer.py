"""The machine: too little memory, fewer processors than there are, a locale that is not installed."""

import sys

import pytest

from emseg_napari.core import machine
from emseg_napari.doctor import computer
from emseg_napari.inference import execution_choice
from emseg_napari.inference.execution import PROCESSOR
from emseg_napari.inference.execution_trials import Trial


@pytest.mark.parametrize(("free_gb", "state"), [(1, "problem"), (3, "note"), (30, "ok")])
def test_memory_that_is_too_little_is_said(monkeypatch, free_gb, state):
    monkeypatch.setattr(machine, "free_memory", lambda: free_gb * 10**9)
    assert computer.memory().state == state


def test_the_limits_of_a_container_and_of_ulimit_are_named(monkeypatch):
    monkeypatch.setattr(machine, "free_memory", lambda: 30 * 10**9)
    monkeypatch.setattr(machine, "memory_limit", lambda: 31 * 10**9)
    monkeypatch.setattr(computer, "_address_space", lambda: 10**9)
    found = computer.memory()
    assert found.state == "problem"
    assert found.value.endswith("a control group allows 31.0 GB; ulimit -v allows 1.0 GB")


def test_fewer_processors_than_there_are_are_said(monkeypatch):
    monkeypatch.setattr(machine, "processors", lambda: 1)
    monkeypatch.setattr(computer.os, "cpu_count", lambda: 8)
    found = computer.processor()
    assert found.state == "note"
    assert "1 of 8 cores" in found.value


def test_a_processor_without_avx_is_a_problem(monkeypatch):
    monkeypatch.setattr(computer, "_stated", lambda: ("Old", {"sse4_2"}))
    monkeypatch.setattr(computer.platform, "machine", lambda: "x86_64")
    assert computer.processor().state == "problem"


def test_a_gpu_that_is_not_used_is_said(monkeypatch):
    monkeypatch.setattr(execution_choice, "trials", lambda context: [Trial(PROCESSOR)])
    monkeypatch.setattr(computer.shutil, "which", lambda name: None)
    assert computer.gpu().state == "ok"
    monkeypatch.setattr(computer.shutil, "which", lambda name: f"/usr/bin/{name}")
    assert "onnxruntime-gpu" in computer.gpu().action


def test_a_locale_that_is_not_installed_is_said(monkeypatch):
    monkeypatch.setenv("LC_ALL", "xx_YY.UTF-8")
    found = computer.letters()
    assert found.state == "note"
    assert "xx_YY.UTF-8 is not installed" in found.sentence


@pytest.mark.skipif(sys.platform == "win32", reason="no limits of addresses")
def test_addresses_are_not_limited_here():
    assert computer._address_space() is None
