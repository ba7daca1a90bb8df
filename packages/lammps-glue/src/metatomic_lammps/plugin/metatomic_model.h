// A model file: loading it, and calling its exported method `evaluate` with plain arrays.
//
// The only part that knows torch.  All functions throw std::exception; `message` gives the text for
// the user.

#ifndef METATOMIC_MODEL_H
#define METATOMIC_MODEL_H

#include "metatomic_options.h"
#include "metatomic_profile.h"
#include "metatomic_queries.h"

#include <cstdint>
#include <exception>
#include <map>
#include <memory>
#include <string>
#include <utility>
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
    std::vector<double>
        vectors;  // (n_pairs, 3), from the first to the second atom, and room for more
    int64_t n_pairs = 0;

    // make room, and a little more so that this is rare
    void reserve(int64_t n)
    {
      if (static_cast<int64_t>(vectors.size()) >= 3 * n + 3) return;
      values.resize(5 * (n + n / 8 + 1));
      vectors.resize(3 * (n + n / 8 + 1));
    }
  };
  std::vector<Pairs> pairs;  // for each requested list
  // by the names that the model uses; values of one atom after those of the other
  std::vector<std::pair<std::string, std::vector<double>>> inputs;
  std::map<std::string, std::string> request;  // see AtomisticModel.evaluate
  std::map<std::string, std::string> outputs;
  bool check_consistency = false;
};

// Units of "length" and "energy" of the engine, and of inputs and outputs by the names that the
// model uses.
struct CallUnits {
  std::map<std::string, std::string> engine, inputs, outputs;
};

// Values of one result, (n_rows, n_columns), float64; valid until the next evaluation.
struct Values {
  const double *data = nullptr;
  int64_t n_rows = 0;
  int64_t n_columns = 0;
};

class Model {
 public:
  // Reads what the file says; `rank_on_node` spreads ranks over the GPUs of a machine.
  Model(const Options &options, int rank_on_node);
  ~Model();

  const ModelQueries &queries() const;
  const std::string &device() const;
  const Words &warnings() const;  // of loading

  void set_units(const CallUnits &units);

  // Load the code in the file, TorchScript, unless it is there; only what follows needs it.
  void load_script();

  // Results and outputs by name, in one: outputs have other names than results, but for the energy,
  // which is a result.
  std::map<std::string, Values> evaluate(const Query &query, Profile &profile);

 private:
  struct Data;
  std::unique_ptr<Data> data_;
};

// Text of an exception, without the traces of torch and TorchScript.
std::string message(const std::exception &error);

}  // namespace metatomic

#endif
