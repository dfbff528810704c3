"""What networks are computed on: measured once, remembered, the same for all blocks; GPUs are stand-ins."""

import json
import platform
from threading import Event, Thread

import numpy as np
import onnx
import onnxruntime
import pytest

from emseg_napari.annotation.suggest.search_stack import search_places
from emseg_napari.core.blockwise import Scheduler
from emseg_napari.core.jobs import Cancelled, JobContext, Message, UserError
from emseg_napari.core.locks import OutputLock
from emseg_napari.inference import execution_choice, execution_trials, load_predictor, plan, predict
from emseg_napari.inference.backends import largest_tile
from emseg_napari.inference.execution import PROCESSOR, Execution
from emseg_napari.inference.execution_choice import chosen_for, file_here, ranked, trials
from emseg_napari.inference.fit import fit_to_run
from emseg_napari.inference.half_precision import in_half_precision
from emseg_napari.inference.sessions import loaded
from emseg_napari.inference.stack import warm_up
from emseg_napari.inference.volume import VolumeTask, predict_volume
from emseg_napari.io.ome_zarr_writer import VolumeOutput
from emseg_napari.models import run as run_module
from emseg_napari.models.starter import STARTER_FOLDER
from emseg_napari.settings import PredictionSettings
from helpers.faults import another_process
from helpers.gpu_stand_in import CUDA, DIRECTML, next_process, plug_in
from helpers.timing import wait_until, within
from helpers.tiny_runs import tiny_network_run

FLOAT32, TF32, FLOAT16 = (Execution(CUDA, precision) for precision in ("float32", "TF32", "float16"))
PLAIN = PredictionSettings(close_gaps=False, orientations=1)
QUICK = {"CUDA, float32": 2**-3, "CUDA, TF32": 2**-4, "CUDA, float16": 2**-5}  # sums are exact


@pytest.fixture(autouse=True)
def small_starter(monkeypatch, tmp_path):
    """What is measured takes no time."""
    monkeypatch.setattr(run_module, "STARTER_FOLDER", tiny_network_run(tmp_path / "starter").folder)


@pytest.fixture
def gpus(monkeypatch):
    """A machine with a quick GPU."""
    gpus = plug_in(monkeypatch, CUDA)
    gpus.seconds = dict(QUICK)
    return gpus


@pytest.fixture
def run(tmp_path):
    return tiny_network_run(tmp_path / "run")


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (2, 64, 96)).astype(np.uint8)


def measured(gpus, messages=None):
    report = JobContext() if messages is None else JobContext(messages.append)
    return {str(trial.execution): trial for trial in trials(report, gpus.clock)}


# -- the choice -----------------------------------------------------------------------------


def test_where_there_is_only_the_processor_nothing_is_measured(monkeypatch, run):
    gpus = plug_in(monkeypatch)
    assert chosen_for(run, JobContext()) == PROCESSOR
    assert [trial.execution for trial in trials(JobContext(), gpus.clock)] == [PROCESSOR]
    assert (gpus.now, gpus.loaded, file_here().parent.exists()) == (0, [], False)


def test_the_fastest_is_chosen_measured_once_and_said_once(gpus, run):
    gpus.seconds["processor, float32"], said = 2**-2, []
    found = measured(gpus, said)
    names = "CUDA, float32; CUDA, TF32; CUDA, float16"
    sentence = f"It is measured once whether this machine predicts faster on: {names}."
    assert [one.text for one in said] == [sentence]
    assert ranked(list(found.values())) == [FLOAT16, TF32, FLOAT32]
    assert gpus.now - 16 * sum(gpus.seconds.values()) < 2  # the phantom's 16 slices left aside
    gpus.ran.clear()
    assert measured(gpus, said) == found
    assert (len(said), gpus.ran) == (1, [])
    assert chosen_for(run, JobContext(said.append)) == FLOAT16
    assert len(said) == 1


def test_what_is_faster_but_inaccurate_is_not_used(gpus, run):
    gpus.errors = {"CUDA, float16": 0.01, "CUDA, TF32": float("nan")}
    found = measured(gpus)
    assert found["CUDA, float16"].dropped.startswith("a probability differs by 0.01")
    assert "differs by 1.0000" in found["CUDA, TF32"].dropped
    assert chosen_for(run, JobContext()) == FLOAT32


def test_what_fails_is_dropped_with_its_reason(gpus, run):
    gpus.broken = {"CUDA, float16": RuntimeError("no such kernel\nat cuda_call.cc:121")}
    gpus.full = {"CUDA, TF32"}
    found = measured(gpus)
    assert found["CUDA, float16"].dropped == "no such kernel"
    assert "Failed to allocate memory" in found["CUDA, TF32"].dropped
    assert chosen_for(run, JobContext()) == FLOAT32


def test_a_provider_that_fell_back_to_the_processor_is_not_taken_for_a_gpu(gpus, run):
    gpus.absent = {CUDA}
    assert {"its libraries are missing, or there is no such GPU"} == {
        trial.dropped for name, trial in measured(gpus).items() if name != str(PROCESSOR)
    }
    assert chosen_for(run, JobContext()) == PROCESSOR


def test_what_is_hardly_faster_than_the_processor_is_not_used(gpus, run):
    gpus.seconds = dict.fromkeys(QUICK, 0.85)
    assert ranked(list(measured(gpus).values())) == []
    assert chosen_for(run, JobContext()) == PROCESSOR


def test_a_network_for_which_it_is_not_accurate_is_computed_on_the_next_best(gpus, run):
    """Its values are beyond the range of float16."""
    measured(gpus)
    model = onnx.load(run.network_file)
    for weights in model.graph.initializer:
        values = np.full_like(onnx.numpy_helper.to_array(weights), 7e4)
        weights.CopyFrom(onnx.numpy_helper.from_array(values, weights.name))
    run.network_file.write_bytes(model.SerializeToString())
    said = []
    assert chosen_for(run, JobContext(said.append)) == TF32
    assert said[0].text.startswith("This network is not computed on CUDA, float16: a probability differs by")


def test_a_gpu_without_memory_is_left_for_the_processor_before_the_first_slice(gpus, run, image):
    measured(gpus)
    gpus.full, said = set(QUICK), []
    expected = load_predictor(run, PLAIN).probability(image[0])
    np.testing.assert_array_equal(predict(image, run, PLAIN, JobContext(said.append))[0], expected)
    assert sum("Failed to allocate" in one.text for one in said if isinstance(one, Message)) == 3
    gpus.full = set()  # later there is
    assert chosen_for(run, JobContext()) == FLOAT16


def test_a_gpu_without_memory_for_the_tile_that_is_used_is_left_before_the_first_slice(gpus, run, tmp_path):
    measured(gpus)
    gpus.most_px, said = 250**2, []
    image = np.random.default_rng(0).integers(0, 256, (1, 128, 512)).astype(np.uint8)
    predict(image, run, PLAIN, JobContext(said.append))
    assert sum("Failed to allocate" in one.text for one in said if isinstance(one, Message)) == 3
    predict_volume(image, run, VolumeTask(tmp_path / "p.zarr", PLAIN))
    assert "computed_on" not in VolumeOutput(tmp_path / "p.zarr").record
    gpus.ran.clear()
    predict(image[:, :32, :32], run, PLAIN)
    assert gpus.ran[-1] == "CUDA, float16"
    predict(image, run, PLAIN.model_copy(update={"tile_px": 64}))
    assert gpus.ran[-1] == "CUDA, float16"


@pytest.mark.parametrize("settings", [{}, {"tile_px": 64}, {"tile_px": 64, "scale": 1.7}, {"scale": 0.93}])
def test_a_network_is_given_no_more_than_the_tile_that_is_checked(monkeypatch, run, settings):
    gpus, settings = plug_in(monkeypatch), PLAIN.model_copy(update=settings)
    image = np.random.default_rng(0).integers(0, 256, (1, 210, 330)).astype(np.uint8)
    predict(image, run, settings)
    most = np.prod(largest_tile(run, settings, image.shape[1:]))
    assert 0.8 * most < max(gpus.pixels) <= most


@pytest.mark.parametrize("providers", [(CUDA,), (DIRECTML,)])
def test_a_user_may_keep_predictions_on_the_processor(monkeypatch, run, providers):
    gpus = plug_in(monkeypatch, *providers)
    monkeypatch.setenv("EMSEG_ON_PROCESSOR", "1")
    assert chosen_for(run, JobContext()) == PROCESSOR
    assert gpus.loaded == []


@pytest.mark.parametrize("network", ["trees", "ridge"])
def test_baselines_are_computed_on_the_processor(gpus, tmp_path, network):
    assert chosen_for(tiny_network_run(tmp_path / "run", network), JobContext()) == PROCESSOR
    assert gpus.loaded == []


def test_a_missing_network_is_said_as_ever(gpus, run, image):
    run.network_file.unlink()
    with pytest.raises(UserError, match="has no finished network"):
        predict(image, run, PLAIN)


def test_on_arm_matrix_products_may_be_in_bfloat16(monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    gpus = plug_in(monkeypatch)
    assert [*measured(gpus)] == ["processor, float32", "processor, bfloat16"]
    session = loaded((STARTER_FOLDER / "network.onnx").read_bytes(), 1, Execution(precision="bfloat16"))
    entry = "mlas.enable_gemm_fastmath_arm64_bfloat16"
    assert session.get_session_options().get_session_config_entry(entry) == "1"


# -- what is remembered ---------------------------------------------------------------------


@pytest.mark.parametrize("change", ["version", "providers", "machine", "processor"])
def test_another_machine_or_version_is_measured_for_itself(gpus, monkeypatch, change):
    before = file_here()
    if change == "version":
        monkeypatch.setattr(onnxruntime, "__version__", "9.9")
    elif change == "providers":
        plug_in(monkeypatch, DIRECTML)
    else:
        name = "node" if change == "machine" else "processor"
        monkeypatch.setattr(platform, name, lambda: "another")
    assert file_here() != before


@pytest.mark.parametrize("text", ["{", "[]", "[1]", '[{"execution": {"provider": 1}}]', "null"])
def test_a_damaged_file_is_measured_again(gpus, text):
    found = measured(gpus)
    file_here().write_text(text)
    next_process()
    assert measured(gpus) == found
    assert json.loads(file_here().read_text())


def test_what_ended_the_program_twice_is_not_tried_again(gpus):
    gpus.broken = {"CUDA, TF32": KeyboardInterrupt()}  # stands for what ends it at once
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            measured(gpus)
    found = measured(gpus)
    assert found["CUDA, TF32"].dropped == "the program ended while it was tried"
    assert ranked(list(found.values())) == [FLOAT16, FLOAT32]
    assert gpus.loaded.count("CUDA, TF32") == 2


def test_a_stop_between_two_candidates_leaves_the_measurement_to_the_next(gpus):
    with pytest.raises(Cancelled):
        trials(JobContext(should_stop=lambda: len(gpus.loaded) > 2), gpus.clock)
    assert [name for name, trial in measured(gpus).items() if not trial.seconds] == []


def test_what_could_not_be_loaded_is_used_as_soon_as_it_can_be(gpus, run):
    gpus.absent = {CUDA}
    assert chosen_for(run, JobContext()) == PROCESSOR
    gpus.absent = set()
    next_process()
    measured(gpus)
    assert chosen_for(run, JobContext()) == FLOAT16


def test_a_process_tries_once_and_cheaply_what_could_not_be_loaded(gpus):
    gpus.absent = {CUDA}
    found = measured(gpus)
    next_process()
    gpus.loaded.clear()
    gpus.ran.clear()
    said = []
    assert measured(gpus, said) == measured(gpus, said) == found
    assert (gpus.loaded, gpus.ran, said) == (["CUDA, float32"], [], [])


def test_what_a_gpu_that_computes_otherwise_cannot_is_not_tried_again(gpus):
    gpus.broken = {"CUDA, float16": RuntimeError("no such kernel")}
    measured(gpus)
    next_process()
    gpus.loaded.clear()
    measured(gpus)
    assert gpus.loaded == []


def test_what_ends_the_program_when_it_is_tried_once_more_is_counted(gpus):
    gpus.absent = {CUDA}
    measured(gpus)
    gpus.broken = {"CUDA, float32": KeyboardInterrupt()}
    for _ in range(2):
        next_process()
        with pytest.raises(KeyboardInterrupt):
            measured(gpus)
    next_process()
    assert measured(gpus)["CUDA, float32"].dropped == "the program ended while it was tried"


def test_an_end_after_a_stop_is_the_users_and_is_not_counted(gpus):
    """The window ends an engine that does not answer, such as one that loads CUDA."""
    asked = Event()

    class Ended(BaseException):
        pass

    def load_until_ended():
        asked.set()
        wait_until(lambda: "the program ended" not in file_here().read_text(), within(1))
        raise Ended

    for _ in range(3):
        asked.clear()
        next_process()
        gpus.while_loading = {"CUDA, TF32": load_until_ended}
        with pytest.raises(Ended):
            trials(JobContext(should_stop=asked.is_set), gpus.clock)
    gpus.while_loading = {}
    assert all(trial.seconds for trial in measured(gpus).values())


def test_an_end_while_the_time_is_taken_is_no_candidates(gpus):
    for _ in range(3):
        next_process()
        with pytest.raises(KeyboardInterrupt):
            trials(JobContext(), lambda: (_ for _ in ()).throw(KeyboardInterrupt))
    assert all(trial.seconds for trial in measured(gpus).values())


def test_while_another_process_measures_for_long_the_processor_computes(gpus, run, monkeypatch):
    monkeypatch.setattr(execution_choice, "_PATIENCE_S", 0.0)
    with another_process(lambda: OutputLock(file_here())):
        assert chosen_for(run, JobContext()) == PROCESSOR
    assert len(measured(gpus)) == 4


def test_a_stop_is_heard_while_another_process_measures(gpus):
    stops = iter([False, True])
    with another_process(lambda: OutputLock(file_here())), pytest.raises(Cancelled):
        trials(JobContext(should_stop=lambda: next(stops)), gpus.clock)


def test_where_nothing_can_be_written_it_is_measured_once_in_a_process(gpus, run, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("EMSEG_CONFIG_DIR", str(tmp_path / "file"))
    said = []
    assert len(measured(gpus, said)) == 4
    assert len(measured(gpus, said)) == 4
    assert len(said) == 1


# -- how it is computed ---------------------------------------------------------------------


def test_in_float16_the_starter_finds_nearly_the_same():
    network = (STARTER_FOLDER / "network.onnx").read_bytes()
    plain, half = (loaded(content, 1) for content in (network, in_half_precision(network)))
    slices = execution_trials._phantom_slices()[:2]
    expected, found = (execution_trials._computed(session, slices) for session in (plain, half))
    assert found.dtype == np.float32
    assert 1e-5 < np.abs(found - expected).max() < execution_trials.MOST_DIFFERENCE
    assert half.get_inputs()[0].type == "tensor(float)"


def test_slices_are_predicted_on_the_choice_and_all_else_on_the_processor(gpus, run, image):
    measured(gpus)
    gpus.ran.clear()
    predict(image, run, PLAIN)
    assert gpus.ran[-2:] == ["CUDA, float16"] * 2
    gpus.ran.clear()
    fit_to_run(image, run, PLAIN)
    load_predictor(run, PLAIN).probability(image[0])
    search_places(image, np.zeros_like(image), run)
    assert {*gpus.ran} == {"processor, float32"}


def test_warming_up_loads_what_is_chosen_but_measures_nothing(gpus):
    """A window that is closed ends it at any moment."""
    with pytest.raises(Cancelled):
        warm_up(lambda: True)
    warm_up()
    assert {*gpus.loaded} == {"processor, float32"}
    gpus.absent = {CUDA}
    measured(gpus)
    next_process()
    gpus.loaded.clear()
    warm_up()
    assert {*gpus.loaded} == {"processor, float32"}
    gpus.absent = set()
    measured(gpus)
    warm_up()
    assert gpus.loaded[-1] == "CUDA, float16"


def test_a_tile_for_which_the_gpu_has_no_memory_is_said_in_a_sentence(gpus, run, image):
    gpus.full = {"CUDA, float32"}
    predictor = load_predictor(run, PLAIN, FLOAT32)
    with pytest.raises(UserError, match=r"The GPU could not compute a tile \(Failed to allocate") as caught:
        predictor.probability(image[0])
    assert str(caught.value).endswith("choose a smaller 'Tile size (px)'.")
    assert caught.value.settings == ("tile_px",)


def test_a_gpu_gets_one_tile_at_a_time(gpus, run, image):
    gpus.seconds, running, together = {}, [], Event()

    def check():
        running.append(1)
        if len(running) > 1:
            together.set()
        together.wait(0.05)
        running.pop()

    predictor = load_predictor(run, PLAIN, FLOAT32)
    gpus.while_running = check
    threads = [Thread(target=predictor.probability, args=(image[0],)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not together.is_set()


# -- blocks ---------------------------------------------------------------------------------


def half_done(image, run, target, monkeypatch):
    """Begin a prediction in blocks, and stop after the first."""
    monkeypatch.setattr(plan, "_CHUNK_PX", 32)
    monkeypatch.setattr(plan, "_BLOCK_PX", 64)
    done = []
    with pytest.raises(Cancelled):
        predict_volume(image, run, VolumeTask(target, PLAIN), JobContext(done.append, lambda: len(done) > 1))


def test_all_blocks_of_an_output_are_computed_as_the_first(gpus, run, image, tmp_path, monkeypatch):
    measured(gpus)
    half_done(image, run, tmp_path / "p.zarr", monkeypatch)
    assert VolumeOutput(tmp_path / "p.zarr").record["computed_on"] == "CUDA, float16"
    file_here().unlink()
    next_process()
    gpus.seconds = {"CUDA, float32": 0.01}  # chosen now
    measured(gpus)
    gpus.ran.clear()
    assert predict_volume(image, run, VolumeTask(tmp_path / "p.zarr", PLAIN)).failures == ()
    assert {*gpus.ran} == {"CUDA, float16"}
    assert chosen_for(run, JobContext()) == FLOAT32


def test_what_was_begun_on_a_processor_ends_on_one(run, image, tmp_path, monkeypatch):
    plug_in(monkeypatch)
    half_done(image, run, tmp_path / "p.zarr", monkeypatch)
    assert "computed_on" not in VolumeOutput(tmp_path / "p.zarr").record
    gpus = plug_in(monkeypatch, CUDA)
    gpus.seconds = QUICK
    assert predict_volume(image, run, VolumeTask(tmp_path / "p.zarr", PLAIN)).failures == ()
    assert {*gpus.ran} <= {"processor, float32"}


def test_a_machine_that_cannot_compute_so_does_not_resume(gpus, run, image, tmp_path, monkeypatch):
    measured(gpus)
    half_done(image, run, tmp_path / "p.zarr", monkeypatch)
    plug_in(monkeypatch, DIRECTML)
    with pytest.raises(
        UserError, match=r"p\.zarr was begun on CUDA, float16, which this machine does not have"
    ):
        predict_volume(image, run, VolumeTask(tmp_path / "p.zarr", PLAIN))
    gpus = plug_in(monkeypatch, CUDA)
    gpus.absent, otherwise = {CUDA}, PLAIN.model_copy(update={"threads": 1})  # which is not loaded yet
    with pytest.raises(UserError, match=r"cannot compute on CUDA, float16 \(its libraries are missing"):
        predict_volume(image, run, VolumeTask(tmp_path / "p.zarr", otherwise))


def test_workers_compute_on_the_processor(gpus, run, image, tmp_path):
    measured(gpus)
    task = VolumeTask(tmp_path / "p.zarr", PLAIN, scheduler=Scheduler("local", 1))
    assert predict_volume(image, run, task).failures == ()
    assert "computed_on" not in VolumeOutput(tmp_path / "p.zarr").record


def test_a_worker_that_cannot_compute_as_was_begun_is_refused(gpus, run, image, tmp_path, monkeypatch):
    """Processes of this machine stand for those of another one: they have no stand-in."""
    measured(gpus)
    half_done(image, run, tmp_path / "p.zarr", monkeypatch)
    with pytest.raises(UserError, match="cannot compute on CUDA, float16"):
        predict_volume(image, run, VolumeTask(tmp_path / "p.zarr", PLAIN, scheduler=Scheduler("local", 1)))
