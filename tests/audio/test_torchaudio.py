import threading
import time
from types import ModuleType

import pytest

from edgekws.audio import _torchaudio


def test_threads_load_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one takes out of `sys.modules`, another must not be importing."""
    inside, most = 0, 0

    def slow(name: str) -> ModuleType:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        time.sleep(0.02)
        inside -= 1
        return ModuleType(name)

    monkeypatch.setattr(_torchaudio, "import_module", slow)
    threads = [threading.Thread(target=_torchaudio.load) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == 1
