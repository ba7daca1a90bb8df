// A model as compiled code: an AOTInductor package of the flavor "lammps" (see
// metatomic_core.kernels.lammps_flavor), which computes energies of atoms and dE/dvectors.
//
// Nothing of torch is in this header.  All functions throw std::exception.

#ifndef METATOMIC_COMPILED_H
#define METATOMIC_COMPILED_H

#include "metatomic_columns.h"
#include "metatomic_packages.h"

#include <functional>
#include <memory>
#include <vector>

namespace metatomic {

// From LAMMPS' units to those of the model, and back.
struct CompiledUnits {
  double length = 1.0;  // the model's length of one of LAMMPS
  double energy = 1.0;  // LAMMPS' energy of one of the model
};

// What of a structure compiled code may read besides types and pairs; arrays as in Query.
struct Surroundings {
  const double *positions = nullptr;
  const double *cell = nullptr;
  const bool *pbc = nullptr;
};

// Receives the virial of an atom, (3, 3).
using AddVirial = std::function<void(int atom, const double *matrix)>;

class Compiled {
 public:
  // Loads the code.  The package must fit this machine, see find_package.
  static std::unique_ptr<Compiled> load(const Package &package, int n_lists);
  virtual ~Compiled() = default;

  virtual bool reads(const std::string &input) const = 0;

  // One evaluation, in two steps: find the pairs, run the code.
  virtual void find_pairs(const Nodes &nodes, const std::vector<Candidates> &candidates,
                          const std::vector<PairRequest> &lists, const double *const *x,
                          const CompiledUnits &units) = 0;
  virtual void run(const Nodes &nodes, const Surroundings &surroundings,
                   const CompiledUnits &units) = 0;

  // Of the last evaluation, in LAMMPS' units.
  virtual double energy() const = 0;
  virtual const double *atomic_energies() const = 0;  // of the selected atoms; null if not there
  virtual int add_forces(double scale, double *const *f) const = 0;  // see metatomic_columns.h
  virtual void virial(double *matrix) const = 0;                     // (3, 3)
  virtual void atomic_virials(const AddVirial &add) const = 0;
  virtual double bytes() const = 0;
};

}  // namespace metatomic

#endif
