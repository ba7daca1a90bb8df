"""Tells whether a model may be believed: ``metatomic check MODEL``.

A check is one question to a model; ``table`` has all of them, from the folder ``checks``.  `check_model` asks them and
gives a report of findings, each with a grade, a number and its limit, and the structures that it is about.
Models are evaluated through `metatomic_core.engine`, and in the simulation engines through the subjects of
`metatomic_core.testing`.
"""
