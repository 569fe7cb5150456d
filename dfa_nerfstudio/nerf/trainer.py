"""nerfstudio's trainer, for runs that can be interrupted at any moment and end as if they had not been."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Literal, cast

from nerfstudio.engine.trainer import TRAIN_INTERATION_OUTPUT, Trainer
from nerfstudio.utils.decorators import check_main_thread
from nerfstudio.utils.rich_utils import CONSOLE

from dfa_nerfstudio.atomic_write import discard_partial_files
from dfa_nerfstudio.errors import INTERRUPTED, exit_on_user_error
from dfa_nerfstudio.media.torch_file import save_torch
from dfa_nerfstudio.nerf.checkpoint_check import check_checkpoint, newest_readable_checkpoint
from dfa_nerfstudio.nerf.kernels.numba_threads import torch_in_one_thread
from dfa_nerfstudio.nerf.pipeline import TalkingHeadPipeline
from dfa_nerfstudio.nerf.processes import largest


class TalkingHeadTrainer(Trainer):
    """Resumes a run where it stopped, instead of training as many steps again, and saves it when it is interrupted.

    `max_num_iterations` is the number of steps of the whole run. What the optimisers, the pipeline and the random
    numbers need to go on exactly is in the checkpoint (`TalkingHeadPipeline.get_extra_state`).
    """

    _last_step = sys.maxsize
    """Number of the step that was trained last."""
    _interrupted = False
    """Whether training ends after the current step, because of Ctrl-C or SIGTERM."""

    def setup(self, test_mode: Literal["test", "val", "inference"] = "val") -> None:
        """Prepares everything; an interrupt ends it with one line."""
        with exit_on_user_error():
            discard_partial_files(self.checkpoint_dir)
            super().setup(test_mode)

    def train(self) -> None:
        """Trains until the end of the schedule.

        Raises:
            SystemExit: with code 130 after an interrupt (Ctrl-C or SIGTERM) whose checkpoint has been saved.
        """
        total = self.config.max_num_iterations
        if self._start_step >= total:
            CONSOLE.print(f"the run is complete: it has {total} steps; more come with a larger --max-num-iterations")
            return
        if self._start_step:
            CONSOLE.print(f"resuming at step {self._start_step} of {total}")
        self._last_step = self._start_step - 1
        self.config.max_num_iterations = total - self._start_step  # nerfstudio counts from the start of this process
        try:
            with exit_on_user_error(), self._stop_at_interrupt(), self._threads():
                super().train()
        finally:
            self.config.max_num_iterations = total
        if self._interrupted:
            raise SystemExit(INTERRUPTED)

    def train_iteration(self, step: int) -> TRAIN_INTERATION_OUTPUT:
        """Runs one step."""
        result = super().train_iteration(step)
        self._last_step = step
        if largest(self._interrupted):
            # the second again, because nerfstudio forgets what was set before the first step
            self._interrupted = self.stop_training = True
        return result

    def _after_train(self) -> None:
        by_steps = self._last_step + 1 >= self._start_step + self.config.max_num_iterations
        pipeline = cast(TalkingHeadPipeline, self.pipeline)
        if by_steps or pipeline.schedule.progress >= 1.0:  # also if an interrupt came with the last step
            pipeline.weight_average.apply()
        super()._after_train()

    @check_main_thread
    def save_checkpoint(self, step: int) -> None:
        """Writes a checkpoint atomically and removes the older ones."""
        step = min(step, self._last_step)  # nerfstudio names one step too many after an early stop
        path = self.checkpoint_dir / f"step-{step:09d}.ckpt"
        pipeline = getattr(self.pipeline, "module", self.pipeline)
        state = {
            "step": step,
            "pipeline": pipeline.state_dict(),
            "optimizers": {name: one.state_dict() for name, one in self.optimizers.optimizers.items()},
            "schedulers": {name: one.state_dict() for name, one in self.optimizers.schedulers.items()},
            "scalers": self.grad_scaler.state_dict(),
        }
        with exit_on_user_error():
            save_torch(state, path)
        if self.config.save_only_latest_checkpoint:
            for other in self.checkpoint_dir.glob("step-*.ckpt"):
                if other != path:
                    other.unlink()

    def _load_checkpoint(self) -> None:
        config = self.config
        with exit_on_user_error():
            if config.load_dir is not None:
                folder, step, config.load_dir = config.load_dir, config.load_step, None
                named = None if step is None else folder / f"step-{step:09d}.ckpt"
                config.load_checkpoint = named or newest_readable_checkpoint(folder)
            if config.load_checkpoint is not None:
                check_checkpoint(config.load_checkpoint)
        super()._load_checkpoint()

    def _threads(self) -> contextlib.AbstractContextManager[None]:
        model = cast(TalkingHeadPipeline, self.pipeline).model
        return torch_in_one_thread() if model.renderer.trains_compiled(model.device) else contextlib.nullcontext()

    @contextlib.contextmanager
    def _stop_at_interrupt(self) -> Iterator[None]:
        """Ends the training after the current step at SIGINT or SIGTERM; at the second one at once."""

        def stop(number: int, frame: FrameType | None) -> None:
            if self._interrupted and self.world_size > 1 and number == signal.SIGTERM:
                return  # nerfstudio sends it to all its processes after their Ctrl-C
            if self._interrupted:
                raise KeyboardInterrupt
            self._interrupted = self.config.viewer.quit_on_train_completion = True
            self.stop_training = self.world_size == 1  # several processes agree on the last step first
            CONSOLE.print("interrupted: saving a checkpoint after this step; once more: end at once")

        if threading.current_thread() is not threading.main_thread():
            yield  # signals reach the main thread alone
            return
        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
