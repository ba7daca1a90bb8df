"""``python -m metatomic_core.cli``: the ``metatomic`` command without its console script."""

from . import main

if __name__ == "__main__":
    main()
