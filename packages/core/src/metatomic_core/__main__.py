"""``python -m metatomic_core``: the ``metatomic`` command without its console script."""

from metatomic_core.cli import main

if __name__ == "__main__":
    main()
