"""Does a prediction that was killed go on to the same bytes?

    python benchmarks/resume.py IMAGE RUN [--rounds 5] [--kills 3] [--seed 0] [OPTIONS of emseg predict]

Every round starts `emseg predict RUN IMAGE --output OUT.zarr`, ends its process with SIGKILL at a random
moment (now while it starts, now while it predicts, writes or makes the coarser levels), does so again, and
lets it come to its end at last. Compares all files of the output with those of a prediction that was not
disturbed, and counts blocks that were done twice. Prints Markdown.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from emseg_napari.core.jobs import UserError
from emseg_napari.io.ome_zarr_writer import VolumeOutput


def command(chosen: argparse.Namespace, output: Path) -> list[str]:
    words = ["predict", chosen.run, chosen.image, "--output", output, "--as", "probability", "--json"]
    return [sys.executable, "-m", "emseg_napari", *map(str, words), *chosen.options]


def finished(chosen: argparse.Namespace, output: Path) -> dict[str, Any]:
    """Predict to the end and return the command's figures."""
    done = subprocess.run(command(chosen, output), capture_output=True, check=True)
    figures: dict[str, Any] = json.loads(done.stdout)
    return figures


def killed(chosen: argparse.Namespace, output: Path, after_s: float) -> int:
    """Predict for a while and return how many blocks there are then."""
    process = subprocess.Popen(command(chosen, output), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        process.wait(after_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    try:
        there = VolumeOutput(output)
        return len(there.blocks) - len(there.missing())
    except (UserError, OSError):  # it was not made yet
        return 0


def files_of(output: Path) -> dict[str, str]:
    """Every file by its name, less temporary ones of killed writers that may still be somebody's."""
    return {
        path.relative_to(output).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(output.rglob("*"))
        if path.is_file() and not path.name.startswith(".emseg-")
    }


def one_round(
    chosen: argparse.Namespace, output: Path, moments: list[float], whole: Path
) -> tuple[list[int], int, int]:
    """Return how many blocks there were after each kill, how many were done last, and files that differ."""
    there = [killed(chosen, output, seconds) for seconds in moments]
    last = finished(chosen, output)["blocks_done"]
    expected, found = files_of(whole), files_of(output)
    differ = sum(expected.get(name) != found.get(name) for name in {*expected, *found})
    return there, last, differ


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("image", type=Path)
    parser.add_argument("run", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    chosen, options = parser.parse_known_args()
    chosen.options = options
    return chosen


def main() -> None:
    chosen = parsed()
    random_ = random.Random(chosen.seed)
    print(
        "| round | killed after s | blocks there then | blocks done last | done twice | files that differ |"
    )
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "whole" / "out.zarr"
        whole.parent.mkdir()
        began = time.monotonic()
        blocks = finished(chosen, whole)["blocks_done"]
        took = time.monotonic() - began
        for number in range(1, chosen.rounds + 1):
            output = Path(folder) / str(number) / "out.zarr"
            output.parent.mkdir()
            moments = sorted(random_.uniform(0.1, 0.9) * took for _ in range(chosen.kills))
            there, last, differ = one_round(chosen, output, moments, whole)
            cells = [number, ", ".join(f"{s:.1f}" for s in moments), ", ".join(map(str, there))]
            cells += [f"{last} of {blocks}", there[-1] + last - blocks, f"{differ} of {len(files_of(whole))}"]
            print("| " + " | ".join(map(str, cells)) + " |", flush=True)


if __name__ == "__main__":
    main()
