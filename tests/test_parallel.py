"""Parallel maps: the same results in the same order, and few computed ahead."""

import functools

import pytest

from aepsl.stages._parallel import CHUNK_SIZE, parallel_map


def record(folder, number):
    (folder / str(number)).touch()
    if number == 77:
        raise ValueError("the 78th")
    return number * number


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("count", [0, 1, 2, CHUNK_SIZE, CHUNK_SIZE + 1, 5 * CHUNK_SIZE + 3])
def test_results_come_in_order(tmp_path, threads, count):
    work = functools.partial(record, tmp_path)
    found = list(parallel_map(work, range(count), threads=threads, what="x"))
    assert found == [n * n for n in range(count)]


def test_few_results_are_computed_ahead(tmp_path):
    results = parallel_map(functools.partial(record, tmp_path), range(75), threads=2, what="x")
    assert next(results) == 0
    results.close()
    assert len(list(tmp_path.iterdir())) <= 6 * CHUNK_SIZE


def test_an_error_reaches_the_caller(tmp_path):
    with pytest.raises(ValueError, match="the 78th"):
        list(parallel_map(functools.partial(record, tmp_path), range(100), threads=2, what="x"))
