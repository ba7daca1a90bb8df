#include "metatomic_queries.h"

#include "json.h"

#include <algorithm>
#include <cstdlib>
#include <stdexcept>

using LAMMPS_NS::json;

namespace metatomic {

// of inputs and outputs of exported programs, see metatomic_core.files.programs
static constexpr int SEAM_VERSION = 1;

std::string ModelQueries::type_name(int number) const
{
  for (const auto &type : types)
    if (type.number == number) return type.name;
  return std::to_string(number);
}

// --- variants: the rules of metatomic_core.data.selection ----------------------------------------

using Outputs = std::map<std::string, OutputInfo>;

static std::string described(const Words &names, const Outputs &offered)
{
  Words shown;
  for (const auto &name : names) {
    const std::string variant = variant_of(name);
    const std::string &description = offered.at(name).description;
    shown.push_back((variant.empty() ? "'(no variant)'" : "'" + variant + "'") +
                    (description.empty() ? "" : " (" + description + ")"));
  }
  return join(shown);
}

// Choose between the variants of an output: the one that is asked for, the one without a name, or
// the only one.
static std::string find_output(const std::string &requested, const Outputs &offered,
                               const std::optional<std::string> &variant)
{
  const std::string wanted = base_quantity(requested);
  std::map<std::string, std::string> by_canonical_name;
  for (const auto &item : offered) {
    const std::string &name = item.first;
    if (base_quantity(name) != wanted) continue;
    // the spelling that was asked for wins where the model offers both
    const bool as_asked = name.substr(0, name.find('/')) == requested;
    if (as_asked || !by_canonical_name.count(canonical_name(name)))
      by_canonical_name[canonical_name(name)] = name;
  }
  if (by_canonical_name.empty()) return "";
  Words names;
  for (const auto &item : by_canonical_name) names.push_back(item.second);
  auto found = by_canonical_name.find(variant ? wanted + "/" + *variant : wanted);
  if (found != by_canonical_name.end()) return found->second;
  if (variant)
    throw std::runtime_error("expected a variant of '" + requested + "', got '" + *variant +
                             "'; it has " + described(names, offered));
  if (names.size() > 1)
    throw std::runtime_error("expected a variant for '" + requested +
                             "', which has no default, got none; choose from " +
                             described(names, offered));
  return names[0];
}

std::string ModelQueries::output_name(const std::string &name,
                                      const std::map<std::string, std::string> &variants) const
{
  // their variant is that of the energy, unless they are given one of their own
  static const Words follow_energy = {"energy_uncertainty", "energy_ensemble",
                                      "non_conservative_force", "non_conservative_stress"};
  const std::string requested = full_name(name);
  if (!variant_of(requested).empty()) return outputs.count(requested) ? requested : "";
  std::map<std::string, std::string> wanted;
  for (const auto &item : variants) wanted[canonical_name(item.first)] = item.second;
  const std::string quantity = base_quantity(requested);
  auto own = wanted.find(quantity), of_energy = wanted.find("energy");
  if (own != wanted.end())
    return find_output(requested, outputs,
                       own->second == "off" ? std::nullopt : std::make_optional(own->second));
  const bool follows =
      std::find(follow_energy.begin(), follow_energy.end(), quantity) != follow_energy.end();
  if (follows && of_energy != wanted.end() && of_energy->second != "off") {
    // results of two variants are not to be mixed by accident
    const std::string with_variant = quantity + "/" + of_energy->second;
    return outputs.count(with_variant) ? with_variant : "";
  }
  return find_output(requested, outputs, std::nullopt);
}

int ModelQueries::n_values(const std::string &output) const
{
  const int known = outputs.at(output).n_values;
  if (known < 0)
    throw std::runtime_error("expected the number of values of '" + output +
                             "' in the header of the model file, got none: it could not be found "
                             "out when the model was saved; save it where the model can run");
  return known;
}

std::string ModelQueries::unknown_output(const std::string &name) const
{
  Words names;
  // one spelling of each
  for (const auto &item : outputs) {
    const std::string canonical = canonical_name(item.first);
    if (canonical == item.first || !outputs.count(canonical)) names.push_back(item.first);
  }
  return "expected an output of the model, one of " + join(names) + ", got '" + name + "'" +
      did_you_mean(name, names);
}

// --- the header ----------------------------------------------------------------------------------

// JSON has no infinity: a number, or its text.
static double number_of(const json &value)
{
  if (!value.is_string()) return value;
  const std::string text = value;
  char *end = nullptr;
  const double number = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0')
    throw std::runtime_error("expected a number in the header of a model file, got '" + text + "'");
  return number;
}

static ModelQueries filled(const json &queries)
{
  ModelQueries result;
  const auto &numbers = queries.at("atomic_types");
  for (size_t k = 0; k < numbers.size(); k++)
    result.types.push_back(
        {numbers[k], queries.at("type_names").at(k), queries.at("masses").at(k)});
  for (const auto &device : queries.at("supported_devices")) result.devices.push_back(device);
  const json &length = queries.at("length_unit_in_angstrom");
  if (!length.is_null()) result.length_in_angstrom = static_cast<double>(length);
  result.interaction_range = number_of(queries.at("interaction_range"));
  for (const auto &list : queries.at("neighbor_lists"))
    result.lists.push_back({number_of(list.at("cutoff")), list.at("full_list")});
  for (const auto &item : queries.at("outputs").items()) {
    const json &output = item.value();
    const json &width = output.at("n_properties");
    result.outputs[item.key()] = {output.at("sample_kind"), output.value("description", ""),
                                  width.is_null() ? -1 : static_cast<int>(width)};
  }
  for (const auto &item : queries.at("inputs").items())
    result.inputs[item.key()] = item.value().at("sample_kind");
  const json &is_local = queries.at("is_local");
  if (!is_local.is_null()) result.is_local = static_cast<bool>(is_local);
  result.dtype = queries.at("dtype");
  const json units = queries.value("energies_in_ev", json::object());
  for (const auto &item : units.items()) {
    auto &unit = result.energies_in_ev[item.key()];
    if (!item.value().is_null()) unit = static_cast<double>(item.value());
  }
  return result;
}

// As metatomic_core.data.metadata has it, without breaking lines.
static std::string card_of(const json &metadata)
{
  const std::string name = metadata.value("name", "");
  const std::string description = metadata.value("description", "");
  const std::string title = name.empty() ? "This is an unnamed model"
                                         : "This is the " + name + " model";
  std::string card = title + "\n" + std::string(std::min<size_t>(title.size(), 80), '=');
  if (!description.empty()) card += "\n\n" + description;
  const json authors = metadata.value("authors", json::array());
  if (!authors.empty()) card += "\n\nModel authors\n-------------\n";
  for (const auto &author : authors) card += "\n- " + std::string(author);
  const json references = metadata.value("references", json::object());
  std::string cited;
  for (const char *kind : {"implementation", "architecture", "model"}) {
    const json of_kind = references.value(kind, json::array());
    if (!of_kind.empty()) cited += "\n- about the " + std::string(kind) + " of this model:";
    for (const auto &reference : of_kind) cited += "\n  * " + std::string(reference);
  }
  if (cited.empty()) return card;
  return card +
      "\n\nModel references\n----------------\n\nPlease cite the following when using it:" + cited;
}

static void fill_programs(const json &header, ModelQueries &result)
{
  result.untraced = header.value("untraced", "");
  const json programs = header.value("programs", json::array());
  for (const auto &program : programs)
    if (program.at("seam") == SEAM_VERSION)
      result.programs.push_back(
          {program.at("sha256"), program.at("energy"), program.at("selects")});
}

const ProgramInfo &program_for(const ModelQueries &queries, const std::string &energy, bool selects)
{
  for (const auto &program : queries.programs)
    if (program.energy == energy && program.selects == selects) return program;
  if (queries.programs.empty())
    throw std::runtime_error(
        "expected a model file with an exported program for `kernel "
        "compiled`, got one without" +
        (queries.untraced.empty() ? "; save the model again" : ": " + queries.untraced));
  throw std::runtime_error("expected an exported program of '" + energy + "' for " +
                           (selects ? "selected atoms, which several ranks need" : "all atoms") +
                           ", got none; use `kernel script`");
}

ModelQueries queries_of_header(const std::string &header)
{
  try {
    const json content = json::parse(header);
    ModelQueries result = filled(content.at("queries"));
    result.card = card_of(content.value("metadata", json::object()));
    fill_programs(content, result);
    return result;
  } catch (const json::exception &error) {
    throw std::runtime_error(
        std::string("expected all answers in the header of a model file, got an error: ") +
        error.what());
  }
}

}  // namespace metatomic
