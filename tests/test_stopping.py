"""Signals: obeyed, noted, or, for the seconds that a finished job needs, left alone."""

import os
import signal
import sys

import pytest

from aepsl import cli
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


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_does_not_break_into_the_exit(stoppable, monkeypatch, capsys, number):
    monkeypatch.setattr(cli, "app", lambda: signal.raise_signal(number))
    monkeypatch.setattr(os, "_exit", sys.exit)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 128 + number
    signal.raise_signal(number)  # as impatient people do
    assert f"stopped by {number.name}" in capsys.readouterr().err
