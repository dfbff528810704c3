"""Each import runs in a Python of its own, since Keras is imported but once."""

import os
import subprocess
import sys


def said(program: str, **variables: str) -> str:
    program = f"from emseg_napari.training.keras_import import import_keras\n{program}"
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=os.environ | quiet | variables
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_keras_is_imported_on_tensorflow_whatever_backend_the_user_chose():
    program = "import_keras(); import keras; print(keras.backend.backend())"
    assert said(program, KERAS_BACKEND="torch") == "tensorflow"


def test_packages_that_keras_does_not_get_can_be_imported_afterwards():
    program = """
import_keras()
import sys
print(*(name for name in ("sklearn", "pandas", "IPython") if name in sys.modules))
import pandas, sklearn.ensemble
import gc
print(gc.isenabled())
"""
    assert said(program) == "True"


def test_what_the_user_says_of_onednn_stays():
    program = "import os; import_keras(); print(os.environ['TF_ENABLE_ONEDNN_OPTS'])"
    assert said(program, TF_ENABLE_ONEDNN_OPTS="0") == "0"
