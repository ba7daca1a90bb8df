"""The units, one row each, and the measured and exact constants that they are made of.

Nothing here parses or converts: see `_table`, `_parser` (both scripted, as this is) and `units` (public). A unit is
added by adding a row; the tests parse every name.

Sources
-------
SI : the SI brochure, 9th edition (2019). ``e``, ``k_B``, ``N_A``, ``h`` and ``c`` are exact there.
CODATA 2018 : E. Tiesinga et al., Rev. Mod. Phys. 93, 025010 (2021),
https://doi.org/10.1103/RevModPhys.93.025010
LAMMPS : the ``units`` page of its manual, for the names used by its unit styles; the calorie is
the thermochemical one, 4.184 J.

Gaussian charges (``statcoulomb``, ``statvolt``, ``debye``) are given by the coulomb and the volt
that they correspond to.
"""

import math

from ._dimensions import dimension_names


def prefixes() -> dict[str, tuple[str, str]]:
    """Return the SI prefixes: symbol -> (word, power of ten)."""
    # texts, because torch writes the float 1e12 to files as an integer, and then can not load it
    return {
        "": ("", "0"),
        "z": ("zepto", "-21"),
        "a": ("atto", "-18"),
        "f": ("femto", "-15"),
        "p": ("pico", "-12"),
        "n": ("nano", "-9"),
        "u": ("micro", "-6"),
        "m": ("milli", "-3"),
        "c": ("centi", "-2"),
        "d": ("deci", "-1"),
        "h": ("hecto", "2"),
        "k": ("kilo", "3"),
        "M": ("mega", "6"),
        "G": ("giga", "9"),
        "T": ("tera", "12"),
    }


def base_units() -> list[tuple[str, str, float, list[float], str]]:
    """Return the units: symbols, words, SI factor, dimension, and the SI prefixes that they are used with."""
    # exact by definition of the SI
    light = 299792458.0  # speed, m/s
    charge = 1.602176634e-19  # of the electron, C
    boltzmann = 1.380649e-23  # J/K
    avogadro = 6.02214076e23
    planck = 6.62607015e-34  # J s
    # measured, CODATA 2018
    bohr = 5.29177210903e-11  # m
    hartree = 4.3597447222071e-18  # J
    dalton = 1.66053906660e-27  # kg
    electron_mass = 9.1093837015e-31  # kg
    atomic_time = 2.4188843265857e-17  # s
    bohr_magneton = 9.2740100783e-24  # J/T, which is A m^2
    dims = dimension_names()
    # no "h" for bar: hbar is the constant
    # fmt: off
    return [
        # length
        ("m", "meter metre", 1.0, dims["length"], "a f p n u m c d k"),
        ("A Å", "angstrom ang ångström ångstrom angström", 1e-10, dims["length"], ""),
        ("a0 a_0", "bohr", bohr, dims["length"], ""),
        ("", "micron", 1e-6, dims["length"], ""),
        # volume; ang3, angstrom3, cm3 are how i-PI writes them
        ("l L", "liter litre", 1e-3, dims["volume"], "u m"),
        ("ang3", "angstrom3", 1e-30, dims["volume"], ""),
        ("cm3", "", 1e-6, dims["volume"], ""),
        # mass
        ("g", "gram", 1e-3, dims["mass"], "z a f p n u m k M"),
        ("u amu", "", dalton, dims["mass"], ""),
        ("Da", "dalton", dalton, dims["mass"], "k M"),
        ("m_e", "electron_mass electronmass", electron_mass, dims["mass"], ""),
        # time and frequency
        ("s", "second", 1.0, dims["time"], "a f p n u m"),
        ("aut", "atomic_time atomic_time_unit", atomic_time, dims["time"], ""),
        ("Hz", "hertz", 1.0, dims["frequency"], "m k M G T"),
        # energy
        ("J", "joule", 1.0, dims["energy"], "z a f p n u m k M G"),
        ("cal", "calorie", 4.184, dims["energy"], "m k M"),
        ("eV", "electronvolt", charge, dims["energy"], "n u m k M G"),
        ("Ha Eh E_h", "hartree", hartree, dims["energy"], "u m"),
        ("Ry", "rydberg", hartree / 2, dims["energy"], "u m"),
        ("erg", "erg", 1e-7, dims["energy"], ""),
        ("invcm", "", 100.0 * planck * light, dims["energy"], ""),  # as in ASE
        ("W", "watt", 1.0, dims["power"], "n u m k M"),
        # force, pressure, viscosity
        ("N", "newton", 1.0, dims["force"], "f p n u m k M"),
        ("dyn", "dyne", 1e-5, dims["force"], ""),
        ("Pa", "pascal", 1.0, dims["pressure"], "n u m h k M G T"),
        ("bar", "bar", 1e5, dims["pressure"], "u m k M G"),
        ("atm", "atmosphere", 101325.0, dims["pressure"], ""),
        ("Torr", "torr", 101325.0 / 760.0, dims["pressure"], "m"),
        ("", "barye", 0.1, dims["pressure"], ""),
        ("P", "poise", 0.1, dims["viscosity"], "u m c"),
        # temperature
        ("K", "kelvin", 1.0, dims["temperature"], "n u m"),
        # electricity. "A" is angstrom, so the ampere has no symbol
        ("", "ampere amp", 1.0, dims["current"], "f p n u m k"),
        ("C", "coulomb", 1.0, dims["charge"], "a f p n u m k"),
        ("e", "elementary_charge", charge, dims["charge"], ""),
        ("esu", "statcoulomb statcoul", 0.1 / light, dims["charge"], ""),
        ("V", "volt", 1.0, dims["voltage"], "n u m k M"),
        ("", "statvolt", 1e-6 * light, dims["voltage"], ""),
        ("D", "debye", 1e-21 / light, dims["dipole"], ""),
        ("eang", "", charge * 1e-10, dims["dipole"], ""),  # as in i-PI
        ("mu_B μ_B", "bohr_magneton", bohr_magneton, dims["magnetic_moment"], ""),
        # constants and pure numbers
        ("hbar ħ", "", planck / (2 * math.pi), dims["action"], ""),
        ("k_B kB", "", boltzmann, dims["entropy"], ""),
        ("mol", "mole", avogadro, dims["none"], "p n u m k"),
        ("deg °", "degree", math.pi / 180, dims["none"], ""),
        ("rad", "radian", 1.0, dims["none"], ""),
    ]
    # fmt: on
