"""i-PI and its clients as processes: started with a log file each, watched, and stopped."""

import signal
import subprocess
from pathlib import Path
from typing import Dict, List, Optional, Sequence

# Seconds for a process to end after it was asked to.
_PATIENCE = 20.0
_LOG_LINES = 5


class Processes:
    """i-PI and clients, each with a log file.

    Parameters
    ----------
    directory
        Where they run, and where the logs are.
    """

    def __init__(self, directory: Path):
        self._directory = directory
        self._running: Dict[str, "subprocess.Popen[bytes]"] = {}

    def start(self, name: str, command: Sequence[str]) -> None:
        """Start a process, which is called by this name from then on."""
        with self.log(name).open("wb") as log:
            self._running[name] = subprocess.Popen(
                # a session of its own: Ctrl-C reaches only this process, which then stops the others in order
                command,
                cwd=self._directory,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def log(self, name: str) -> Path:
        """Give the path of the log of a process."""
        return self._directory / f"{name}.log"

    def status(self, name: str) -> Optional[int]:
        """Give the exit status of a process; None while it runs."""
        return self._running[name].poll()

    def stop(self, name: str) -> None:
        """Ask a process to end, and end it if it does not."""
        process = self._running.get(name)
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def stop_all(self) -> None:
        """Ask all processes to end, in the order in which they were started."""
        try:
            for name in self._running:
                self.stop(name)
        except BaseException:
            # somebody presses Ctrl-C again: no more patience
            for process in self._running.values():
                process.kill()
            raise

    def last_lines(self, name: str) -> List[str]:
        """Give the last lines of a log."""
        lines = self.log(name).read_text(encoding="utf-8", errors="replace").splitlines()
        return [line for line in lines if line.strip()][-_LOG_LINES:]
