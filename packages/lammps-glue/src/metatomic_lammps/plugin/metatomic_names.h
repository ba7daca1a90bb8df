// Names of quantities, and words in messages; without LAMMPS and without torch.

#ifndef METATOMIC_NAMES_H
#define METATOMIC_NAMES_H

#include <string>
#include <vector>

namespace metatomic {

using Words = std::vector<std::string>;

// Names are "quantity" or "quantity/variant".  Some quantities have two spellings, "charges" and
// "charge": the canonical one is the singular.
std::string canonical_name(const std::string &name);

// Canonical name of a quantity, without variant.
std::string base_quantity(const std::string &name);

// The variant in a name; empty if there is none.
std::string variant_of(const std::string &name);

// The name of an output that "uncertainty" and "ensemble" are short for, and any other name as it
// is.
std::string full_name(const std::string &name);

// " (did you mean 'x')", or nothing if no word is near.
std::string did_you_mean(const std::string &word, const Words &known);

std::string join(const Words &words);

}  // namespace metatomic

#endif
