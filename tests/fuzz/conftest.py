"""Property tests run a few examples each in the suite, and for a given time by `make fuzz`.

`FUZZ_SECONDS` is the time of all properties of a run together, in seconds; each runs in rounds, with another seed in
every round, until its share is over. `FUZZ_SEED` is the seed of the first round. The same seed gives the same examples.
"""

from __future__ import annotations

import os
import time
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, seed, settings

SECONDS, SEED = float(os.environ.get("FUZZ_SECONDS", "0")), int(os.environ.get("FUZZ_SEED", "0"))
EXAMPLES, EXAMPLES_PER_ROUND = 15, 100
"""Examples of a property in the suite, and in a round of `make fuzz`."""
RAN = pytest.StashKey[list[tuple[str, int, float]]]()
"""Name, examples and seconds of each property of the run."""

common = settings(deadline=None, database=None, suppress_health_check=list(HealthCheck), print_blob=False)
settings.register_profile("suite", common, max_examples=EXAMPLES, derandomize=True)
settings.register_profile("fuzz", common, max_examples=EXAMPLES_PER_ROUND)
settings.load_profile("fuzz" if SECONDS else "suite")


def is_property(item: pytest.Item) -> bool:
    return isinstance(item, pytest.Function) and hasattr(item.obj, "hypothesis")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Lets a property run for its share of the time, whatever the limit of other tests is."""
    for item in filter(is_property, items):
        if SECONDS:
            item.add_marker(pytest.mark.timeout(300 + SECONDS / len(items)))


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Runs a property in rounds until its share of the time is over; outside of `make fuzz` once, as pytest does."""
    if not SECONDS or not is_property(pyfuncitem):
        return None
    share = SECONDS / sum(map(is_property, pyfuncitem.session.items))
    function, num_examples, start = pyfuncitem.obj, 0, time.monotonic()
    body = function.hypothesis.inner_test

    def counted(*arguments: Any, **named: Any) -> None:
        nonlocal num_examples
        num_examples += 1
        body(*arguments, **named)

    function.hypothesis.inner_test = counted
    named = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    try:
        for number in count(SEED):
            seed(number)(function)
            function(**named)
            if time.monotonic() - start > share:
                return True
    finally:
        ran = pyfuncitem.config.stash.setdefault(RAN, [])
        ran.append((pyfuncitem.nodeid, num_examples, time.monotonic() - start))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    ran = config.stash.get(RAN, [])
    for name, num_examples, seconds in ran:
        terminalreporter.write_line(f"{name}: {num_examples} examples in {seconds:.0f} s")
    if ran:
        num_examples, seconds = (sum(row[column] for row in ran) for column in (1, 2))
        rate = num_examples / max(seconds, 1e-9)
        terminalreporter.write_line(
            f"{len(ran)} properties, {num_examples} examples, {rate:.0f} per second, from seed {SEED}"
        )
