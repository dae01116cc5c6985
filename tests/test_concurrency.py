"""Reading ahead: in order, only as far as asked, and without a thread that stays."""

import threading
import time

import pytest

from aepsl.concurrency import read_ahead


def readers():
    return [thread for thread in threading.enumerate() if thread.name.startswith("read-ahead")]


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("ahead", [0, 1, 5])
def test_results_come_in_order(threads, ahead):
    def slowly(number):
        time.sleep(0.002 * (number % 3))
        return number * number

    with read_ahead(slowly, range(20), ahead=ahead, threads=threads) as found:
        assert list(found) == [number**2 for number in range(20)]
    with read_ahead(slowly, [], ahead=ahead, threads=threads) as found:
        assert list(found) == []


def test_only_the_next_items_are_asked_for():
    asked = []

    def items():
        for number in range(100):
            asked.append(number)
            yield number

    with read_ahead(str, items(), ahead=3) as results:
        assert next(results) == "0"
        assert asked == [0, 1, 2, 3]
        assert next(results) == "1"
        assert asked == [0, 1, 2, 3, 4]
    assert not readers()


def test_an_error_comes_in_its_turn():
    def failing(number):
        if number == 2:
            raise ValueError("the third")
        return number

    with (
        pytest.raises(ValueError, match="the third"),
        read_ahead(failing, range(10), ahead=5) as results,
    ):
        assert [next(results), next(results)] == [0, 1]
        next(results)
    assert not readers()
