#include "metatomic_options.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <stdexcept>

namespace metatomic {

static double number(const std::string &key, const std::string &text)
{
  char *end = nullptr;
  double value = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0' || !std::isfinite(value))
    throw std::runtime_error("expected a number after `" + key +
                             "` of pair style metatomic, got '" + text + "'");
  return value;
}

static std::string choice(const std::string &key, const std::string &text, const Words &allowed)
{
  if (std::find(allowed.begin(), allowed.end(), text) == allowed.end())
    throw std::runtime_error("expected one of " + join(allowed) + " after `" + key +
                             "` of pair style metatomic, got '" + text + "'" +
                             did_you_mean(text, allowed));
  return text;
}

using Setter = std::function<void(Options &, const std::string &key, const std::string &value)>;

// all keywords, each with one value
static const std::map<std::string, Setter> &keywords()
{
  static const std::map<std::string, Setter> table = {
      {"device", [](Options &o, const std::string &, const std::string &v) { o.device = v; }},
      {"extensions",
       [](Options &o, const std::string &, const std::string &v) { o.extensions = v; }},
      {"check_consistency",
       [](Options &o, const std::string &k, const std::string &v) {
         o.check_consistency = choice(k, v, {"on", "off"}) == "on";
       }},
      {"kernel",
       [](Options &o, const std::string &k, const std::string &v) {
         o.kernel = choice(k, v, {"auto", "script", "compiled"});
       }},
      {"scale",
       [](Options &o, const std::string &k, const std::string &v) { o.scale = number(k, v); }},
      {"uncertainty_threshold",
       [](Options &o, const std::string &k, const std::string &v) {
         o.uncertainty_threshold = v == "off" ? std::numeric_limits<double>::infinity()
                                              : number(k, v);
         if (!(o.uncertainty_threshold > 0))
           throw std::runtime_error("expected `" + k + "` to be positive or off, got '" + v + "'");
       }},
      {"non_conservative",
       [](Options &o, const std::string &k, const std::string &v) {
         choice(k, v, {"off", "on", "forces", "stress"});
         o.direct_forces = v == "on" || v == "forces";
         o.direct_stress = v == "on" || v == "stress";
       }},
      {"output",
       [](Options &o, const std::string &, const std::string &v) { o.outputs.push_back(v); }},
      {"variant",
       [](Options &o, const std::string &, const std::string &v) { o.variants["energy"] = v; }},
  };
  return table;
}

Options parse_options(const Words &words)
{
  if (words.empty())
    throw std::runtime_error(
        "expected `pair_style metatomic MODEL [keyword value] ...`, got no model file");
  Options options;
  options.model = words[0];
  Words known;
  for (const auto &item : keywords()) known.push_back(item.first);
  for (size_t i = 1; i < words.size(); i += 2) {
    const std::string &key = words[i];
    bool one_variant = key.rfind("variant/", 0) == 0 && key.size() > 8;
    auto found = keywords().find(key);
    if (found == keywords().end() && !one_variant) {
      throw std::runtime_error("expected a keyword of pair style metatomic, one of " + join(known) +
                               ", variant/OUTPUT, got '" + key + "'" + did_you_mean(key, known));
    }
    if (i + 1 >= words.size())
      throw std::runtime_error("expected a value after `" + key +
                               "` of pair style metatomic, got the end of the line");
    if (one_variant)
      options.variants[full_name(key.substr(8))] = words[i + 1];
    else
      found->second(options, key, words[i + 1]);
  }
  return options;
}

static int find_type(const std::string &word, const std::vector<TypeOfModel> &known)
{
  char *end = nullptr;
  long number = std::strtol(word.c_str(), &end, 10);
  bool is_number = !word.empty() && *end == '\0';
  Words names;
  for (const auto &type : known) {
    if (word == type.name || (is_number && number == type.number)) return type.number;
    names.push_back(type.name + " (" + std::to_string(type.number) + ")");
  }
  throw std::runtime_error(
      "expected types that the model knows in `pair_coeff`, symbols or integers of " + join(names) +
      ", or NULL, got '" + word + "'");
}

std::vector<int> parse_types(const Words &words, int n_types, const std::vector<TypeOfModel> &known)
{
  std::string form = "expected `pair_coeff * * TYPE ...` with " + std::to_string(n_types) +
      " element symbols, integers or NULL, one for each atom type";
  if (words.size() < 2 || words[0] != "*" || words[1] != "*")
    throw std::runtime_error(form + ", got other atom types");
  if (static_cast<int>(words.size()) - 2 != n_types)
    throw std::runtime_error(form + ", got " + std::to_string(words.size() - 2));
  std::vector<int> types;
  for (size_t i = 2; i < words.size(); i++)
    types.push_back(words[i] == "NULL" ? -1 : find_type(words[i], known));
  if (std::all_of(types.begin(), types.end(), [](int type) { return type < 0; }))
    throw std::runtime_error(
        "expected at least one type for the model in `pair_coeff`, got only NULL");
  return types;
}

}  // namespace metatomic
