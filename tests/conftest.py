"""Settings shared by all tests, and the summary of the accuracy they saw."""

from collections import Counter

import hypothesis
import pytest

from fastconv import _runtime, _workers

# Threads share their work out, and with some luck get in each other's way, on any machine.
_runtime.set_processors(8, 0)

# No limits on time: no test depends on the speed of the machine. The same examples in every run:
# whoever sees a failure can repeat it.
hypothesis.settings.register_profile(
    "fastconv",
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
    derandomize=True,
    database=None,
)
hypothesis.settings.load_profile("fastconv")


def pytest_addoption(parser):
    parser.addoption("--every", type=int, default=1, help="one in so many cases of each test")
    parser.addoption("--first", type=int, default=0, help="the number of the first of them")


def pytest_collection_modifyitems(config, items):
    every, first = config.getoption("every"), config.getoption("first")
    cases = Counter()
    chosen, others = [], []
    for item in items:
        name = item.nodeid.partition("[")[0]
        (chosen if cases[name] % every == first else others).append(item)
        cases[name] += 1
    items[:] = chosen
    if others:
        config.hook.pytest_deselected(items=others)


@pytest.fixture
def processors_of_the_machine():
    """Processors as they are counted without tests."""
    _workers.look_at_machine()
    yield
    _runtime.set_processors(8, 0)


_largest = pytest.StashKey[dict[str, float]]()


@pytest.fixture
def record_ratio(request):
    """Function (name, err/bound) that keeps the largest ratio seen under a name."""
    largest = request.config.stash.setdefault(_largest, {})

    def record(name, ratio):
        largest[name] = max(ratio, largest.get(name, 0.0))

    return record


def pytest_terminal_summary(terminalreporter, config):
    largest = config.stash.get(_largest, {})
    if largest:
        terminalreporter.section("largest error, as a share of its bound")
        for name, ratio in sorted(largest.items()):
            terminalreporter.line(f"{name:<40} {ratio:.4f}")
