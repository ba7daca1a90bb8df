// Words of the `pair_style` and `pair_coeff` lines, without LAMMPS and without torch.
//
// All functions throw std::runtime_error with a text for the user.

#ifndef METATOMIC_OPTIONS_H
#define METATOMIC_OPTIONS_H

#include "metatomic_names.h"

#include <limits>
#include <map>
#include <string>
#include <vector>

namespace metatomic {

struct Options {
  std::string model;
  std::string device;      // empty: the best one
  std::string extensions;  // directory; empty: none
  // "auto": compiled code where there is some that fits, else TorchScript; "script", "compiled"
  std::string kernel = "auto";
  bool check_consistency = false;
  double scale = 1.0;
  // energy per atom; NaN: 0.1 eV; infinity: never warn
  double uncertainty_threshold = std::numeric_limits<double>::quiet_NaN();
  bool direct_forces = false;
  bool direct_stress = false;
  std::map<std::string, std::string> variants;  // by output name
  Words outputs;                                // whose sums over atoms `compute pair` gives
};

Options parse_options(const Words &words);

// A type of the model: an atomic number, as a rule, and the symbol of the element.
struct TypeOfModel {
  int number;
  std::string name;
  double mass;  // in u; zero if unknown
};

// Atomic type for each LAMMPS type, -1 for NULL; from element symbols and integers.
std::vector<int> parse_types(const Words &words, int n_types,
                             const std::vector<TypeOfModel> &known);

}  // namespace metatomic

#endif
