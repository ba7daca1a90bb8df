#include "metatomic_packages.h"

#include "json.h"
#include "metatomic_cpu.h"

#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>

namespace fs = std::filesystem;
using LAMMPS_NS::json;

namespace metatomic {

static const char *const FLAVOR = "lammps";
// of inputs and outputs of programs, see metatomic_core.files.programs
static constexpr int SEAM_VERSION = 1;
// best first
static const Words MARCHES = {"x86-64-v4", "x86-64-v3"};

static std::string environment(const char *name)
{
  const char *value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::string kernels_folder()
{
  const std::string named = environment("METATOMIC_CACHE");
  if (!named.empty()) return fs::path(named) / "kernels";
  const std::string cache = environment("XDG_CACHE_HOME");
  if (!cache.empty()) return fs::path(cache) / "metatomic" / "kernels";
  std::string home = environment("HOME");
  const passwd *entry = home.empty() ? getpwuid(getuid()) : nullptr;
  if (entry != nullptr) home = entry->pw_dir;
  return fs::path(home) / ".cache" / "metatomic" / "kernels";
}

static std::string advice(const WantedPackage &wanted)
{
  const std::string device = wanted.device == "cpu" ? "" : " --device " + wanted.device;
  return "; run `metatomic compile`" + device + " with the model file on this machine";
}

// What torch is, without the name of its build.
static std::string release(const std::string &version)
{
  return version.substr(0, version.find('+'));
}

// Why a package does not fit; empty if it does.
static std::string misfit(const json &about, const WantedPackage &wanted)
{
  const std::pair<const char *, std::pair<std::string, std::string>> rows[] = {
      {"program", {wanted.program.substr(0, 12), std::string(about.at("program")).substr(0, 12)}},
      {"torch", {wanted.torch, release(about.at("torch"))}},
      {"device", {wanted.device, about.at("device")}},
      {"dtype", {wanted.dtype, about.at("dtype")}},
      {"seam", {std::to_string(SEAM_VERSION), std::to_string(static_cast<int>(about.at("seam")))}},
  };
  for (const auto &row : rows)
    if (row.second.first != row.second.second)
      return std::string("expected a compiled package for the ") + row.first + " " +
          row.second.first + ", got one for " + row.second.second;
  if (wanted.program != about.at("program"))
    return "expected a compiled package of the program in the model file, got one of another";
  const std::string march = about.at("march");
  const Words lacking = lacking_cpu_flags(about.at("cpu_flags").get<Words>());
  if (!lacking.empty())
    return "expected a compiled package that this processor can run, got one for " + march +
        ", which needs " + join(lacking);
  if (march.rfind("native-", 0) == 0 && march != "native-" + machine())
    return "expected a compiled package that this processor can run, got one for " + march;
  return "";
}

// The shared library in an unpacked package.
static std::string library_in(const fs::path &folder)
{
  std::string found;
  std::error_code ignored;
  const fs::path parts = folder / "data" / "aotinductor" / "model";
  for (const auto &entry : fs::directory_iterator(parts, ignored))
    if (entry.path().extension() == ".so") found = entry.path();
  return found;
}

// Files that are cut short would end the process where they are read.
static void check_size(const fs::path &folder, int64_t expected)
{
  int64_t found = 0;
  for (const auto &entry : fs::recursive_directory_iterator(folder))
    if (entry.is_regular_file()) found += static_cast<int64_t>(entry.file_size());
  if (found != expected)
    throw std::runtime_error("expected a compiled package of " + std::to_string(expected) +
                             " bytes in '" + folder.string() + "', got " + std::to_string(found));
}

static Words names_of(const json &rows)
{
  Words names;
  for (const auto &row : rows) names.push_back(row.at("name"));
  return names;
}

Package find_package(const std::string &folder, const WantedPackage &wanted)
{
  struct Candidate {
    size_t rank;  // of the instruction set, the best one first
    fs::file_time_type time;
    Package package;
  };
  std::vector<Candidate> fitting;
  std::string reason;
  std::error_code ignored;
  const fs::path of_program = fs::path(folder) / wanted.program.substr(0, 16);
  for (const auto &entry : fs::directory_iterator(of_program, ignored)) {
    const fs::path path = entry.path() / "about.json";
    std::ifstream file(path);
    if (!file) continue;  // not complete
    try {
      const json about = json::parse(file);
      if (about.at("flavor") != FLAVOR) continue;
      Package package;
      package.march = about.at("march");
      package.dtype = about.at("dtype");
      package.inputs = names_of(about.at("inputs"));
      package.outputs = names_of(about.at("outputs"));
      const std::string problem = misfit(about, wanted);
      if (!problem.empty()) {
        reason = problem;
        continue;
      }
      const fs::path parts = entry.path() / about.value("package", "package");
      check_size(parts, about.at("bytes"));
      package.library = library_in(parts);
      if (package.library.empty())
        throw std::runtime_error("expected a shared library in '" + entry.path().string() +
                                 "', got none");
      const size_t rank =
          std::find(MARCHES.begin(), MARCHES.end(), package.march) - MARCHES.begin();
      fitting.push_back({rank, fs::last_write_time(path, ignored), package});
    } catch (const json::exception &error) {
      reason = std::string("expected a whole compiled package, got a damaged one: ") + error.what();
    } catch (const std::exception &error) {
      reason = error.what();
    }
  }
  if (fitting.empty() && reason.empty())
    reason = "expected a compiled package of the model, got none in '" + folder + "'";
  if (fitting.empty()) throw std::runtime_error(reason + advice(wanted));
  auto better = [](const Candidate &a, const Candidate &b) {
    return a.rank != b.rank ? a.rank < b.rank : a.time > b.time;
  };
  return std::min_element(fitting.begin(), fitting.end(), better)->package;
}

}  // namespace metatomic
