"""``python -m metatomic_ipi`` is ``metatomic-ipi``."""

from .cli import main

main()
