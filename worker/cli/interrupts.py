"""Ctrl-C before a command works. Little is imported here, since it may come meanwhile."""

import signal


def end_by_ctrl_c() -> bool:
    """Let Ctrl-C end the process, by the signal; Python would raise in the midst of an import.

    Returns:
        False where it stays as it is: ignored, as in the background, or handled by others.
    """
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return False
    try:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    except ValueError:  # imported by a thread of another program, whose signals are its own
        return False
    return True


class EndedByCtrlC:
    """So it is within a `with` block."""

    def __enter__(self) -> None:
        self._changed = end_by_ctrl_c()

    def __exit__(self, *_: object) -> None:
        if self._changed:
            signal.signal(signal.SIGINT, signal.default_int_handler)
