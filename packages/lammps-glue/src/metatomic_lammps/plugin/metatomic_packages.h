// Compiled packages of a model in the cache of the user: which there are, and which one fits.
//
// Without torch, and without the classes of LAMMPS.  Nothing of a package is loaded here.

#ifndef METATOMIC_PACKAGES_H
#define METATOMIC_PACKAGES_H

#include "metatomic_queries.h"

#include <map>
#include <string>

namespace metatomic {

// What a package has to fit.
struct WantedPackage {
  std::string program;  // its sha256
  std::string device, dtype, torch;
};

struct Package {
  std::string library;  // path of what is loaded
  std::string march;    // what it was compiled for
  std::string dtype;
  Words inputs, outputs;  // names, in order
};

// $METATOMIC_CACHE, or the `metatomic` in the cache of the user; as metatomic_core has it.
std::string kernels_folder();

// The best package for LAMMPS.  Throws std::runtime_error that says why there is none.
Package find_package(const std::string &folder, const WantedPackage &wanted);

}  // namespace metatomic

#endif
