// Reads a header and lines of questions, and prints what the plugin makes of them; for
// test_queries.py.

#include "metatomic_queries.h"

#include <fstream>
#include <iostream>
#include <sstream>

using namespace metatomic;

static void print_all(const ModelQueries &queries)
{
  for (const auto &type : queries.types)
    std::cout << "type " << type.number << ' ' << type.name << ' ' << type.mass << '\n';
  std::cout << "devices " << join(queries.devices) << '\n';
  const auto length = queries.length_in_angstrom;
  std::cout << "length " << (length ? std::to_string(*length) : "without unit") << '\n';
  std::cout << "range " << queries.interaction_range << '\n';
  for (const auto &list : queries.lists)
    std::cout << "list " << list.cutoff << ' ' << list.full_list << '\n';
  for (const auto &item : queries.outputs)
    std::cout << "output " << item.first << ' ' << item.second.kind << ' ' << item.second.n_values
              << ' ' << item.second.description << '\n';
  for (const auto &item : queries.inputs)
    std::cout << "input " << item.first << ' ' << item.second << '\n';
  std::cout << "local " << (queries.is_local ? std::to_string(*queries.is_local) : "unknown")
            << '\n';
}

// A line has the name of an output, and quantities with variants: "energy_uncertainty energy=pbe".
static std::string answer(const ModelQueries &queries, const std::string &line)
{
  std::istringstream words(line);
  std::string name, word;
  words >> name;
  std::map<std::string, std::string> variants;
  while (words >> word) {
    auto equal = word.find('=');
    variants[word.substr(0, equal)] = word.substr(equal + 1);
  }
  return queries.output_name(name, variants);
}

int main(int, char **argv)
{
  std::ostringstream header;
  header << std::ifstream(argv[1]).rdbuf();
  try {
    const auto queries = queries_of_header(header.str());
    if (argv[2] == std::string("all")) print_all(queries);
    if (argv[2] == std::string("values")) std::cout << queries.n_values(argv[3]) << '\n';
    std::string line;
    while (std::getline(std::cin, line)) try {
        const std::string name = answer(queries, line);
        std::cout << '"' << name << "\"\n";
      } catch (const std::exception &error) {
        std::cout << error.what() << '\n';
      }
  } catch (const std::exception &error) {
    std::cout << error.what() << '\n';
  }
}
