"""Where the files lie that tests read."""

from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
BENCHMARKS = CHECKOUT / "benchmarks"
TEST_DATA = CHECKOUT / "tests" / "data"
ISBI = CHECKOUT.parent / "shared" / "data" / "isbi2012"
