#include "metatomic_model.h"

#include "metatomic_device.h"
#include "metatomic_files.h"

#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/script.h>
#include <torch/torch.h>

#include <cctype>
#include <stdexcept>

namespace metatomic {

using Tensors = c10::Dict<std::string, torch::Tensor>;
using Strings = c10::Dict<std::string, std::string>;
using StringsByUse = c10::Dict<std::string, Strings>;

struct Model::Data {
  std::string path;
  bool has_module = false;
  mutable torch::jit::Module module;
  torch::Device device = torch::kCPU;
  std::string device_name;
  ModelQueries queries;
  Words warnings;
  StringsByUse units;
  std::map<std::string, torch::Tensor> results;  // keeps the memory of the last evaluation

  c10::IValue call(const std::string &name, std::vector<c10::IValue> arguments) const
  {
    // the profiling passes of TorchScript cost tenths of a second whenever the number of pairs
    // changes
    torch::jit::GraphOptimizerEnabledGuard unoptimized(false);
    c10::AutoGradMode with_gradients(true);
    return module.get_method(name)(std::move(arguments));
  }

  std::map<std::string, torch::Tensor> run(const Query &query, Profile &profile) const;
};

static Strings strings(const std::map<std::string, std::string> &values)
{
  Strings result;
  for (const auto &item : values) result.insert(item.first, item.second);
  return result;
}

template <typename T>
static torch::Tensor view(const T *data, std::vector<int64_t> shape, torch::ScalarType dtype)
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

Model::Model(const Options &options, int rank_on_node) : data_(std::make_unique<Data>())
{
  ModelFile file = prepare_model_file(options.model, options.extensions);
  data_->path = options.model;
  data_->warnings = file.warnings;
  data_->queries = file.queries;
  data_->device_name = pick_device(data_->queries.devices, options.device, rank_on_node);
  data_->device = torch::Device(data_->device_name);
  if (data_->device.is_cpu()) keep_freed_memory();
}

void Model::load_script()
{
  if (data_->has_module) return;
  try {
    data_->module = torch::jit::load(data_->path, torch::kCPU);
  } catch (const std::exception &error) {
    std::string reason = message(error);
    throw std::runtime_error(
        "expected a model file of metatomic-core, got '" + data_->path +
        "', which does not load, maybe damaged: " + reason.substr(0, reason.find('\n')));
  }
  data_->module.eval();
  data_->module.to(data_->device);
  data_->has_module = true;
}

Model::~Model() = default;

const ModelQueries &Model::queries() const { return data_->queries; }
const std::string &Model::device() const { return data_->device_name; }
const Words &Model::warnings() const { return data_->warnings; }

void Model::set_units(const CallUnits &units)
{
  data_->units.insert_or_assign("engine", strings(units.engine));
  data_->units.insert_or_assign("inputs", strings(units.inputs));
  data_->units.insert_or_assign("outputs", strings(units.outputs));
}

std::map<std::string, torch::Tensor> Model::Data::run(const Query &query, Profile &profile) const
{
  std::vector<c10::IValue> arguments;
  {
    Timer timer(profile, "tensors");
    Tensors structure;
    int64_t n = query.n_atoms;
    structure.insert("types", view(query.types, {n}, torch::kInt).to(device));
    structure.insert("positions", view(query.positions.data(), {n, 3}, torch::kDouble).to(device));
    structure.insert("cell", view(query.cell, {3, 3}, torch::kDouble).to(device));
    structure.insert("pbc", view(query.pbc, {3}, torch::kBool).to(device));
    Tensors inputs;
    for (const auto &input : query.inputs)
      inputs.insert(
          input.first,
          view(input.second.data(), {static_cast<int64_t>(input.second.size())}, torch::kDouble)
              .to(device));
    c10::List<Tensors> structures, inputs_of_structures;
    structures.push_back(structure);
    inputs_of_structures.push_back(inputs);
    c10::List<torch::Tensor> lists, vectors_of_lists;
    for (const auto &pairs : query.pairs) {
      lists.push_back(view(pairs.values.data(), {pairs.n_pairs, 5}, torch::kInt).to(device));
      vectors_of_lists.push_back(
          view(pairs.vectors.data(), {pairs.n_pairs, 3}, torch::kDouble).to(device));
    }
    c10::List<c10::List<torch::Tensor>> pairs, vectors;
    pairs.push_back(lists);
    vectors.push_back(vectors_of_lists);
    c10::IValue selected;
    if (query.n_selected < query.n_atoms) {
      auto atoms =
          torch::arange(query.n_selected, torch::TensorOptions(torch::kLong).device(device));
      selected = torch::stack({torch::zeros_like(atoms), atoms}, 1);
    }
    arguments = {structures,
                 pairs,
                 selected,
                 strings(query.request),
                 strings(query.outputs),
                 units,
                 query.check_consistency,
                 vectors,
                 inputs_of_structures};
  }
  Timer timer(profile, "evaluate");
  StepsOfModel steps(profile);
  auto returned = call("evaluate", std::move(arguments)).toTuple();
  std::map<std::string, torch::Tensor> results;
  // results, and outputs as they are; the latter are also there with their labels
  for (int k = 0; k < 2; k++)
    for (const auto &item : returned->elements()[k].toGenericDict())
      results[item.key().toStringRef()] =
          item.value().toTensor().to(torch::kCPU, torch::kDouble).contiguous();
  return results;
}

std::map<std::string, Values> Model::evaluate(const Query &query, Profile &profile)
{
  data_->results.clear();
  data_->results = data_->run(query, profile);
  std::map<std::string, Values> values;
  for (const auto &item : data_->results) {
    const auto &tensor = item.second;
    int64_t rows = tensor.dim() > 0 ? tensor.size(0) : 1;
    values[item.first] = {tensor.data_ptr<double>(), rows, rows > 0 ? tensor.numel() / rows : 0};
  }
  return values;
}

}  // namespace metatomic
