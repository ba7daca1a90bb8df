// Units of LAMMPS' unit styles, in the names that the pipeline of a model understands.

#ifndef METATOMIC_UNITS_H
#define METATOMIC_UNITS_H

#include <map>
#include <string>

namespace metatomic {

struct UnitStyle {
  std::string length;
  double per_angstrom;  // units of length in one angstrom
  std::string energy;
  std::string mass;
  std::string velocity;
  std::string charge;
  double threshold;      // 0.1 eV in the energy unit: the default threshold for uncertainties
  double gram_per_mole;  // in the mass unit
  double per_ev;         // units of energy in one eV
};

// Throws std::runtime_error for styles that models can not be run in.
const UnitStyle &unit_style(const std::string &name);

// Units of inputs and outputs by canonical name, but for those that follow from length and energy.
std::map<std::string, std::string> unit_names(const UnitStyle &style);

}  // namespace metatomic

#endif
