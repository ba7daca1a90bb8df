#include "metatomic_compiled.h"

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <torch/csrc/inductor/aoti_runner/model_container_runner_cpu.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <stdexcept>

namespace metatomic {

namespace {

using Runner = torch::inductor::AOTIModelContainerRunnerCpu;

const Words STRUCTURE = {"types", "positions", "cell", "pbc", "selected"};
const Words OF_LIST = {"first_", "second_", "shifts_", "x_", "y_", "z_"};
const Words OF_PAIRS = {"dx_", "dy_", "dz_"};

// Compiled code checks nothing by itself: all that it reads is made here, with the type, shape and
// order that it was compiled for.
template <typename T> class CompiledOf : public Compiled {
 public:
  CompiledOf(const Package &package, int n_lists)
      : inputs_(package.inputs), outputs_(package.outputs), pairs_(n_lists), gradients_(n_lists)
  {
    check_names();
    c10::InferenceMode guard;
    try {
      runner_ = std::make_unique<Runner>(package.library, 1, true);
    } catch (const c10::Error &error) {
      const std::string text = error.what_without_backtrace();
      throw std::runtime_error(
          "expected compiled code that loads, got an error: " + text.substr(0, text.find('\n')) +
          "; run `metatomic compile --again` with the model file");
    }
  }

  bool reads(const std::string &input) const override
  {
    return std::find(inputs_.begin(), inputs_.end(), input) != inputs_.end();
  }

  void find_pairs(const Nodes &nodes, const std::vector<Candidates> &candidates,
                  const std::vector<PairRequest> &lists, const double *const *x,
                  const CompiledUnits &units) override
  {
    candidates_ = &candidates;
    units_ = units;
    for (size_t k = 0; k < pairs_.size(); k++) {
      const std::string number = std::to_string(k);
      const ColumnsRead read = {reads("first_" + number), reads("second_" + number),
                                reads("shifts_" + number)};
      fill_columns(nodes, candidates[k], x, lists[k].cutoff, units.length, read, pairs_[k]);
    }
  }

  void run(const Nodes &nodes, const Surroundings &surroundings,
           const CompiledUnits &units) override
  {
    c10::InferenceMode guard;
    const auto given = arguments(nodes, surroundings, units);
    std::vector<at::Tensor> in_order;
    for (const auto &name : inputs_) in_order.push_back(given.at(name));
    results_ = runner_->run(in_order);
    if (results_.size() != outputs_.size())
      throw std::runtime_error("expected " + std::to_string(outputs_.size()) +
                               " results of compiled code, got " + std::to_string(results_.size()) +
                               "; compile the model again");
    for (size_t k = 0; k < pairs_.size(); k++) {
      const std::string number = std::to_string(k);
      const int64_t n = pairs_[k].n_pairs;
      gradients_[k] = {result("dx_" + number, n), result("dy_" + number, n),
                       result("dz_" + number, n)};
    }
    collect_energies(nodes.size(), nodes.n_local());
  }

  double energy() const override { return energy_; }
  const double *atomic_energies() const override
  {
    return has_atomic_energies_ ? energies_.data() : nullptr;
  }

  int add_forces(double scale, double *const *f) const override
  {
    int problem = -1;
    for (size_t k = 0; k < pairs_.size(); k++)
      problem = std::max(problem,
                         metatomic::add_forces(candidates()[k], pairs_[k], gradients_[k],
                                               scale * units_.energy * units_.length, f));
    return problem;
  }

  void virial(double *matrix) const override
  {
    std::fill(matrix, matrix + 9, 0.0);
    for (size_t k = 0; k < pairs_.size(); k++) add_products(pairs_[k], gradients_[k], matrix);
    for (int n = 0; n < 9; n++) matrix[n] *= -units_.energy;
  }

  void atomic_virials(const AddVirial &add) const override
  {
    for (size_t k = 0; k < pairs_.size(); k++)
      share_products(candidates()[k], pairs_[k], gradients_[k], -units_.energy, add);
  }

  double bytes() const override
  {
    double total = energies_.capacity() * sizeof(double);
    for (const auto &pairs : pairs_) total += pairs.bytes();
    return total;
  }

 private:
  Words inputs_, outputs_;
  std::unique_ptr<Runner> runner_;
  std::vector<PairColumns<T>> pairs_;
  std::vector<Gradients<T>> gradients_;
  const std::vector<Candidates> *candidates_ = nullptr;
  CompiledUnits units_;
  std::vector<at::Tensor> results_;  // keeps the memory of the last evaluation
  std::vector<T> positions_;
  std::vector<int64_t> selected_;
  std::vector<double> energies_;
  double energy_ = 0.0;
  bool has_atomic_energies_ = false;

  const std::vector<Candidates> &candidates() const { return *candidates_; }

  // Refuse a package whose inputs or outputs mean something that is not known here.
  void check_names() const
  {
    Words inputs = STRUCTURE, outputs = {"energy", "atomic_energies"}, needed;
    for (size_t k = 0; k < pairs_.size(); k++) {
      const std::string number = std::to_string(k);
      for (const auto &name : OF_LIST) inputs.push_back(name + number);
      for (const auto &name : OF_PAIRS) needed.push_back(name + number);
    }
    outputs.insert(outputs.end(), needed.begin(), needed.end());
    auto has = [](const Words &words, const std::string &word) {
      return std::find(words.begin(), words.end(), word) != words.end();
    };
    for (const auto &name : inputs_)
      if (!has(inputs, name))
        throw std::runtime_error("expected a compiled package with inputs that LAMMPS gives, got "
                                 "one with '" +
                                 name + "'");
    for (const auto &name : outputs_)
      if (!has(outputs, name))
        throw std::runtime_error("expected a compiled package whose forces come from pairs, got "
                                 "one with '" +
                                 name + "'");
    if (!has(outputs_, "energy")) needed.push_back("atomic_energies");
    for (const auto &name : needed)
      if (!has(outputs_, name))
        throw std::runtime_error("expected a compiled package with '" + name +
                                 "', got one without");
  }

  template <typename V>
  static at::Tensor view(const V *data, std::vector<int64_t> shape, at::ScalarType dtype)
  {
    // empty tensors must have an address as well
    static const int64_t nothing[8] = {};
    const void *start = data == nullptr ? static_cast<const void *>(nothing) : data;
    return at::from_blob(const_cast<void *>(start), shape, at::TensorOptions(dtype));
  }

  at::Tensor numbers(const T *data, std::vector<int64_t> shape) const
  {
    return view(data, std::move(shape), c10::CppTypeToScalarType<T>::value);
  }

  std::map<std::string, at::Tensor> arguments(const Nodes &nodes, const Surroundings &surroundings,
                                              const CompiledUnits &units)
  {
    std::map<std::string, at::Tensor> given;
    const int64_t n_atoms = nodes.size();
    given["types"] = view(nodes.types().data(), {n_atoms}, at::kInt);
    // positions, then the cell, in the unit and type of the model
    positions_.resize(3 * n_atoms + 9);
    if (surroundings.positions)
      std::transform(surroundings.positions, surroundings.positions + 3 * n_atoms,
                     positions_.begin(),
                     [&](double x) { return static_cast<T>(units.length * x); });
    if (surroundings.cell)
      std::transform(surroundings.cell, surroundings.cell + 9, positions_.begin() + 3 * n_atoms,
                     [&](double x) { return static_cast<T>(units.length * x); });
    given["positions"] = numbers(positions_.data(), {n_atoms, 3});
    given["cell"] = numbers(positions_.data() + 3 * n_atoms, {3, 3});
    given["pbc"] = view(surroundings.pbc, {3}, at::kBool);
    const size_t before = selected_.size(), n_selected = nodes.n_local();
    if (before < n_selected) {
      selected_.resize(n_selected);
      std::iota(selected_.begin() + before, selected_.end(), static_cast<int64_t>(before));
    }
    given["selected"] = view(selected_.data(), {nodes.n_local()}, at::kLong);
    for (size_t k = 0; k < pairs_.size(); k++) {
      const std::string number = std::to_string(k);
      const auto &pairs = pairs_[k];
      const int64_t n = pairs.n_pairs;
      given["x_" + number] = numbers(pairs.x.data(), {n});
      given["y_" + number] = numbers(pairs.y.data(), {n});
      given["z_" + number] = numbers(pairs.z.data(), {n});
      if (reads("first_" + number))
        given["first_" + number] = view(pairs.first.data(), {n}, at::kInt);
      if (reads("second_" + number))
        given["second_" + number] = view(pairs.second.data(), {n}, at::kInt);
      if (reads("shifts_" + number))
        given["shifts_" + number] = view(pairs.shifts.data(), {n, 3}, at::kInt);
    }
    return given;
  }

  // The values of one result, of which there have to be n.
  const T *result(const std::string &name, int64_t n)
  {
    const size_t place = std::find(outputs_.begin(), outputs_.end(), name) - outputs_.begin();
    at::Tensor &tensor = results_.at(place);
    if (tensor.scalar_type() != c10::CppTypeToScalarType<T>::value || tensor.numel() != n)
      throw std::runtime_error("expected " + std::to_string(n) + " values of '" + name +
                               "' from compiled code, got others; compile the model again");
    tensor = tensor.contiguous();
    return tensor.data_ptr<T>();
  }

  void collect_energies(int n_atoms, int n_selected)
  {
    has_atomic_energies_ = std::find(outputs_.begin(), outputs_.end(), "energy") == outputs_.end();
    if (!has_atomic_energies_) {
      energy_ = units_.energy * result("energy", 1)[0];
      return;
    }
    const T *energies = result("atomic_energies", n_atoms);
    energies_.resize(n_selected);
    energy_ = 0.0;
    for (int n = 0; n < n_selected; n++) {
      energies_[n] = units_.energy * energies[n];
      energy_ += energies_[n];
    }
  }
};

}  // namespace

std::unique_ptr<Compiled> Compiled::load(const Package &package, int n_lists)
{
  if (package.dtype == "float32") return std::make_unique<CompiledOf<float>>(package, n_lists);
  return std::make_unique<CompiledOf<double>>(package, n_lists);
}

}  // namespace metatomic
