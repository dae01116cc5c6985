"""Signals: handled, recorded, or blocked while a job finishes."""

import os
import signal
import sys

import pytest

from aepsl import cli
from aepsl.signals import Stopped, signals_blocked, stop_on_signals


@pytest.fixture
def stoppable():
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    stop_on_signals()
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_finished_job_is_stored_despite_a_signal(stoppable, number):
    with pytest.raises(Stopped):
        os.kill(os.getpid(), number)
    put_away = False
    with signals_blocked():
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
