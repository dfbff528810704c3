import json

import pytest
from pydantic import ValidationError

from emseg_napari.core.jobs import UserError
from emseg_napari.settings import (
    CellSettings,
    ExportSettings,
    LiveSettings,
    PredictionSettings,
    Settings,
    TrainingSettings,
    validated,
)

FIELDS = [
    pytest.param(field, id=f"{settings.__name__}.{name}")
    for settings in (TrainingSettings, LiveSettings, PredictionSettings, ExportSettings)
    for name, field in settings.model_fields.items()
]


@pytest.mark.parametrize("field", FIELDS)
def test_every_field_has_what_a_form_needs(field):
    assert field.title
    assert field.description
    assert field.description.endswith(".")
    assert not field.is_required()


@pytest.mark.parametrize("settings", [TrainingSettings, LiveSettings, PredictionSettings, ExportSettings])
def test_defaults_are_inside_their_own_limits(settings: type[Settings]):
    assert settings(**settings().model_dump()) == settings()


@pytest.mark.parametrize("network", ["compact", "reference"])
def test_recipe_survives_the_run_folders_json(network):
    recipe = TrainingSettings.recipe(network, slices=(0, 20), validate_slices=(18, 20))
    assert TrainingSettings(**json.loads(json.dumps(recipe.model_dump(mode="json")))) == recipe


def test_reference_recipe_is_the_published_one():
    recipe = TrainingSettings.recipe("reference")
    assert (recipe.epochs, recipe.steps_per_epoch, recipe.batch_size) == (10, 1000, 2)
    assert (recipe.patch_px, recipe.learning_rate, recipe.minutes) == (256, 1e-4, None)
    assert (recipe.rotation_degrees, recipe.shear_degrees) == (0.2, 0.05)
    assert (recipe.shift_fraction, recipe.zoom_fraction, recipe.mirror) == (0.05, 0.05, "horizontal")
    assert (recipe.boundary_weight, recipe.dice_weight, recipe.weight_decay) == (1.0, 0.0, 0.0)


@pytest.mark.parametrize(("given", "minutes", "epochs"), [("epochs", None, 7), ("minutes", 7, None)])
@pytest.mark.parametrize("network", ["compact", "reference"])
def test_training_lasts_the_minutes_or_the_epochs_that_are_given(network, given, minutes, epochs):
    recipe = TrainingSettings.recipe(network, **{given: 7})
    assert (recipe.minutes, recipe.epochs) == (minutes, epochs)


def test_none_leaves_the_recipe_as_it_is():
    assert TrainingSettings.recipe(seed=None, epochs=None) == TrainingSettings()


def test_the_word_nothing_means_random_weights_and_a_folder_of_that_name_has_a_path():
    assert TrainingSettings(start="nothing").start is None
    for network in ("compact", "reference", "ridge", "trees"):
        assert TrainingSettings.recipe(network, start="nothing") == TrainingSettings.recipe(network)
    assert TrainingSettings.recipe(start="./nothing").start == "./nothing"


@pytest.mark.parametrize(
    ("wrong", "title"),
    [
        ({"minutes": 0}, "Minutes"),
        ({"minutes": float("nan")}, "Minutes"),
        ({"epochs": 2.5}, "Epochs"),
        ({"seed": -1}, "Seed"),
        ({"patch_px": 100}, "Patch size (px)"),
        ({"patch_px": 0}, "Patch size (px)"),
        ({"batch_size": 0}, "Batch size"),
        ({"learning_rate": "fast"}, "Learning rate"),
        ({"slices": (5, 5)}, "Slices"),
        ({"validate_slices": (-1, 5)}, "Held-out slices"),
        ({"warm_up": 1.0}, "Warm-up"),
        ({"zoom_fraction": 1.0}, "Zoom"),
        ({"network": "vgg"}, "Kind of network"),
        ({"minuets": 3}, "minuets"),
    ],
)
def test_wrong_value_gets_one_sentence_with_the_fields_name(wrong, title):
    with pytest.raises(UserError) as error:
        TrainingSettings.recipe(**wrong)
    sentence = str(error.value)
    assert sentence.startswith(f"{title}: ")
    assert repr(next(iter(wrong.values()))) in sentence
    assert "\n" not in sentence


@pytest.mark.parametrize("tile_px", [32, 100, 8224])
def test_tile_that_does_not_fit_the_networks_grid_is_refused(tile_px):
    with pytest.raises(UserError, match="Tile size"):
        validated(PredictionSettings, tile_px=tile_px)


def test_what_starts_from_another_network_learns_more_slowly_and_from_more_varied_patches():
    assert TrainingSettings.recipe(start="there").learning_rate < TrainingSettings.recipe().learning_rate
    assert TrainingSettings.recipe(start="there").noise > 0
    assert TrainingSettings.recipe(start="there", learning_rate=0.5, noise=0).learning_rate == 0.5
    published = TrainingSettings.recipe("reference", start="there")
    assert published == TrainingSettings.recipe("reference").model_copy(update={"start": "there"})


def test_settings_cannot_be_changed_afterwards():
    with pytest.raises(ValidationError, match="frozen"):
        TrainingSettings().seed = 3


def test_live_learning_keeps_the_recipe_of_its_start_but_for_small_steps_and_nothing_held_out():
    start = TrainingSettings.recipe(boundary_weight=3.0, patch_px=96, slices=(2, 9), minutes=5)
    recipe = LiveSettings(start="there", learning_rate=1e-4, seed=7).training(start)
    assert (recipe.boundary_weight, recipe.patch_px) == (3.0, 96)
    assert (recipe.start, recipe.learning_rate, recipe.seed) == ("there", 1e-4, 7)
    assert (recipe.slices, recipe.minutes, recipe.epochs, recipe.hold_out) == (None, None, None, False)
    assert TrainingSettings(**recipe.model_dump()) == recipe


def test_the_threshold_that_is_given_counts_before_the_runs():
    assert PredictionSettings().threshold_for(0.6) == 0.6
    assert PredictionSettings(threshold=0.0).threshold_for(0.6) == 0


def test_the_scale_that_is_given_counts_before_the_runs_and_is_recorded_only_where_it_differs():
    assert PredictionSettings().scale_for((0.5, 0.4)) == (0.5, 0.4)
    assert PredictionSettings(scale=2).scale_for((0.5, 0.4)) == (2, 2)
    found = [PredictionSettings(scale=one).other_scale((1.0, 1.0)) for one in (None, 1, 2)]
    assert found == [None, None, 2]


def test_choices_are_what_is_given_and_differs_from_the_run():
    own = {"run_scale": (1.0, 1.0), "run_threshold": 0.6, "network": "compact"}
    assert PredictionSettings().choices(**own) == {}
    assert PredictionSettings(scale=1, threshold=0.6).choices(**own) == {}
    assert PredictionSettings(scale=2, threshold=0.3).choices(**own) == {"scale": 2, "threshold": 0.3}
    assert PredictionSettings(orientations=8).choices(**own) == {"orientations": 8}
    assert PredictionSettings(orientations=8).choices(**own | {"network": "reference"}) == {}


def test_a_training_has_a_scale_for_compact_only_and_live_learning_that_of_its_start_or_another():
    start = TrainingSettings.recipe(scale=2)
    assert LiveSettings().training(start).scale == 2
    assert LiveSettings(scale=1.5).training(start).scale == 1.5
    with pytest.raises(UserError, match="Scale has no effect on 'reference'"):
        LiveSettings(scale=2).training(TrainingSettings.recipe("reference"))
    for network, why in (("reference", "which sees every slice as 256 x 256"), ("trees", "in one pass")):
        assert TrainingSettings.recipe(network, scale=1.0).scale == 1
        with pytest.raises(UserError, match=f"Scale has no effect on '{network}', .*{why}"):
            TrainingSettings.recipe(network, scale=2)
    with pytest.raises(UserError, match="Scale"):
        TrainingSettings.recipe(scale=5)


@pytest.mark.parametrize("chosen", [1, 2, 4, 8])
def test_only_compact_is_averaged_over_orientations(chosen):
    settings = PredictionSettings(orientations=chosen)
    found = [settings.orientations_for(name) for name in ("compact", "reference", "ridge")]
    assert found == [chosen, 1, 1]


def test_predictions_are_averaged_over_two_orientations_unless_told_otherwise():
    assert PredictionSettings().orientations_for("compact") == 2


def test_a_number_of_orientations_that_is_none_is_refused_with_those_that_there_are():
    with pytest.raises(UserError, match=r"Orientations: Input should be 1, 2, 4 or 8 \(given: 3\)"):
        validated(PredictionSettings, orientations=3)


@pytest.mark.parametrize("settings", [PredictionSettings, CellSettings])
@pytest.mark.parametrize(
    "wrong", [(16, 2048), (0, 2048, 2048), (1.5, 2048, 2048), "16x2048x2048", 5, (True, 512, 512)], ids=str
)
def test_shards_are_three_whole_numbers(settings, wrong):
    assert settings(shards=[16, 2048, 2048]).shards == (16, 2048, 2048)
    with pytest.raises(UserError, match=r"^Shards \(voxels\): three whole numbers of 1 or more are needed"):
        validated(settings, shards=wrong)
