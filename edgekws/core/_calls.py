"""`python _calls.py`: call a function for each argument that arrives on standard input.

The caller sends its `sys.path`, the function, and then the arguments. For each of these a pair
follows on standard output: whether the call succeeded, and the result or the error. An error that
is not for users ends the process with its traceback.
"""

import os
import sys
from multiprocessing.connection import Connection


def _serve(calls: "Connection", replies: "Connection") -> None:
    sys.path[:] = calls.recv()
    from edgekws.errors import EdgekwsError

    task = calls.recv()
    while True:
        try:
            argument = calls.recv()
        except EOFError:
            return
        try:
            replies.send((True, task(argument)))
        except EdgekwsError as error:
            replies.send((False, error))


if __name__ == "__main__":
    replies = Connection(os.dup(1), readable=False)
    os.dup2(2, 1)  # what a library prints is no reply
    _serve(Connection(os.dup(0), writable=False), replies)
