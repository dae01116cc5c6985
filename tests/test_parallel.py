"""Many images on several processes: the same results in the same order, and no more than needed."""

import functools

import pytest

from aepsl.stages._parallel import CHUNK, mapped


def noted(folder, number):
    (folder / str(number)).touch()
    if number == 77:
        raise ValueError("the 78th")
    return number * number


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("count", [0, 1, 2, CHUNK, CHUNK + 1, 5 * CHUNK + 3])
def test_results_come_in_order(tmp_path, threads, count):
    work = functools.partial(noted, tmp_path)
    found = list(mapped(work, range(count), threads=threads, what="x"))
    assert found == [n * n for n in range(count)]


def test_no_more_is_made_ahead_than_keeps_the_processes_busy(tmp_path):
    results = mapped(functools.partial(noted, tmp_path), range(75), threads=2, what="x")
    assert next(results) == 0
    results.close()
    assert len(list(tmp_path.iterdir())) <= 6 * CHUNK


def test_an_error_reaches_the_caller(tmp_path):
    with pytest.raises(ValueError, match="the 78th"):
        list(mapped(functools.partial(noted, tmp_path), range(100), threads=2, what="x"))
