// What PairMetatomic knows; shared by its two source files.

#ifndef METATOMIC_PAIR_DATA_H
#define METATOMIC_PAIR_DATA_H

#include "pair_metatomic.h"

#include "metatomic_model.h"
#include "metatomic_nodes.h"
#include "metatomic_options.h"
#include "metatomic_units.h"

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

// LAMMPS tells where an error was raised: the name of the file, not the path that it had where it was compiled.
constexpr const char *name_of_file(const char *path)
{
  const char *name = path;
  for (const char *c = path; *c; c++)
    if (*c == '/') name = c + 1;
  return name;
}

#undef FLERR
#define FLERR name_of_file(__FILE__), __LINE__

// An output for each atom, for `fix pair`.
struct AtomOutput {
  int columns = 0;
  std::vector<double> values;
  std::vector<double *> rows;
};

// Who wants an output for each atom.  A `fix pair` reads an output when it is made, and then may ask for a switch with
// which it announces the steps in which it needs the output: the others need it in every step.
struct Users {
  int n_always = 0;
  int *announced = new_switch();

  bool wanted() const { return n_always > 0 || *announced; }

  // A fix keeps writing to its switch after the pair style is gone: switches live as long as the process.
  static int *new_switch()
  {
    static std::deque<int> switches;
    switches.push_back(0);
    return &switches.back();
  }
};

struct LAMMPS_NS::PairMetatomic::Data {
  metatomic::Options options;
  metatomic::UnitStyle units;
  std::unique_ptr<metatomic::Model> model;
  std::unique_ptr<metatomic::Nodes> nodes;

  std::vector<int> atomic_types;  // of each LAMMPS type, from 1
  std::string energy, forces, stress, uncertainty;  // outputs to use, with variants; empty for none
  double threshold = 0.0;                           // of the uncertainty, in energy units
  bool has_atomic_energies = false;

  std::vector<metatomic::PairRequest> lists;
  double cutoff = 0.0;  // of the longest list
  double range = 0.0;
  metatomic::ListMode mode = metatomic::ListMode::FULL;
  int is_local = -1;  // unknown
  double shell = 0.0;  // width of the ghosts that this style asks for; 0 for what LAMMPS does

  metatomic::Query query;
  std::map<std::string, metatomic::Values> results;
  std::map<std::string, std::vector<double>> values_of_system;  // outputs for `compute pair`
  std::map<std::string, AtomOutput> atom_outputs;  // by output name
  std::map<std::string, Users> users;              // the same
  std::vector<std::pair<std::string, int>> sums;   // outputs in pvector, with their number of values

  // what LAMMPS does not keep up to date for ghosts: (velocity, mass) of each, from its owner
  bool sends_inputs = false;
  std::vector<double> ghost_inputs;

  // of the neighbor list that the nodes were made for
  bool nodes_valid = false;
  bigint last_build = -1, n_builds = -1;
  int n_atoms = -1;
};

#endif
