#include "metatomic_names.h"

#include <algorithm>
#include <map>

namespace metatomic {

std::string variant_of(const std::string &name)
{
  auto slash = name.find('/');
  return slash == std::string::npos ? "" : name.substr(slash + 1);
}

// the table of metatomic_core.data.quantities
std::string base_quantity(const std::string &name)
{
  static const std::map<std::string, std::string> singular = {
      {"features", "feature"},    {"non_conservative_forces", "non_conservative_force"},
      {"positions", "position"},  {"momenta", "momentum"},
      {"velocities", "velocity"}, {"masses", "mass"},
      {"charges", "charge"},      {"dipoles", "dipole"},
  };
  const std::string base = name.substr(0, name.find('/'));
  auto found = singular.find(base);
  return found == singular.end() ? base : found->second;
}

std::string canonical_name(const std::string &name)
{
  const std::string variant = variant_of(name);
  return variant.empty() ? base_quantity(name) : base_quantity(name) + "/" + variant;
}

std::string full_name(const std::string &name)
{
  return name == "uncertainty" || name == "ensemble" ? "energy_" + name : name;
}

// Number of insertions, deletions and replacements between two words (Levenshtein).
static size_t edit_distance(const std::string &a, const std::string &b)
{
  std::vector<size_t> previous(b.size() + 1);
  for (size_t j = 0; j <= b.size(); j++) previous[j] = j;
  for (size_t i = 0; i < a.size(); i++) {
    std::vector<size_t> current = {i + 1};
    for (size_t j = 0; j < b.size(); j++)
      current.push_back(
          std::min({previous[j] + (a[i] != b[j]), previous[j + 1] + 1, current[j] + 1}));
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

}  // namespace metatomic
