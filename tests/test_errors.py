"""Commands that are interrupted end with one line."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from dfa_nerfstudio.errors import exit_on_user_error


@pytest.fixture
def usual_sigterm() -> Iterator[None]:
    """SIGTERM without the handler that another test's library has set."""
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("usual_sigterm")
def test_sigterm_ends_a_command_like_an_interrupt_after_its_cleanup(capsys: pytest.CaptureFixture[str]) -> None:
    cleaned_up = []
    with pytest.raises(SystemExit) as ended, exit_on_user_error():
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            signal.pause()
        finally:
            cleaned_up.append(True)
    assert ended.value.code == 130 and cleaned_up and capsys.readouterr().err == "interrupted\n"
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
