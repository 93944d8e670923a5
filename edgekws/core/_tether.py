"""`python _tether.py PIPE SCRIPT ARGUMENTS`: runs SCRIPT, and ends with whoever holds the pipe.

Stands alone, so that SCRIPT finds an interpreter that has loaded nothing else. PIPE is the number
of the reading end of a pipe in which nothing is ever written. The operating system closes the other
end when the process that has it ends, also by SIGKILL; then this process is killed, with all of its
group, which are those that SCRIPT has started.
"""

import os
import runpy
import signal
import sys
from threading import Thread


def _end_after(pipe: int) -> None:
    os.read(pipe, 1)
    os.killpg(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    Thread(target=_end_after, args=(int(sys.argv[1]),), daemon=True).start()
    del sys.argv[:2]
    runpy.run_path(sys.argv[0], run_name="__main__")
