"""The lines that the quantizers' libraries log, kept off the terminal."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from edgekws.core.environment import environ_set

# Where neural-compressor, torch, torchao and onnxruntime's Python tools hang their handlers.
LOGGERS = ("", "neural_compressor", "torch", "torch.onnx", "torchao")

LOG_SETTINGS = {"ENABLE_CONSOLE": "0", "LOG_LEVEL_INC": "6", "LOGLEVEL": "INFO"}
"""What neural-compressor, torch and torchao read when they are imported; 6 means no log file.

Otherwise neural-compressor writes one under HOME and cannot be imported where that fails. Nor can
they where these variables have values meant for other programs, such as `ENABLE_CONSOLE=yes` or
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

    Handlers are swapped rather than the standard streams, so that a live progress display keeps
    its terminal meanwhile.
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
                # A library imported meanwhile may have set up its own handler: keep that one.
                if collector in logger.handlers:
                    logger.handlers = handlers
