"""Silence around the packages of families: what they warn and print is about themselves, not about what was asked."""

import contextlib
import io
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def quiet_package() -> Iterator[None]:
    """Silence warnings and standard output; errors come through."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
