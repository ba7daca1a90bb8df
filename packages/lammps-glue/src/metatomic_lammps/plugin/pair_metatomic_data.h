// What PairMetatomic knows, by how long it lives; shared by its source files.

#ifndef METATOMIC_PAIR_DATA_H
#define METATOMIC_PAIR_DATA_H

#include "pair_metatomic.h"

#include "metatomic_compiled.h"
#include "metatomic_model.h"
#include "metatomic_nodes.h"
#include "metatomic_options.h"
#include "metatomic_profile.h"
#include "metatomic_units.h"

#include <array>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

// LAMMPS tells where an error was raised: the name of the file, not the path that it had where it
// was compiled.
constexpr const char *name_of_file(const char *path)
{
  const char *name = path;
  for (const char *c = path; *c; c++)
    if (*c == '/') name = c + 1;
  return name;
}

#undef FLERR
#define FLERR name_of_file(__FILE__), __LINE__

namespace metatomic {

// --- as long as the `pair_style` line ------------------------------------------------------------

// An output of the system, for `compute pair`.
struct SystemOutput {
  std::string name;
  std::string result;  // what has its values: results of the pipeline have names of their own
  int n_values;
};

// What the input lines say, and which outputs of the model follow from that.
struct Settings {
  Options options;
  UnitStyle units;
  std::vector<int> atomic_types;                    // of each LAMMPS type, from 1
  std::string energy, forces, stress, uncertainty;  // outputs, with variants; empty for none
  bool has_atomic_energies = false;
  double threshold = 0.0;                    // of the uncertainty, in energy units
  std::vector<SystemOutput> system_outputs;  // in the order of `pvector`
  bool told_unknown_locality = false;
  std::string no_compiled;  // why there is no compiled code; empty if there is some
  std::string march;        // what it was compiled for
  std::string told_kernel;  // what the log said last of the kernel
  CompiledUnits compiled_units;
};

// --- as long as somebody reads it ----------------------------------------------------------------

// Who wants an output for each atom.  A `fix pair` reads an output when it is made, and then may
// ask for a switch with which it announces the steps in which it needs the output: the others need
// it in every step.
struct Users {
  int n_always = 0;
  int *announced = new_switch();

  bool any() const { return n_always > 0 || *announced; }

  // A fix keeps writing to its switch after the pair style is gone: switches live as long as the
  // process.
  static int *new_switch()
  {
    static std::deque<int> switches;
    switches.push_back(0);
    return &switches.back();
  }
};

// An output for each atom, for `fix pair`.
struct AtomOutput {
  Users users;
  std::string result;  // as in SystemOutput
  int columns = 0;
  std::vector<double> values;
  std::vector<double *> rows;

  void make_room(int n_atoms);
};

// --- from `init_style` to the next one -----------------------------------------------------------

// An input of the model, and what of LAMMPS it is.
struct AtomInput {
  enum Source { MASS, CHARGE, VELOCITY, MOMENTUM };
  std::string name;
  Source source;
};

struct RunState {
  std::vector<PairRequest> lists;  // in LAMMPS' unit of length
  double cutoff = 0.0;             // of the longest list
  double range = 0.0;
  ListMode mode = ListMode::FULL;
  bool compiled = false;  // whether compiled code runs
  double shell = 0.0;     // width of the ghosts that this style asks for; 0 for what LAMMPS does
  std::vector<AtomInput> inputs;
  bool sends_inputs = false;  // to ghosts, what LAMMPS does not keep up to date there
};

// --- from one building of neighbor lists to the next one -----------------------------------------

// Which lists the nodes were made for.
struct ListsOfNodes {
  LAMMPS_NS::bigint last_build = -1, n_builds = -1;
  int n_atoms = -1;

  bool operator==(const ListsOfNodes &other) const
  {
    return last_build == other.last_build && n_builds == other.n_builds && n_atoms == other.n_atoms;
  }
};

// --- one step; arrays are kept for their memory --------------------------------------------------

struct StepState {
  std::vector<double> ghost_inputs;  // (velocity, mass) of each ghost, from its owner
  Query query;
  std::map<std::string, Values> results;   // none on a rank without atoms
  Values energy, atomic_energies, forces;  // those of them that every step looks at
  std::array<double, 3> mean_force = {};   // of direct predictions, which are added without it
  double compiled_energy = 0.0;
  std::map<std::string, std::vector<double>> apart;  // system outputs of a call of their own

  // The values of one result; null if the step has none.
  const double *values(const std::string &result) const
  {
    auto found = results.find(result);
    return found == results.end() ? nullptr : found->second.data;
  }
};

// LAMMPS' order of tensor components, as indices of a 3x3 matrix; the first six are symmetric
constexpr int ROWS[9] = {0, 1, 2, 0, 0, 1, 1, 2, 2};
constexpr int COLUMNS[9] = {0, 1, 2, 1, 2, 2, 0, 0, 1};

inline double component(const double *matrix, int k) { return matrix[3 * ROWS[k] + COLUMNS[k]]; }

inline double symmetric_component(const double *matrix, int k)
{
  return 0.5 * (matrix[3 * ROWS[k] + COLUMNS[k]] + matrix[3 * COLUMNS[k] + ROWS[k]]);
}

}  // namespace metatomic

struct LAMMPS_NS::PairMetatomic::Data {
  metatomic::Settings settings;
  std::unique_ptr<metatomic::Model> model;  // null before the first `pair_style` line
  std::map<std::string, metatomic::AtomOutput> atom_outputs;  // by output name
  metatomic::RunState run;
  std::unique_ptr<metatomic::Compiled> compiled;
  std::unique_ptr<metatomic::Nodes> nodes;
  std::vector<metatomic::Candidates> candidates;  // for each list of the model
  metatomic::ListsOfNodes lists;
  metatomic::StepState step;
  metatomic::Profile profile;
};

#endif
