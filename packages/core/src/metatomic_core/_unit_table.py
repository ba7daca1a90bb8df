"""The one table of units: names, SI factors, dimensions and allowed SI prefixes.

Nothing here parses or converts: see `_unit_parser` (scripted) and `units` (public). A unit is
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

# Exact by definition of the SI
_SPEED_OF_LIGHT = 299792458.0  # m/s
_ELEMENTARY_CHARGE = 1.602176634e-19  # C
_BOLTZMANN = 1.380649e-23  # J/K
_AVOGADRO = 6.02214076e23
_PLANCK = 6.62607015e-34  # J s
# Measured, CODATA 2018
_BOHR = 5.29177210903e-11  # m
_HARTREE = 4.3597447222071e-18  # J
_DALTON = 1.66053906660e-27  # kg
_ELECTRON_MASS = 9.1093837015e-31  # kg
_ATOMIC_TIME = 2.4188843265857e-17  # s

# Exponents of length, mass, time, electric current and temperature
_NONE = (0, 0, 0, 0, 0)
_LENGTH = (1, 0, 0, 0, 0)
_VOLUME = (3, 0, 0, 0, 0)
_MASS = (0, 1, 0, 0, 0)
_TIME = (0, 0, 1, 0, 0)
_FREQUENCY = (0, 0, -1, 0, 0)
_CURRENT = (0, 0, 0, 1, 0)
_TEMPERATURE = (0, 0, 0, 0, 1)
_ENERGY = (2, 1, -2, 0, 0)
_POWER = (2, 1, -3, 0, 0)
_ACTION = (2, 1, -1, 0, 0)
_FORCE = (1, 1, -2, 0, 0)
_PRESSURE = (-1, 1, -2, 0, 0)
_VISCOSITY = (-1, 1, -1, 0, 0)
_CHARGE = (0, 0, 1, 1, 0)
_DIPOLE = (1, 0, 1, 1, 0)
_VOLTAGE = (2, 1, -3, -1, 0)
_ENTROPY = (2, 1, -2, 0, -1)

# symbol -> (word, factor)
_PREFIXES = {
    "z": ("zepto", 1e-21),
    "a": ("atto", 1e-18),
    "f": ("femto", 1e-15),
    "p": ("pico", 1e-12),
    "n": ("nano", 1e-9),
    "u": ("micro", 1e-6),
    "m": ("milli", 1e-3),
    "c": ("centi", 1e-2),
    "d": ("deci", 1e-1),
    "h": ("hecto", 1e2),
    "k": ("kilo", 1e3),
    "M": ("mega", 1e6),
    "G": ("giga", 1e9),
    "T": ("tera", 1e12),
}

# symbols, words, SI factor, dimension, prefixes allowed. No "h" for bar: hbar is the constant.
# fmt: off
_UNITS: tuple[tuple[str, str, float, tuple[int, ...], str], ...] = (
    # length
    ("m", "meter metre", 1.0, _LENGTH, "a f p n u m c d k"),
    ("A Å", "angstrom ang ångström ångstrom angström", 1e-10, _LENGTH, ""),
    ("a0 a_0", "bohr", _BOHR, _LENGTH, ""),
    ("", "micron", 1e-6, _LENGTH, ""),
    # volume; ang3, angstrom3, cm3 are how i-PI writes them
    ("l L", "liter litre", 1e-3, _VOLUME, "u m"),
    ("ang3", "angstrom3", 1e-30, _VOLUME, ""),
    ("cm3", "", 1e-6, _VOLUME, ""),
    # mass
    ("g", "gram", 1e-3, _MASS, "z a f p n u m k M"),
    ("u amu", "", _DALTON, _MASS, ""),
    ("Da", "dalton", _DALTON, _MASS, "k M"),
    ("m_e", "electron_mass electronmass", _ELECTRON_MASS, _MASS, ""),
    # time and frequency
    ("s", "second", 1.0, _TIME, "a f p n u m"),
    ("aut", "atomic_time atomic_time_unit", _ATOMIC_TIME, _TIME, ""),
    ("Hz", "hertz", 1.0, _FREQUENCY, "m k M G T"),
    # energy
    ("J", "joule", 1.0, _ENERGY, "z a f p n u m k M G"),
    ("cal", "calorie", 4.184, _ENERGY, "m k M"),
    ("eV", "electronvolt", _ELEMENTARY_CHARGE, _ENERGY, "n u m k M G"),
    ("Ha Eh E_h", "hartree", _HARTREE, _ENERGY, "u m"),
    ("Ry", "rydberg", _HARTREE / 2, _ENERGY, "u m"),
    ("erg", "erg", 1e-7, _ENERGY, ""),
    ("invcm", "", 100.0 * _PLANCK * _SPEED_OF_LIGHT, _ENERGY, ""),  # as in ASE
    ("W", "watt", 1.0, _POWER, "n u m k M"),
    # force, pressure, viscosity
    ("N", "newton", 1.0, _FORCE, "f p n u m k M"),
    ("dyn", "dyne", 1e-5, _FORCE, ""),
    ("Pa", "pascal", 1.0, _PRESSURE, "n u m h k M G T"),
    ("bar", "bar", 1e5, _PRESSURE, "u m k M G"),
    ("atm", "atmosphere", 101325.0, _PRESSURE, ""),
    ("Torr", "torr", 101325.0 / 760.0, _PRESSURE, "m"),
    ("", "barye", 0.1, _PRESSURE, ""),
    ("P", "poise", 0.1, _VISCOSITY, "u m c"),
    # temperature
    ("K", "kelvin", 1.0, _TEMPERATURE, "n u m"),
    # electricity. "A" is angstrom, so the ampere has no symbol
    ("", "ampere amp", 1.0, _CURRENT, "f p n u m k"),
    ("C", "coulomb", 1.0, _CHARGE, "a f p n u m k"),
    ("e", "elementary_charge", _ELEMENTARY_CHARGE, _CHARGE, ""),
    ("esu", "statcoulomb statcoul", 0.1 / _SPEED_OF_LIGHT, _CHARGE, ""),
    ("V", "volt", 1.0, _VOLTAGE, "n u m k M"),
    ("", "statvolt", 1e-6 * _SPEED_OF_LIGHT, _VOLTAGE, ""),
    ("D", "debye", 1e-21 / _SPEED_OF_LIGHT, _DIPOLE, ""),
    ("eang", "", _ELEMENTARY_CHARGE * 1e-10, _DIPOLE, ""),  # as in i-PI
    # constants and pure numbers
    ("hbar ħ", "", _PLANCK / (2 * math.pi), _ACTION, ""),
    ("k_B kB", "", _BOLTZMANN, _ENTROPY, ""),
    ("mol", "mole", _AVOGADRO, _NONE, "p n u m k"),
    ("deg °", "degree", math.pi / 180, _NONE, ""),
    ("rad", "radian", 1.0, _NONE, ""),
)
# fmt: on

# One-letter symbols that may also be written in lower case, as the reference interface and i-PI allow
_LOWER_LETTERS = {"A": "a", "C": "c", "D": "d", "J": "j", "K": "k", "V": "v"}
# Symbols for which capitals would read as a product: Nm is N m, Cm is C m, As is ampere second
_EXACT_CASE = ("m", "s")
# Prefixes that mean something else in the other case
_TWO_CASED_PREFIXES = "mMpP"

# Last number of a row of the table: how the name may be written
_EXACT, _LOWER_ALIAS, _ANY_CASE, _WORD = 0.0, 1.0, 2.0, 3.0


def _add(table: dict[str, list[float]], name: str, unit: list[float], case: float) -> None:
    known = table.get(name)
    if known is None:
        table[name] = [*unit, case]
    elif known[:6] == unit:
        known[6] = max(known[6], case)
    else:
        raise ValueError(f"expected one meaning for each name in the unit table, got two for '{name}'")


def _add_symbol(table: dict[str, list[float]], symbol: str, prefix: str, factor: float, dims: list[float]) -> None:
    """Add a symbol, with a Greek mu for micro too, and its lower case if unambiguous."""
    unit = [factor, *dims]
    name = prefix + symbol
    fixed = symbol in _EXACT_CASE or len(name) == 1 or (prefix and prefix in _TWO_CASED_PREFIXES)
    lower_is_free = not fixed and name.isascii()
    _add(table, name, unit, _ANY_CASE if lower_is_free and name == name.lower() else _EXACT)
    if prefix == "u":
        _add(table, "\u03bc" + symbol, unit, _EXACT)
    if lower_is_free and name != name.lower():
        _add(table, name.lower(), unit, _LOWER_ALIAS)
    if name in _LOWER_LETTERS:
        _add(table, _LOWER_LETTERS[name], unit, _EXACT)


def build_unit_table() -> dict[str, list[float]]:
    """Return a new table, name -> ``[SI factor, L, M, T, I, Theta, case]``.

    L, M, T, I, Theta are the exponents of length, mass, time, electric current and temperature.
    ``case`` says how a name may be written: 0 exactly so, 1 a lower-case spelling of a symbol
    with capitals, in any case, 2 a symbol, in any case, 3 a word, in any case and with a plural
    s.

    Raises
    ------
    ValueError
        If two rows give different meanings to one name.
    """
    table: dict[str, list[float]] = {}
    for symbols, words, factor, exponents, prefixes in _UNITS:
        dims = [float(x) for x in exponents]
        for prefix in ["", *prefixes.split()]:
            prefix_word, scale = _PREFIXES[prefix] if prefix else ("", 1.0)
            for symbol in symbols.split():
                _add_symbol(table, symbol, prefix, scale * factor, dims)
            for word in words.split():
                _add(table, prefix_word + word, [scale * factor, *dims], _WORD)
    return table
