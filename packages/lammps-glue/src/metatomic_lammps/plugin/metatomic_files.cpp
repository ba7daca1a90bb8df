#include "metatomic_files.h"

#include "json.h"
#include "metatomic_sha256.h"

#include <caffe2/serialize/inline_container.h>
#include <torch/csrc/jit/runtime/operator.h>
#include <torch/custom_class.h>

#include <dlfcn.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <vector>

namespace fs = std::filesystem;
using LAMMPS_NS::json;

namespace metatomic {

// of the format of model files, see docs/model-file of metatomic-core
static constexpr int FORMAT_VERSION = 3;
static const char *const HEADER = "extra/metatomic-core.json";
// bytes; a run of one character compresses a thousand times, and is unpacked before it is read
static constexpr size_t MAX_HEADER = 16000000;
static const char *const REFERENCE_HEADER = "extra/metatomic-version";

static std::string read_header(const std::string &path)
{
  std::string expected = "expected a model file of metatomic-core, got '" + path + "', ";
  if (!fs::exists(path)) throw std::runtime_error(expected + "which does not exist");
  if (fs::is_directory(path)) throw std::runtime_error(expected + "which is a directory");
  std::unique_ptr<caffe2::serialize::PyTorchStreamReader> reader;
  try {
    reader = std::make_unique<caffe2::serialize::PyTorchStreamReader>(path);
  } catch (const std::exception &) {
    throw std::runtime_error(expected +
                             "which is something else or damaged (not a TorchScript archive)");
  }
  if (reader->hasRecord(REFERENCE_HEADER))
    throw std::runtime_error(expected +
                             "which is a model of metatomic-torch; run `metatomic convert " + path +
                             " OUT` and use that");
  if (!reader->hasRecord(HEADER))
    throw std::runtime_error(
        expected + "which is another archive; wrap the module in `AtomisticModel` and save that");
  if (reader->getRecordSize(HEADER) > MAX_HEADER)
    throw std::runtime_error(expected + "with a header of more than " +
                             std::to_string(MAX_HEADER / 1000000) + " MB");
  auto record = reader->getRecord(HEADER);
  return std::string(static_cast<const char *>(std::get<0>(record).get()), std::get<1>(record));
}

// Distribution names are compared without case, with '_' for '-' and '.' (PEP 503).
static std::string normalized(std::string name)
{
  for (char &c : name) c = (c == '-' || c == '.') ? '_' : static_cast<char>(std::tolower(c));
  return name;
}

// Look a library up in what the installer recorded for a distribution.
static std::string find_installed(const std::string &library, const std::string &distribution,
                                  const std::string &hash)
{
  std::vector<std::string> found;
  std::error_code ignored;
  for (const auto &entry : fs::directory_iterator(METATOMIC_SITE_PACKAGES, ignored)) {
    std::string folder = entry.path().filename();
    if (entry.path().extension() != ".dist-info") continue;
    if (normalized(folder.substr(0, folder.find('-'))) != normalized(distribution)) continue;
    std::ifstream record(entry.path() / "RECORD");
    std::string line;
    while (std::getline(record, line)) {
      fs::path file = line.substr(0, line.find(','));
      if (file.filename() == library) found.push_back(fs::path(METATOMIC_SITE_PACKAGES) / file);
    }
  }
  if (found.empty()) return "";
  for (const auto &file : found)
    if (!hash.empty() && sha256_of_file(file) == hash) return file;
  // one build for each torch: take the one for the torch that this plugin was built with
  for (const auto &file : found)
    if (file.find("/torch-" METATOMIC_TORCH_MINOR "/") != std::string::npos) return file;
  return found[0];
}

// Load a library, the one with the recorded hash: another one in the directory of the user is an
// error, another installed one a warning, as for the Python loader.
static void load_library(const json &library, const std::string &directory, Words &warnings)
{
  std::string name = library.at("name");
  if (name.find('/') != std::string::npos || name == ".." || name.empty())
    throw std::runtime_error("expected the plain file name of a library in a model file, got '" +
                             name + "'");
  if (dlopen(name.c_str(), RTLD_NOLOAD | RTLD_LAZY) != nullptr) return;
  const std::string hash = library.value("sha256", "");
  std::string path, installed;
  std::string advice = "name the directory that has it with the keyword extensions";
  if (!directory.empty() && fs::exists(fs::path(directory) / name))
    path = fs::path(directory) / name;
  if (!path.empty() && !hash.empty()) {
    std::string found = sha256_of_file(path);
    if (found != hash)
      throw std::runtime_error("expected '" + path +
                               "' to be the library that the model was saved with, with sha256 " +
                               hash.substr(0, 12) + "..., got " + found.substr(0, 12) +
                               "...; collect the extensions again");
  }
  if (library.contains("distribution") && library.at("distribution").is_string()) {
    std::string distribution = library.at("distribution");
    if (path.empty()) path = installed = find_installed(name, distribution, hash);
    std::string version = library.contains("version") ? "==" + std::string(library.at("version"))
                                                      : "";
    advice = "run `pip install " + distribution + version + "`, or " + advice;
  }
  if (path.empty())
    throw std::runtime_error("expected the extension '" + name +
                             "', which this model needs, got none; " + advice);
  if (dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL) == nullptr) {
    std::string reason = dlerror();
    throw std::runtime_error(
        "expected '" + path +
        "' to load with torch " METATOMIC_TORCH_VERSION ", got an error: " + reason);
  }
  if (!installed.empty() && !hash.empty() && sha256_of_file(installed) != hash)
    warnings.push_back("expected the build of '" + name +
                       "' that the model was saved with, got another one, '" + installed +
                       "'; results may differ");
}

// The first class "namespace.Class" or operator "namespace::operator" that no loaded library
// registers, or nothing.
static std::string first_missing(const json &extension)
{
  for (const auto &item : extension.value("registers", json::array())) {
    std::string name = item;
    bool known = name.find("::") != std::string::npos
        ? !torch::jit::getAllOperatorsFor(c10::Symbol::fromQualString(name)).empty()
        : static_cast<bool>(torch::getCustomClass("__torch__.torch.classes." + name));
    if (!known) return name;
  }
  return "";
}

// A dependency that does not load is no error where all classes and operators are there in the end:
// a library for GPUs on a machine without, for example.
static void load_extension(const json &extension, const std::string &directory, Words &warnings)
{
  const bool has_names = !extension.value("registers", json::array()).empty();
  if (has_names && first_missing(extension).empty()) return;
  std::string problems;
  auto attempt = [&](const json &library) {
    try {
      load_library(library, directory, warnings);
      return true;
    } catch (const json::exception &) {
      throw;
    } catch (const std::exception &problem) {
      problems += (problems.empty() ? "" : "; before that: ") + std::string(problem.what());
      return false;
    }
  };
  std::string of_dependencies;
  for (const auto &dependency : extension.at("dependencies")) attempt(dependency);
  std::swap(problems, of_dependencies);
  bool loaded = attempt(extension);
  std::string cause = of_dependencies.empty() ? "" : "; before that: " + of_dependencies;
  if (!loaded) throw std::runtime_error(problems + cause);
  std::string missing = first_missing(extension);
  if (!missing.empty())
    throw std::runtime_error("expected '" + std::string(extension.at("name")) + "' to register '" +
                             missing + "', got a library that does not" + cause);
}

ModelFile prepare_model_file(const std::string &path, const std::string &directory)
{
  ModelFile file;
  Words &warnings = file.warnings;
  if (!directory.empty() && !fs::is_directory(directory))
    throw std::runtime_error("expected `extensions` to be a directory, got '" + directory + "'");
  const std::string text = read_header(path);
  try {
    const json header = json::parse(text);
    int version = header.at("format_version");
    if (version > FORMAT_VERSION)
      throw std::runtime_error(
          "expected a model file of format version " + std::to_string(FORMAT_VERSION) + ", got '" +
          path + "' of version " + std::to_string(version) +
          "; run `pip install --upgrade metatomic-lammps` and `metatomic-lammps build`");
    if (version < FORMAT_VERSION)
      throw std::runtime_error("expected a model file of format version " +
                               std::to_string(FORMAT_VERSION) + ", got '" + path + "' of version " +
                               std::to_string(version) + "; export the model again");
    // the data format of every model, not listed in its header
    load_library({{"name", "libmetatensor.so"}, {"distribution", "metatensor-core"}}, directory,
                 warnings);
    load_library({{"name", "libmetatensor_torch.so"}, {"distribution", "metatensor-torch"}},
                 directory, warnings);
    for (const auto &extension : header.at("extensions"))
      load_extension(extension, directory, warnings);
  } catch (const json::exception &error) {
    throw std::runtime_error("expected a valid header in model file '" + path +
                             "', got damaged text: " + error.what());
  }
  file.queries = queries_of_header(text);
  return file;
}

}  // namespace metatomic
