"""Inputs of models that ASE has, from the table by which the calculator finds them."""

from rst import code, table

from metatomic_ase._convert import SOURCES


def inputs_of_ase() -> str:
    """Give the table."""
    rows = [[code(name), kind, code(source.where)] for (name, kind), source in SOURCES.items()]
    for kind, place in (("atom", "arrays"), ("system", "info")):
        rows.append([code(f"ase::{place}::NAME"), kind, code(f"atoms.{place}[NAME]")])
        rows.append(["any other, " + code("mine::NAME"), kind, code(f"atoms.{place}[NAME]")])
    return table(["input that a model requests", "samples", "from"], rows, [35, 15, 50])
