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
  std::map<std::string, std::string> variants;  // by canonical output name
  Words outputs;                                // whose sums over atoms `compute pair` gives
};

Options parse_options(const Words &words);

// Atomic type for each LAMMPS type, -1 for NULL; from element symbols and integers.
std::vector<int> parse_types(const Words &words, int n_types, const std::vector<int> &known);

// Name of the output with the variant that applies to it; the empty string if the model has none.
std::string pick_output(const std::string &name, const Kinds &offered, const std::map<std::string, std::string> &variants);

// Name without its variant, in the canonical spelling.
std::string base_name(const std::string &name);

// " (did you mean 'x')", or nothing if no word is near.
std::string did_you_mean(const std::string &word, const Words &known);

std::string join(const Words &words);

std::string element_symbol(int atomic_type);

// In g/mol; zero if unknown.
double element_mass(int atomic_type);

}    // namespace metatomic

#endif
