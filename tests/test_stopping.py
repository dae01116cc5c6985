"""Signals: obeyed, noted, or, for the seconds that a finished job needs, left alone."""

import os
import signal

import pytest

from aepsl.stopping import Stopped, finishing, stop_on_signals


@pytest.fixture
def stoppable():
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    stop_on_signals()
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_is_finished_is_put_away_whatever_comes(stoppable, number):
    with pytest.raises(Stopped):
        os.kill(os.getpid(), number)
    put_away = False
    with finishing():
        os.kill(os.getpid(), number)
        put_away = True
    assert put_away
    with pytest.raises(Stopped):
        os.kill(os.getpid(), number)
