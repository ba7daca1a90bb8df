// What a model file says about its model: the answers to all that is asked before it is evaluated.
//
// Without torch, and without the classes of LAMMPS.

#ifndef METATOMIC_QUERIES_H
#define METATOMIC_QUERIES_H

#include "metatomic_names.h"
#include "metatomic_options.h"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace metatomic {

// A neighbor list that a model asks for.
struct PairRequest {
  double cutoff;
  bool full_list;
};

struct OutputInfo {
  std::string kind;  // of its finest samples: "system", "atom" or "atom_pair"
  std::string description;
  int n_values = -1;  // of each sample, those of all components; negative if not known
};

// An exported program in a model file, from which compiled code is made.
struct ProgramInfo {
  std::string sha256;
  std::string energy;    // whose derivatives it has
  bool selects = false;  // whether atoms are selected
};

struct ModelQueries {
  std::vector<TypeOfModel> types;
  Words devices;                              // on which the model runs, the best one first
  std::optional<double> length_in_angstrom;   // nothing if the model has no unit of length
  std::vector<PairRequest> lists;             // in the length unit of the model
  double interaction_range = 0.0;             // the same; may be infinite
  std::map<std::string, OutputInfo> outputs;  // under both spellings
  std::map<std::string, std::string> inputs;  // kind of samples, "system" or "atom"
  std::optional<bool> is_local;               // nothing if it is not known
  std::string dtype;
  std::vector<ProgramInfo> programs;
  std::string untraced;  // why there are none
  // units of energies, by output; nothing where the model has no unit
  std::map<std::string, std::optional<double>> energies_in_ev;
  std::string card;  // who made the model and what to cite

  std::string type_name(int number) const;

  // Name of an output with the variant that applies to it; empty if the model has none.  Throws
  // std::runtime_error if there is no such variant, or several and none is the default one.
  std::string output_name(const std::string &name,
                          const std::map<std::string, std::string> &variants) const;

  // Number of values of an output for each sample.  Throws std::runtime_error if it is not known.
  int n_values(const std::string &output) const;

  // The text for an output that the model has not.
  std::string unknown_output(const std::string &name) const;
};

// The program of an energy, of selected atoms or of all.  Throws std::runtime_error if there is
// none.
const ProgramInfo &program_for(const ModelQueries &queries, const std::string &energy,
                               bool selects);

// The answers in the header of a model file, JSON text.  Throws std::runtime_error if some are
// missing.
ModelQueries queries_of_header(const std::string &header);

}  // namespace metatomic

#endif
