"""Network that is quick to compile, for tests of what surrounds a network; it imports Keras."""

import keras
from keras import layers


def small_network(network: str, mixed_precision: bool = False) -> keras.Model:
    """Stand-in for `unet.build`, with the dropout of `reference`."""
    image = layers.Input((None, None, 1))
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(image)
    x = layers.Dropout(0.5)(x)
    return keras.Model(image, layers.Conv2D(1, 1, activation="sigmoid")(x))
