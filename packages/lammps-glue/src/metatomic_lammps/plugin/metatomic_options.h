// Words of the `pair_style` and `pair_coeff` lines, without LAMMPS and without torch.
//
// All functions throw std::runtime_error with a text for the user.

#ifndef METATOMIC_OPTIONS_H
#define METATOMIC_OPTIONS_H

#include <limits>
#include <map>
#include <string>
#include <vector>

namespace metatomic {

using Words = std::vector<std::string>;
// name of an output -> kind of its samples: "system", "atom" or "atom_pair"
using Kinds = std::map<std::string, std::string>;

struct Options {
  std::string model;
  std::string device;      // empty: the best one
  std::string extensions;  // directory; empty: none
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
std::vector<int> parse_types(const Words &words, int n_types, const std::vector<TypeOfModel> &known);

// The name of an output that "uncertainty" and "ensemble" are short for, and any other name as it is.
std::string full_name(const std::string &name);

// " (did you mean 'x')", or nothing if no word is near.
std::string did_you_mean(const std::string &word, const Words &known);

std::string join(const Words &words);

}    // namespace metatomic

#endif
