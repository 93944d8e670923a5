"""`python _tether.py PIPE SCRIPT ARGUMENTS`: run SCRIPT, and end with the owner of the pipe.

Imports nothing of edgekws, so that SCRIPT gets a clean interpreter. PIPE is the file descriptor of
the read end of a pipe to which nothing is ever written. When the process that holds the write end
ends, even by SIGKILL, the operating system closes it; this process is then killed together with its
process group, that is, with everything that SCRIPT has started.
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
