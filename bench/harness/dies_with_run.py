"""The first thing that the fork server imports: it dies when the run does, were it killed while this loads torch.

By itself the server looks whether the run is still there only once it has loaded everything, on a slow disk 15 s later.
"""

import ctypes
import os
import signal
import sys

WITH = "PACELINE_DIES_WITH"  # the process id of the run, where its main thread starts the server

SET_PARENT_DEATH_SIGNAL = 1  # of ``linux/prctl.h``


def die_with(run: int) -> None:
    """Have the kernel kill this process when the thread that started it, of the process ``run``, ends."""
    ctypes.CDLL(None).prctl(SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != run:  # it had ended before
        os._exit(1)


if WITH in os.environ and sys.platform == "linux":
    die_with(int(os.environ.pop(WITH)))
