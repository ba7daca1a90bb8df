"""Symbols of the chemical elements, for people: atomic types are atomic numbers, as a rule."""

from typing import Iterable, List

# atomic numbers 1 to 118, IUPAC
_NAMES = (
    "H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr Rb Sr Y Zr "
    "Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu Hf Ta W Re Os Ir "
    "Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr Rf Db Sg Bh Hs Mt Ds Rg Cn Nh "
    "Fl Mc Lv Ts Og"
)
SYMBOLS = tuple(_NAMES.split())


def symbols(atomic_types: Iterable[int]) -> List[str]:
    """Give the symbol of each type; the number itself where there is no such element."""
    return [SYMBOLS[number - 1] if 0 < number <= len(SYMBOLS) else str(number) for number in atomic_types]
