#include "metatomic_units.h"

#include <stdexcept>

namespace metatomic {

// LAMMPS manual, "units".  In style electron LAMMPS moves atoms by velocity times timestep with the
// timestep in fs, and its constants agree (mvv2e = 1.06657236 = amu (bohr/fs)^2 in Hartree):
// velocities are in bohr/fs.  Electronvolts by the
// constants that metatomic_core.units has (CODATA 2018).
const UnitStyle &unit_style(const std::string &name)
{
  static const std::map<std::string, UnitStyle> styles = {
      {"real",
       {"angstrom", 1.0, "kcal/mol", "g/mol", "angstrom/fs", "e", 2.30605, 1.0, 23.06054783061903}},
      {"metal", {"angstrom", 1.0, "eV", "g/mol", "angstrom/ps", "e", 0.1, 1.0, 1.0}},
      {"si", {"m", 1e-10, "J", "kg", "m/s", "C", 1.602177e-20, 1.66053907e-27, 1.602176634e-19}},
      {"cgs",
       {"cm", 1e-8, "erg", "g", "cm/s", "statcoulomb", 1.602177e-13, 1.66053907e-24,
        1.602176634e-12}},
      {"electron",
       {"bohr", 1.0 / 0.529177210903, "Ha", "u", "bohr/fs", "e", 3.674932e-3, 1.0,
        0.03674932217565494}},
      {"micro",
       {"um", 1e-4, "pg*um^2/us^2", "pg", "um/us", "pC", 1.602177e-5, 1.66053907e-12,
        1.602176634e-4}},
      {"nano",
       {"nm", 0.1, "ag*nm^2/ns^2", "ag", "nm/ns", "e", 16.02177, 1.66053907e-6, 160.2176634}},
  };
  if (name == "lj")
    throw std::runtime_error(
        "expected units with a scale for pair style metatomic, got 'lj': the model can not tell "
        "what one sigma or epsilon is; use `units metal` or `units real`");
  auto found = styles.find(name);
  if (found == styles.end())
    throw std::runtime_error("expected units real, metal, si, cgs, electron, micro or nano for "
                             "pair style metatomic, got '" +
                             name + "'");
  return found->second;
}

std::map<std::string, std::string> unit_names(const UnitStyle &style)
{
  return {
      {"mass", style.mass},
      {"velocity", style.velocity},
      {"momentum", "(" + style.mass + ")*(" + style.velocity + ")"},
      {"charge", style.charge},
      {"dipole", style.charge + "*" + style.length},
  };
}

}  // namespace metatomic
