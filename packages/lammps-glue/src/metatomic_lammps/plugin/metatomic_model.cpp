#include "metatomic_model.h"

#include "metatomic_files.h"
#include "metatomic_profile.h"

#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/script.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <stdexcept>

namespace metatomic {

using Structure = c10::Dict<std::string, torch::Tensor>;
using Strings = c10::Dict<std::string, std::string>;

struct Model::Data {
  mutable torch::jit::Module module;
  torch::Device device = torch::kCPU;
  std::string device_name;
  Kinds outputs, inputs;
  std::vector<int> types;
  std::map<std::string, torch::Tensor> results;  // keeps the memory of the last evaluation

  c10::IValue call(const std::string &name, std::vector<c10::IValue> arguments) const
  {
    // the profiling passes of TorchScript cost tenths of a second whenever the number of pairs changes
    torch::jit::GraphOptimizerEnabledGuard unoptimized(false);
    c10::AutoGradMode with_gradients(true);
    return module.get_method(name)(std::move(arguments));
  }

  std::map<std::string, torch::Tensor> run(const Query &query) const;
};

static Strings strings(const std::map<std::string, std::string> &values)
{
  Strings result;
  for (const auto &item : values) result.insert(item.first, item.second);
  return result;
}

static Kinds kinds(const c10::IValue &value)
{
  Kinds result;
  for (const auto &item : value.toGenericDict()) result[item.key().toStringRef()] = item.value().toStringRef();
  return result;
}

template <typename T> static torch::Tensor view(const T *data, std::vector<int64_t> shape, torch::ScalarType dtype)
{
  return torch::from_blob(const_cast<T *>(data), shape, dtype);
}

std::string message(const std::exception &error)
{
  const auto *torch_error = dynamic_cast<const c10::Error *>(&error);
  std::string text = torch_error ? torch_error->what_without_backtrace() : error.what();
  // the exceptions of TorchScript end with the text that was raised, after the lines of the code
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back()))) text.pop_back();
  auto line = text.rfind('\n');
  if (line != std::string::npos && text.find("Traceback of TorchScript") != std::string::npos) {
    text = text.substr(line + 1);
    auto kind = text.find("Error: ");
    if (kind != std::string::npos && text.find(' ') == kind + 6) text = text.substr(kind + 7);
  }
  return text;
}

static bool is_available(const std::string &kind)
{
  if (kind == "cpu") return true;
  if (kind == "cuda" || kind == "hip") return torch::cuda::is_available();
  if (kind == "mps") return torch::mps::is_available();
  return false;
}

// The device that the user wants, or the best one; ranks of one machine share its GPUs in turn.
static std::string pick_device(const std::vector<std::string> &supported, const std::string &wanted, int rank_on_node)
{
  std::string kind = wanted.substr(0, wanted.find(':'));
  Words available;
  for (const auto &name : supported)
    if (is_available(name)) available.push_back(name);
  if (wanted.empty() && !available.empty()) kind = available[0];
  bool is_supported = std::find(supported.begin(), supported.end(), kind) != supported.end();
  if (!is_supported)
    throw std::runtime_error("expected a device that the model supports, " + join(supported) + ", got '" + wanted + "'" +
                             did_you_mean(kind, supported));
  if (std::find(available.begin(), available.end(), kind) == available.end())
    throw std::runtime_error("expected a device of this machine and of the model, " + join(available) + ", got '" +
                             wanted + "'");
  if (kind != "cuda" && kind != "hip") return kind;
  if (wanted.find(':') == std::string::npos)
    return "cuda:" + std::to_string(rank_on_node % static_cast<int>(torch::cuda::device_count()));
  std::string name = "cuda" + wanted.substr(wanted.find(':'));
  int index = std::atoi(name.c_str() + 5);
  if (index < 0 || index >= static_cast<int>(torch::cuda::device_count()))
    throw std::runtime_error("expected a device of this machine, which has " +
                             std::to_string(torch::cuda::device_count()) + " GPUs, got '" + wanted + "'");
  return name;
}

Model::Model(const Options &options, int rank_on_node) : data_(std::make_unique<Data>())
{
  Profile::observe_torch();
  prepare_model_file(options.model, options.extensions);
  data_->module = torch::jit::load(options.model, torch::kCPU);
  data_->module.eval();
  std::vector<std::string> devices;
  for (const auto &device : data_->call("devices", {}).toList()) devices.push_back(c10::IValue(device).toStringRef());
  data_->device_name = pick_device(devices, options.device, rank_on_node);
  data_->device = torch::Device(data_->device_name);
  data_->module.to(data_->device);
  data_->outputs = kinds(data_->call("output_kinds", {}));
  data_->inputs = kinds(data_->call("input_kinds", {}));
  for (int64_t type : data_->call("atomic_types", {}).toIntVector()) data_->types.push_back(static_cast<int>(type));
}

Model::~Model() = default;

std::vector<PairRequest> Model::lists(const std::string &length_unit) const
{
  std::vector<PairRequest> result;
  for (const auto &item : data_->call("pair_requests", {length_unit}).toList()) {
    const auto tuple = c10::IValue(item).toTuple();
    result.push_back({tuple->elements()[0].toDouble(), tuple->elements()[1].toBool()});
  }
  return result;
}

double Model::interaction_range(const std::string &length_unit) const
{
  return data_->call("interaction_range", {length_unit}).toDouble();
}

const Kinds &Model::outputs() const { return data_->outputs; }
const Kinds &Model::inputs() const { return data_->inputs; }
const std::vector<int> &Model::atomic_types() const { return data_->types; }
const std::string &Model::device() const { return data_->device_name; }
std::string Model::card() const { return data_->call("card", {}).toStringRef(); }

std::map<std::string, torch::Tensor> Model::Data::run(const Query &query) const
{
  std::vector<c10::IValue> arguments;
  {
    Timer timer("tensors");
    Structure structure;
    int64_t n = query.n_atoms;
    structure.insert("types", view(query.types, {n}, torch::kInt).to(device));
    structure.insert("positions", view(query.positions.data(), {n, 3}, torch::kDouble).to(device));
    structure.insert("cell", view(query.cell, {3, 3}, torch::kDouble).to(device));
    structure.insert("pbc", view(query.pbc, {3}, torch::kBool).to(device));
    for (const auto &input : query.inputs)
      structure.insert(input.first,
                       view(input.second.data(), {static_cast<int64_t>(input.second.size())}, torch::kDouble).to(device));
    c10::List<Structure> structures;
    structures.push_back(structure);
    c10::List<torch::Tensor> lists;
    for (const auto &pairs : query.pairs)
      lists.push_back(view(pairs.values.data(), {pairs.n_pairs, 5}, torch::kInt).to(device));
    c10::List<c10::List<torch::Tensor>> pairs;
    pairs.push_back(lists);
    c10::IValue selected;
    if (query.n_selected < query.n_atoms) {
      auto atoms = torch::arange(query.n_selected, torch::TensorOptions(torch::kLong).device(device));
      selected = torch::stack({torch::zeros_like(atoms), atoms}, 1);
    }
    arguments = {structures, pairs, selected, strings(query.request), strings(query.outputs), strings(query.units),
                 query.check_consistency};
  }
  Timer timer("evaluate");
  auto returned = call("evaluate", std::move(arguments)).toTuple();
  std::map<std::string, torch::Tensor> results;
  for (const auto &item : returned->elements()[0].toGenericDict())
    results[item.key().toStringRef()] = item.value().toTensor().to(torch::kCPU, torch::kDouble).contiguous();
  return results;
}

std::map<std::string, Values> Model::evaluate(const Query &query)
{
  data_->results.clear();
  data_->results = data_->run(query);
  std::map<std::string, Values> values;
  for (const auto &item : data_->results) {
    const auto &tensor = item.second;
    int64_t rows = tensor.dim() > 0 ? tensor.size(0) : 1;
    values[item.first] = {tensor.data_ptr<double>(), rows, rows > 0 ? tensor.numel() / rows : 0};
  }
  return values;
}

// A query for a few atoms of the model's types, with the units and checks of another one and empty pair lists.
static Query small_query(const Query &example, const Model &model, const std::vector<int32_t> &types)
{
  Query query;
  query.n_atoms = static_cast<int>(types.size());
  query.n_selected = query.n_atoms;
  query.types = types.data();
  query.positions.assign(3 * types.size(), 0.0);
  query.units = example.units;
  query.pairs.resize(model.lists(example.units.at("length")).size());
  for (auto &pairs : query.pairs) pairs.values.resize(5);
  for (const auto &input : model.inputs()) {
    bool is_vector = base_name(input.first) == "velocity" || base_name(input.first) == "momentum";
    query.inputs[input.first].assign((is_vector ? 3 : 1) * types.size(), 1.0);
  }
  return query;
}

int Model::columns(const Query &example, const std::string &output, const std::string &kind) const
{
  std::vector<int32_t> types = {data_->types.at(0)};
  Query query = small_query(example, *this, types);
  query.outputs[output] = kind;
  auto results = data_->run(query);
  auto found = results.find(output);
  if (found == results.end())
    throw std::runtime_error("expected output '" + output + "' to have one block for LAMMPS, got several");
  return static_cast<int>(found->second.numel());
}

// Atoms at random places around one, for `is_local`: dense enough for any term of a model to be there.
static std::vector<double> random_cluster(int n_atoms, double radius, std::mt19937 &random)
{
  std::uniform_real_distribution<double> uniform(-radius, radius);
  std::vector<double> positions = {0.0, 0.0, 0.0};
  for (int trial = 0; trial < 10000 && static_cast<int>(positions.size()) < 3 * n_atoms; trial++) {
    double p[3] = {uniform(random), uniform(random), uniform(random)};
    if (p[0] * p[0] + p[1] * p[1] + p[2] * p[2] > radius * radius) continue;
    bool is_free = true;
    for (size_t i = 0; i < positions.size(); i += 3) {
      double dx = p[0] - positions[i], dy = p[1] - positions[i + 1], dz = p[2] - positions[i + 2];
      is_free = is_free && dx * dx + dy * dy + dz * dz > 0.15 * radius * radius;
    }
    if (is_free) positions.insert(positions.end(), p, p + 3);
  }
  return positions;
}

static void fill_cluster_pairs(Query &query, const std::vector<PairRequest> &lists, bool of_first_only)
{
  for (size_t k = 0; k < lists.size(); k++) {
    auto &pairs = query.pairs[k];
    pairs.values.clear();
    for (int i = 0; i < query.n_atoms; i++) {
      for (int j = lists[k].full_list ? 0 : i + 1; j < query.n_atoms; j++) {
        double r2 = 0.0;
        for (int c = 0; c < 3; c++) r2 += std::pow(query.positions[3 * i + c] - query.positions[3 * j + c], 2);
        if (i == j || r2 >= lists[k].cutoff * lists[k].cutoff || (of_first_only && i != 0)) continue;
        for (int value : {i, j, 0, 0, 0}) pairs.values.push_back(value);
      }
    }
    pairs.n_pairs = static_cast<int64_t>(pairs.values.size()) / 5;
    pairs.values.resize(pairs.values.size() + 5);
  }
}

bool Model::is_local(const Query &example, const std::string &energy) const
{
  auto wanted = lists(example.units.at("length"));
  double cutoff = 0.0;
  for (const auto &list : wanted) cutoff = std::max(cutoff, list.cutoff);
  if (interaction_range(example.units.at("length")) > cutoff * (1 + 1e-6)) return false;
  // rounding, and the order of sums
  const double tolerance = data_->call("dtype", {}).toStringRef() == "float64" ? 1e-9 : 1e-4;
  std::mt19937 random(20261120);
  for (int trial = 0; trial < 4; trial++) {
    auto positions = random_cluster(24, 0.98 * cutoff, random);
    std::vector<int32_t> types;
    for (size_t i = 0; i < positions.size() / 3; i++) types.push_back(data_->types[random() % data_->types.size()]);
    Query query = small_query(example, *this, types);
    query.positions = positions;
    query.n_selected = 1;
    query.request = {{"energy", energy}, {"forces", energy}};
    for (const auto &output : data_->outputs)
      if (output.second == "atom" && output.first != energy) query.outputs[output.first] = "atom";
    fill_cluster_pairs(query, wanted, false);
    auto all = data_->run(query);
    fill_cluster_pairs(query, wanted, true);
    auto own = data_->run(query);
    for (const auto &item : all) {
      // there are forces on all atoms, and other values of the first one
      bool is_force = item.first == "forces";
      auto before = is_force ? item.second : item.second[0];
      auto after = is_force ? own.at(item.first) : own.at(item.first)[0];
      double scale = before.abs().max().item<double>();
      double change = (before - after).abs().max().item<double>();
      if (!(change <= tolerance * scale)) return false;
    }
  }
  return true;
}

}    // namespace metatomic
