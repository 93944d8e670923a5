"""Keep the log lines of the quantizers' libraries off the terminal."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from edgekws.core.environment import environ_set

# The loggers to which neural-compressor, torch, torchao and onnxruntime's tools add handlers.
LOGGERS = ("", "neural_compressor", "torch", "torch.onnx", "torchao")

LOG_SETTINGS = {"ENABLE_CONSOLE": "0", "LOG_LEVEL_INC": "6", "LOGLEVEL": "INFO"}
"""Variables that neural-compressor, torch and torchao read at import; 6 means no log file.

Otherwise neural-compressor writes one under HOME, and its import fails if it cannot. Imports also
fail if these variables have values meant for other programs, such as `ENABLE_CONSOLE=yes` or
`LOGLEVEL=verbose`.
"""


class _Errors(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@contextmanager
def captured_log() -> Iterator[list[str]]:
    """Keep log lines and warnings off the terminal; yield the messages logged as errors.

    Replaces handlers rather than the standard streams, so that a live progress display keeps its
    terminal.
    """
    collector = _Errors()
    before = {name: logging.getLogger(name).handlers for name in LOGGERS}
    with environ_set(LOG_SETTINGS), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in LOGGERS:
            logging.getLogger(name).handlers = [collector]
        try:
            yield collector.lines
        finally:
            for name, handlers in before.items():
                logger = logging.getLogger(name)
                # A library imported in the meantime may have set its own handler: keep it.
                if collector in logger.handlers:
                    logger.handlers = handlers
