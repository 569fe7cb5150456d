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
