#include "metatomic_options.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <stdexcept>

namespace metatomic {

struct Element {
  const char *symbol;
  double mass;  // IUPAC standard atomic weight (2018), g/mol; of the longest-lived isotope where there is none
};

static const Element ELEMENTS[] = {
    {"", 0}, {"H", 1.008}, {"He", 4.002602}, {"Li", 6.94}, {"Be", 9.0121831}, {"B", 10.81}, {"C", 12.011},
    {"N", 14.007}, {"O", 15.999}, {"F", 18.99840316}, {"Ne", 20.1797}, {"Na", 22.98976928}, {"Mg", 24.305},
    {"Al", 26.9815385}, {"Si", 28.085}, {"P", 30.973762}, {"S", 32.06}, {"Cl", 35.45}, {"Ar", 39.948}, {"K", 39.0983},
    {"Ca", 40.078}, {"Sc", 44.955908}, {"Ti", 47.867}, {"V", 50.9415}, {"Cr", 51.9961}, {"Mn", 54.938044},
    {"Fe", 55.845}, {"Co", 58.933194}, {"Ni", 58.6934}, {"Cu", 63.546}, {"Zn", 65.38}, {"Ga", 69.723}, {"Ge", 72.63},
    {"As", 74.921595}, {"Se", 78.971}, {"Br", 79.904}, {"Kr", 83.798}, {"Rb", 85.4678}, {"Sr", 87.62},
    {"Y", 88.90584}, {"Zr", 91.224}, {"Nb", 92.90637}, {"Mo", 95.95}, {"Tc", 97.90721}, {"Ru", 101.07},
    {"Rh", 102.9055}, {"Pd", 106.42}, {"Ag", 107.8682}, {"Cd", 112.414}, {"In", 114.818}, {"Sn", 118.71},
    {"Sb", 121.76}, {"Te", 127.6}, {"I", 126.90447}, {"Xe", 131.293}, {"Cs", 132.905452}, {"Ba", 137.327},
    {"La", 138.90547}, {"Ce", 140.116}, {"Pr", 140.90766}, {"Nd", 144.242}, {"Pm", 144.91276}, {"Sm", 150.36},
    {"Eu", 151.964}, {"Gd", 157.25}, {"Tb", 158.92535}, {"Dy", 162.5}, {"Ho", 164.93033}, {"Er", 167.259},
    {"Tm", 168.93422}, {"Yb", 173.054}, {"Lu", 174.9668}, {"Hf", 178.49}, {"Ta", 180.94788}, {"W", 183.84},
    {"Re", 186.207}, {"Os", 190.23}, {"Ir", 192.217}, {"Pt", 195.084}, {"Au", 196.966569}, {"Hg", 200.592},
    {"Tl", 204.38}, {"Pb", 207.2}, {"Bi", 208.9804}, {"Po", 208.98243}, {"At", 209.98715}, {"Rn", 222.01758},
    {"Fr", 223.01974}, {"Ra", 226.02541}, {"Ac", 227.02775}, {"Th", 232.0377}, {"Pa", 231.03588}, {"U", 238.02891},
    {"Np", 237.04817}, {"Pu", 244.06421}, {"Am", 243.06138}, {"Cm", 247.07035}, {"Bk", 247.07031}, {"Cf", 251.07959},
    {"Es", 252.083}, {"Fm", 257.09511}, {"Md", 258.09843}, {"No", 259.101}, {"Lr", 262.11}, {"Rf", 267.122},
    {"Db", 268.126}, {"Sg", 271.134}, {"Bh", 270.133}, {"Hs", 269.1338}, {"Mt", 278.156}, {"Ds", 281.165},
    {"Rg", 281.166}, {"Cn", 285.177}, {"Nh", 286.182}, {"Fl", 289.19}, {"Mc", 289.194}, {"Lv", 293.204},
    {"Ts", 293.208}, {"Og", 294.214}};
static constexpr int N_ELEMENTS = sizeof(ELEMENTS) / sizeof(ELEMENTS[0]);

// spellings of output names that mean the same
static const std::map<std::string, std::string> OTHER_NAMES = {
    {"features", "feature"},
    {"non_conservative_forces", "non_conservative_force"},
    {"positions", "position"},
    {"momenta", "momentum"},
    {"velocities", "velocity"},
    {"masses", "mass"},
    {"charges", "charge"},
    {"dipoles", "dipole"},
    {"uncertainty", "energy_uncertainty"},
    {"ensemble", "energy_ensemble"},
};

// outputs whose variant is the one of the energy, unless they are given their own
static const Words FOLLOW_ENERGY = {"energy_uncertainty", "energy_ensemble", "non_conservative_force",
                                    "non_conservative_stress"};

// Number of insertions, deletions and replacements between two words (Levenshtein).
static size_t edit_distance(const std::string &a, const std::string &b)
{
  std::vector<size_t> previous(b.size() + 1);
  for (size_t j = 0; j <= b.size(); j++) previous[j] = j;
  for (size_t i = 0; i < a.size(); i++) {
    std::vector<size_t> current = {i + 1};
    for (size_t j = 0; j < b.size(); j++)
      current.push_back(std::min({previous[j] + (a[i] != b[j]), previous[j + 1] + 1, current[j] + 1}));
    previous = current;
  }
  return previous.back();
}

std::string did_you_mean(const std::string &word, const Words &known)
{
  std::string nearest;
  size_t best = std::max<size_t>(2, word.size() / 3) + 1;
  for (const auto &name : known) {
    size_t distance = edit_distance(word, name);
    if (distance < best) {
      best = distance;
      nearest = name;
    }
  }
  return nearest.empty() ? "" : " (did you mean '" + nearest + "')";
}

std::string join(const Words &words)
{
  std::string text;
  for (const auto &word : words) text += (text.empty() ? "" : ", ") + word;
  return text;
}

std::string base_name(const std::string &name)
{
  std::string base = name.substr(0, name.find('/'));
  auto other = OTHER_NAMES.find(base);
  return other == OTHER_NAMES.end() ? base : other->second;
}

std::string element_symbol(int atomic_type)
{
  return atomic_type > 0 && atomic_type < N_ELEMENTS ? ELEMENTS[atomic_type].symbol : std::to_string(atomic_type);
}

double element_mass(int atomic_type)
{
  return atomic_type > 0 && atomic_type < N_ELEMENTS ? ELEMENTS[atomic_type].mass : 0.0;
}

static double number(const std::string &key, const std::string &text)
{
  char *end = nullptr;
  double value = std::strtod(text.c_str(), &end);
  if (text.empty() || *end != '\0' || !std::isfinite(value))
    throw std::runtime_error("expected a number after `" + key + "` of pair style metatomic, got '" + text + "'");
  return value;
}

static std::string choice(const std::string &key, const std::string &text, const Words &allowed)
{
  if (std::find(allowed.begin(), allowed.end(), text) == allowed.end())
    throw std::runtime_error("expected one of " + join(allowed) + " after `" + key + "` of pair style metatomic, got '" +
                             text + "'" + did_you_mean(text, allowed));
  return text;
}

using Setter = std::function<void(Options &, const std::string &key, const std::string &value)>;

// all keywords, each with one value
static const std::map<std::string, Setter> &keywords()
{
  static const std::map<std::string, Setter> table = {
      {"device", [](Options &o, const std::string &, const std::string &v) { o.device = v; }},
      {"extensions", [](Options &o, const std::string &, const std::string &v) { o.extensions = v; }},
      {"check_consistency",
       [](Options &o, const std::string &k, const std::string &v) {
         o.check_consistency = choice(k, v, {"on", "off"}) == "on";
       }},
      {"scale", [](Options &o, const std::string &k, const std::string &v) { o.scale = number(k, v); }},
      {"uncertainty_threshold",
       [](Options &o, const std::string &k, const std::string &v) {
         o.uncertainty_threshold = v == "off" ? std::numeric_limits<double>::infinity() : number(k, v);
         if (!(o.uncertainty_threshold > 0))
           throw std::runtime_error("expected `" + k + "` to be positive or off, got '" + v + "'");
       }},
      {"non_conservative",
       [](Options &o, const std::string &k, const std::string &v) {
         choice(k, v, {"off", "on", "forces", "stress"});
         o.direct_forces = v == "on" || v == "forces";
         o.direct_stress = v == "on" || v == "stress";
       }},
      {"output", [](Options &o, const std::string &, const std::string &v) { o.outputs.push_back(v); }},
      {"variant", [](Options &o, const std::string &, const std::string &v) { o.variants["energy"] = v; }},
  };
  return table;
}

Options parse_options(const Words &words)
{
  if (words.empty())
    throw std::runtime_error("expected `pair_style metatomic MODEL [keyword value] ...`, got no model file");
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
      throw std::runtime_error("expected a value after `" + key + "` of pair style metatomic, got the end of the line");
    if (one_variant)
      options.variants[base_name(key.substr(8))] = words[i + 1];
    else
      found->second(options, key, words[i + 1]);
  }
  return options;
}

static int atomic_type(const std::string &word)
{
  for (int z = 1; z < N_ELEMENTS; z++)
    if (word == ELEMENTS[z].symbol) return z;
  char *end = nullptr;
  long value = std::strtol(word.c_str(), &end, 10);
  if (word.empty() || *end != '\0')
    throw std::runtime_error("expected an element symbol, an integer or NULL in `pair_coeff`, got '" + word + "'");
  return static_cast<int>(value);
}

std::vector<int> parse_types(const Words &words, int n_types, const std::vector<int> &known)
{
  std::string form = "expected `pair_coeff * * TYPE ...` with " + std::to_string(n_types) +
      " element symbols, integers or NULL, one for each atom type";
  if (words.size() < 2 || words[0] != "*" || words[1] != "*") throw std::runtime_error(form + ", got other atom types");
  if (static_cast<int>(words.size()) - 2 != n_types)
    throw std::runtime_error(form + ", got " + std::to_string(words.size() - 2));
  std::vector<int> types;
  for (size_t i = 2; i < words.size(); i++) {
    if (words[i] == "NULL") {
      types.push_back(-1);
      continue;
    }
    int type = atomic_type(words[i]);
    if (std::find(known.begin(), known.end(), type) == known.end()) {
      Words names;
      for (int z : known) names.push_back(element_symbol(z) + " (" + std::to_string(z) + ")");
      throw std::runtime_error("expected types that the model knows in `pair_coeff`, " + join(names) + ", got '" +
                               words[i] + "'");
    }
    types.push_back(type);
  }
  if (std::all_of(types.begin(), types.end(), [](int type) { return type < 0; }))
    throw std::runtime_error("expected at least one type for the model in `pair_coeff`, got only NULL");
  return types;
}

std::string pick_output(const std::string &name, const Kinds &offered, const std::map<std::string, std::string> &variants)
{
  if (name.find('/') != std::string::npos) return offered.count(name) ? name : "";
  std::string base = base_name(name);
  Words found;
  for (const auto &item : offered) {
    const std::string &candidate = item.first;
    std::string root = candidate.substr(0, candidate.find('/'));
    if (root == base) found.push_back(candidate);
  }
  if (found.empty()) return "";
  auto chosen = variants.find(base);
  if (chosen != variants.end() && chosen->second != "off") {
    std::string wanted = base + "/" + chosen->second;
    if (std::find(found.begin(), found.end(), wanted) == found.end())
      throw std::runtime_error("expected a variant of '" + base + "', one of " + join(found) + ", got '" +
                               chosen->second + "'");
    return wanted;
  }
  auto energy = variants.find("energy");
  bool follows = std::find(FOLLOW_ENERGY.begin(), FOLLOW_ENERGY.end(), base) != FOLLOW_ENERGY.end();
  if (follows && chosen == variants.end() && energy != variants.end()) {
    std::string wanted = base + "/" + energy->second;
    if (std::find(found.begin(), found.end(), wanted) != found.end()) return wanted;
  }
  if (std::find(found.begin(), found.end(), base) != found.end()) return base;
  if (found.size() == 1) return found[0];
  throw std::runtime_error("expected a variant for '" + base + "', which has no default, got none; choose one of " +
                           join(found) + " with the keyword " +
                           (base == "energy" ? "variant" : "variant/" + base));
}

}    // namespace metatomic
