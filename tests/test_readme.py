import re
import subprocess
import sys

from helpers.paths import CHECKOUT

README = (CHECKOUT / "README.md").read_text("utf-8")


def test_the_python_example_of_the_readme_runs_in_a_script_without_a_main_guard(tmp_path):
    example = re.search(r"```python\n(.*?)```", README, re.DOTALL).group(1)
    shorter = example.replace("minutes=0.5", "epochs=1, steps_per_epoch=4, patch_px=64, batch_size=1")
    assert shorter != example
    check = "\nassert proposal.shape == (8, 384, 384)\nassert set(proposal.ravel()) <= {1, 2}\n"
    check += "import sys\nassert not {'keras', 'tensorflow'} & set(sys.modules)\n"
    (tmp_path / "example.py").write_text(shorter + check, "utf-8")
    command = [sys.executable, "-W", "error", "example.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "phantom-run" / "network.onnx").is_file()


def test_the_two_commands_of_the_readme_exist():
    for script in re.findall(r"^bash (\S+)", README, re.MULTILINE):
        assert (CHECKOUT / script).is_file()
