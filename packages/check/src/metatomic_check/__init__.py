"""Tells whether a model may be believed: ``metatomic check MODEL``.

A `Check` is one question to a model; the table `CHECKS` has all of them, from the folder ``checks``.  `check_model` asks
them and gives a `Report` of findings, each with a grade, a number and its limit, and the structures that it is about.
Models are evaluated through `metatomic_core.engine`, and in the simulation engines through the subjects of
`metatomic_core.testing`.
"""
