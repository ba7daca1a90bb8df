"""Commands that this package adds to ``metatomic``: ``eval``, ``md`` and ``relax``.

Options and small helpers are in ``_common``, reading and writing of structures in ``_structures``, and the parts of a
molecular dynamics run in modules of their own.
"""
