// A model file: loading it, and calling its exported method `evaluate` with plain arrays.
//
// The only part that knows torch.  All functions throw std::exception; `message` gives the text for the user.

#ifndef METATOMIC_MODEL_H
#define METATOMIC_MODEL_H

#include "metatomic_options.h"

#include <cstdint>
#include <exception>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace metatomic {

// One structure and what to compute; the arrays belong to the caller.
struct Query {
  int n_atoms = 0;
  int n_selected = 0;  // energies are sums over the first ones
  const int32_t *types = nullptr;
  std::vector<double> positions;  // (n_atoms, 3)
  double cell[9] = {};            // vectors as rows
  bool pbc[3] = {};
  struct Pairs {
    std::vector<int32_t> values;  // (n_pairs, 5), and room for more
    std::vector<double> vectors;  // (n_pairs, 3), from the first to the second atom, and room for more
    int64_t n_pairs = 0;

    // make room, and a little more so that this is rare
    void reserve(int64_t n)
    {
      if (static_cast<int64_t>(vectors.size()) >= 3 * n + 3) return;
      values.resize(5 * (n + n / 8 + 1));
      vectors.resize(3 * (n + n / 8 + 1));
    }
  };
  std::vector<Pairs> pairs;                           // for each requested list
  std::map<std::string, std::vector<double>> inputs;  // by the names that the model uses
  std::map<std::string, std::string> request;         // see AtomisticModel.evaluate
  std::map<std::string, std::string> outputs;
  std::map<std::string, std::string> units;
  bool check_consistency = false;
};

// A neighbor list that a model asks for.
struct PairRequest {
  double cutoff;
  bool full_list;
};

// Values of one result, (n_rows, n_columns), float64; valid until the next evaluation.
struct Values {
  const double *data = nullptr;
  int64_t n_rows = 0;
  int64_t n_columns = 0;
};

class Model {
 public:
  // `rank_on_node` spreads ranks over the GPUs of a machine
  Model(const Options &options, int rank_on_node);
  ~Model();

  std::vector<PairRequest> lists(const std::string &length_unit) const;
  double interaction_range(const std::string &length_unit) const;
  const Kinds &outputs() const;
  const Kinds &inputs() const;
  const std::vector<TypeOfModel> &types() const;
  std::string type_name(int number) const;
  const std::string &device() const;
  std::string card() const;
  const Words &warnings() const;  // of loading

  // Name of an output with the variant that applies to it; the empty string if the model has none.
  std::string output_name(const std::string &name, const std::map<std::string, std::string> &variants) const;

  // Canonical name of a quantity, without variant.
  std::string quantity(const std::string &name) const;

  // Whether energy and outputs of an atom depend on no other pairs than its own, so that ghosts need no neighbors.
  bool is_local(const std::string &energy) const;

  // Number of values for each sample of an output.
  int columns(const std::string &output, const std::string &kind) const;

  std::map<std::string, Values> evaluate(const Query &query);

 private:
  struct Data;
  std::unique_ptr<Data> data_;
};

// Text of an exception, without the traces of torch and TorchScript.
std::string message(const std::exception &error);

}    // namespace metatomic

#endif
