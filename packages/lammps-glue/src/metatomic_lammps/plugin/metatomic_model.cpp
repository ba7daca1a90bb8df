#include "metatomic_model.h"

#include "metatomic_files.h"
#include "metatomic_profile.h"

#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/script.h>
#include <torch/torch.h>

#include <algorithm>
#include <cstdlib>
#include <stdexcept>

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace metatomic {

using Structure = c10::Dict<std::string, torch::Tensor>;
using Strings = c10::Dict<std::string, std::string>;

struct Model::Data {
  mutable torch::jit::Module module;
  torch::Device device = torch::kCPU;
  std::string device_name;
  Kinds outputs, inputs;
  Words warnings;
  std::vector<TypeOfModel> types;
  std::map<std::string, std::string> quantities;  // canonical names
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
  if (kind != "cuda" && kind != "hip") {
    if (wanted != kind && wanted != kind + ":0" && !wanted.empty())
      throw std::runtime_error("expected a device of this machine, which has one " + kind + ", got '" + wanted + "'");
    return kind;
  }
  if (wanted.find(':') == std::string::npos)
    return "cuda:" + std::to_string(rank_on_node % static_cast<int>(torch::cuda::device_count()));
  std::string name = "cuda" + wanted.substr(wanted.find(':'));
  int index = std::atoi(name.c_str() + 5);
  if (index < 0 || index >= static_cast<int>(torch::cuda::device_count()))
    throw std::runtime_error("expected a device of this machine, which has " +
                             std::to_string(torch::cuda::device_count()) + " GPUs, got '" + wanted + "'");
  return name;
}

// Let malloc keep what is freed: it would give the large tensors of a step back to the system, which would map every page
// anew in the next step (see metatomic_core.memory).  Users who tune malloc themselves are left alone.
static void keep_freed_memory()
{
#ifdef __GLIBC__
  for (const char *name : {"MALLOC_MMAP_MAX_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_"})
    if (std::getenv(name) != nullptr) return;
  const char *tunables = std::getenv("GLIBC_TUNABLES");
  if (tunables != nullptr && std::string(tunables).find("glibc.malloc") != std::string::npos) return;
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, -1);
  mallopt(M_TOP_PAD, 64 << 20);
#endif
}

Model::Model(const Options &options, int rank_on_node) : data_(std::make_unique<Data>())
{
  Profile::observe_torch();
  data_->warnings = prepare_model_file(options.model, options.extensions);
  try {
    data_->module = torch::jit::load(options.model, torch::kCPU);
  } catch (const std::exception &error) {
    std::string reason = message(error);
    throw std::runtime_error("expected a model file of metatomic-core, got '" + options.model +
                             "', which does not load, maybe damaged: " + reason.substr(0, reason.find('\n')));
  }
  data_->module.eval();
  std::vector<std::string> devices;
  for (const auto &device : data_->call("devices", {}).toList()) devices.push_back(c10::IValue(device).toStringRef());
  data_->device_name = pick_device(devices, options.device, rank_on_node);
  data_->device = torch::Device(data_->device_name);
  data_->module.to(data_->device);
  data_->outputs = kinds(data_->call("output_kinds", {}));
  data_->inputs = kinds(data_->call("input_kinds", {}));
  auto numbers = data_->call("atomic_types", {}).toIntVector();
  auto names = data_->call("type_names", {}).toListRef().vec();
  auto masses = data_->call("type_masses", {}).toDoubleVector();
  for (size_t i = 0; i < numbers.size(); i++)
    data_->types.push_back({static_cast<int>(numbers[i]), names[i].toStringRef(), masses[i]});
  if (data_->device.is_cpu()) keep_freed_memory();
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
const std::vector<TypeOfModel> &Model::types() const { return data_->types; }
const std::string &Model::device() const { return data_->device_name; }

std::string Model::type_name(int number) const
{
  for (const auto &type : data_->types)
    if (type.number == number) return type.name;
  return std::to_string(number);
}

const Words &Model::warnings() const { return data_->warnings; }
std::string Model::card() const { return data_->call("card", {}).toStringRef(); }
bool Model::is_local(const std::string &energy) const { return data_->call("is_local", {energy}).toBool(); }

std::string Model::quantity(const std::string &name) const
{
  // asked for at each step
  auto &known = data_->quantities[name];
  if (known.empty()) known = data_->call("quantity", {name}).toStringRef();
  return known;
}

std::string Model::output_name(const std::string &name, const std::map<std::string, std::string> &variants) const
{
  return data_->call("output_name", {full_name(name), strings(variants)}).toStringRef();
}

int Model::columns(const std::string &output, const std::string &kind) const
{
  return static_cast<int>(data_->call("n_values", {output, kind}).toInt());
}

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
    c10::List<torch::Tensor> lists, vectors_of_lists;
    for (const auto &pairs : query.pairs) {
      lists.push_back(view(pairs.values.data(), {pairs.n_pairs, 5}, torch::kInt).to(device));
      vectors_of_lists.push_back(view(pairs.vectors.data(), {pairs.n_pairs, 3}, torch::kDouble).to(device));
    }
    c10::List<c10::List<torch::Tensor>> pairs, vectors;
    pairs.push_back(lists);
    vectors.push_back(vectors_of_lists);
    c10::IValue selected;
    if (query.n_selected < query.n_atoms) {
      auto atoms = torch::arange(query.n_selected, torch::TensorOptions(torch::kLong).device(device));
      selected = torch::stack({torch::zeros_like(atoms), atoms}, 1);
    }
    arguments = {structures, pairs, selected, strings(query.request), strings(query.outputs), strings(query.units),
                 query.check_consistency, vectors};
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

}    // namespace metatomic
