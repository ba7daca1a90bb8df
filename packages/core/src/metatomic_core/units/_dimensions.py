"""Names of dimensions: what a list of exponents is called, and what a name stands for.

Scripted: the same rules as in `_unit_parser` hold here. A dimension is given as the last five of
six numbers, ``[factor, L, M, T, I, Theta]``, which is what `_unit_parser.parse_unit` returns.
"""


def dimension_names() -> dict[str, list[float]]:
    """Return the named dimensions: name -> exponents of L, M, T, I, Theta, all different."""
    return {
        "none": [0.0, 0.0, 0.0, 0.0, 0.0],
        "length": [1.0, 0.0, 0.0, 0.0, 0.0],
        "mass": [0.0, 1.0, 0.0, 0.0, 0.0],
        "time": [0.0, 0.0, 1.0, 0.0, 0.0],
        "temperature": [0.0, 0.0, 0.0, 0.0, 1.0],
        "energy": [2.0, 1.0, -2.0, 0.0, 0.0],
        "force": [1.0, 1.0, -2.0, 0.0, 0.0],
        "pressure": [-1.0, 1.0, -2.0, 0.0, 0.0],
        "velocity": [1.0, 0.0, -1.0, 0.0, 0.0],
        "momentum": [1.0, 1.0, -1.0, 0.0, 0.0],
        "charge": [0.0, 0.0, 1.0, 1.0, 0.0],
        "dipole": [1.0, 0.0, 1.0, 1.0, 0.0],
        "magnetic_moment": [2.0, 0.0, 0.0, 1.0, 0.0],
        "heat_flux": [3.0, 1.0, -3.0, 0.0, 0.0],
        "area": [2.0, 0.0, 0.0, 0.0, 0.0],
        "volume": [3.0, 0.0, 0.0, 0.0, 0.0],
        "density": [-3.0, 1.0, 0.0, 0.0, 0.0],
        "wavenumber": [-1.0, 0.0, 0.0, 0.0, 0.0],
        "frequency": [0.0, 0.0, -1.0, 0.0, 0.0],
        "acceleration": [1.0, 0.0, -2.0, 0.0, 0.0],
        "action": [2.0, 1.0, -1.0, 0.0, 0.0],
        "power": [2.0, 1.0, -3.0, 0.0, 0.0],
        "viscosity": [-1.0, 1.0, -1.0, 0.0, 0.0],
        "entropy": [2.0, 1.0, -2.0, 0.0, -1.0],
        "current": [0.0, 0.0, 0.0, 1.0, 0.0],
        "voltage": [2.0, 1.0, -3.0, -1.0, 0.0],
        "electric_field": [1.0, 1.0, -3.0, -1.0, 0.0],
    }


def same_dimension(a: list[float], b: list[float]) -> bool:
    """Say whether two values have the same exponents, up to the rounding of fractional powers."""
    for i in range(1, 6):
        if abs(a[i] - b[i]) > 1e-9:
            return False
    return True


def dimension_name(value: list[float]) -> str:
    """Return the name of the dimension of a value, empty if it has none."""
    names = dimension_names()
    for name in names:
        if same_dimension(value, [1.0] + names[name]):
            return name
    return ""


def describe_dimension(value: list[float]) -> str:
    """Return the name of a dimension, or else its powers, as in ``L^2 T^(-1/2)``."""
    name = dimension_name(value)
    if name == "none":
        return "no dimension"
    if name != "":
        return name
    powers: list[str] = []
    symbols = ["L", "M", "T", "I", "Theta"]
    for i in range(5):
        exponent = value[i + 1]
        if abs(exponent) > 1e-9:
            powers.append(f"{symbols[i]}^{_fraction(exponent)}")
    return " ".join(powers)


def _fraction(x: float) -> str:
    """Write a number as the simplest fraction that it is, or else in thousandths."""
    for denominator in range(1, 13):
        numerator = int(round(x * denominator))  # noqa: RUF046 (scripted)
        if abs(x * denominator - numerator) < 1e-9:
            if denominator == 1:
                return f"{numerator}"
            return f"({numerator}/{denominator})"
    thousandths = int(round(x * 1000.0))  # noqa: RUF046 (scripted)
    return f"({thousandths}/1000)"
