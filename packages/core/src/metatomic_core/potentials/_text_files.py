"""Reading of text files with parameters, with errors that say where a file ends or has something else."""

import math
import os
from pathlib import Path
from typing import Any, List, Union

import numpy as np

from metatomic_core.foundation.quoting import in_one_line

PathLike = Union[str, "os.PathLike[str]"]


def read_lines(file: PathLike) -> List[str]:
    """Give the lines of a text file.

    Raises
    ------
    ValueError
        If there is no such file, or it is no text.
    """
    path = Path(file)
    if not path.is_file():
        raise ValueError(f"expected `file` to be an existing file, got '{path}'")
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"expected `file` to be a text file, got other data in '{path}'") from error


class LineReader:
    """Reads words from lines one after the other; comments after "#" and empty lines are left out."""

    def __init__(self, file: PathLike, lines: List[str], start: int):
        self._file = file
        self._lines = lines
        self._next = start

    def words(self, what: str) -> List[str]:
        """Give the words of the next line that has some.

        Raises
        ------
        ValueError
            If the file ends before.
        """
        while self._next < len(self._lines):
            words = self._lines[self._next].partition("#")[0].split()
            self._next += 1
            if words:
                return words
        raise ValueError(f"expected {what} in '{self._file}', got the end of the file; is it complete")

    def numbers(self, n: int, what: str) -> np.ndarray:
        """Give the next n numbers, which may be on several lines, as float64 of the shape (n,).

        Raises
        ------
        ValueError
            If the file ends before, the last line has more numbers, or something is no number.
        """
        values: List[float] = []
        while len(values) < n:
            values += [self.number(word, what) for word in self.words(f"{n} numbers of {what}")]
        if len(values) > n:
            raise self.error(f"{n} numbers of {what}", f"{len(values)}")
        return np.array(values)

    def number(self, word: str, what: str, kind: Any = float) -> Any:
        """Give a word as a finite number.

        Raises
        ------
        ValueError
            If it is none.
        """
        try:
            value = kind(word)
            finite = math.isfinite(value)
        except (ValueError, OverflowError):  # an integer beyond the range of floats
            raise self.error(f"a number for {what}", f"'{word[:40]}'") from None
        if not finite:
            raise self.error(f"a finite number for {what}", f"'{word}'")
        return value

    def rest(self) -> List[str]:
        """Give all words that are left."""
        return [word for line in self._lines[self._next :] for word in line.partition("#")[0].split()]

    def error(self, expected: str, got: str) -> ValueError:
        """Make the error about the line that was read last."""
        return ValueError(f"expected {expected} in line {self._next} of '{self._file}', got {in_one_line(got)}")
