"""Ctrl-C before a command works. This module imports little, since Ctrl-C may come meanwhile."""

import signal


def end_by_ctrl_c() -> bool:
    """Let SIGINT end the process at once; Python would raise in the midst of an import.

    Returns:
        False where the handler stays: ignored, as in the background, or set by others.
    """
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return False
    try:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    except ValueError:  # imported by a thread of another program, whose signals are its own
        return False
    return True


class EndedByCtrlC:
    """Let SIGINT end the process within a `with` block."""

    def __enter__(self) -> None:
        self._changed = end_by_ctrl_c()

    def __exit__(self, *_: object) -> None:
        if self._changed:
            signal.signal(signal.SIGINT, signal.default_int_handler)
