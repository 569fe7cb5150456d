"""Commands that are interrupted end with one line."""

from __future__ import annotations

import os
import signal

import pytest

from dfa_nerfstudio.errors import exit_on_user_error


def test_sigterm_ends_a_command_like_an_interrupt_after_its_cleanup(capsys: pytest.CaptureFixture[str]) -> None:
    cleaned_up = []
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)  # Ray, in another test, sets a handler
    with pytest.raises(SystemExit) as ended, exit_on_user_error():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            signal.pause()
        finally:
            cleaned_up.append(True)
    assert ended.value.code == 130 and cleaned_up and capsys.readouterr().err == "interrupted\n"
    assert signal.signal(signal.SIGTERM, before) is signal.SIG_DFL


def test_an_interrupt_within_the_garbage_collector_is_not_lost(capsys: pytest.CaptureFixture[str]) -> None:
    class Garbage:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.raises(SystemExit) as ended, exit_on_user_error():
        Garbage()
        signal.pause()
    signal.signal(signal.SIGINT, before)
    assert ended.value.code == 130 and capsys.readouterr().err == "interrupted\n"


def test_an_interrupt_that_an_import_turned_into_another_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended, exit_on_user_error():
        raise ImportError("initialization failed") from KeyboardInterrupt()
    assert ended.value.code == 130 and capsys.readouterr().err == "interrupted\n"
    with pytest.raises(ImportError), exit_on_user_error():
        raise ImportError("no such module")
