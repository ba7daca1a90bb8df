#include "metatomic_files.h"

#include "json.h"

#include <caffe2/serialize/inline_container.h>

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
static constexpr int FORMAT_VERSION = 1;
static const char *const HEADER = "extra/metatomic-core.json";
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
    throw std::runtime_error(expected + "which is something else or damaged (not a TorchScript archive)");
  }
  if (reader->hasRecord(REFERENCE_HEADER))
    throw std::runtime_error(expected + "which is a model of metatomic-torch; run `metatomic convert " + path +
                             " OUT` and use that");
  if (!reader->hasRecord(HEADER))
    throw std::runtime_error(expected + "which is another archive; wrap the module in `AtomisticModel` and save that");
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
static std::string find_installed(const std::string &library, const std::string &distribution)
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
  // one build for each torch: take the one for the torch that this plugin was built with
  for (const auto &file : found)
    if (file.find("/torch-" METATOMIC_TORCH_MINOR "/") != std::string::npos) return file;
  return found[0];
}

static void load_library(const json &library, const std::string &directory)
{
  std::string name = library.at("name");
  if (name.find('/') != std::string::npos || name == ".." || name.empty())
    throw std::runtime_error("expected the plain file name of a library in a model file, got '" + name + "'");
  if (dlopen(name.c_str(), RTLD_NOLOAD | RTLD_LAZY) != nullptr) return;
  std::string path;
  std::string advice = "name the directory that has it with the keyword extensions";
  if (!directory.empty() && fs::exists(fs::path(directory) / name)) path = fs::path(directory) / name;
  if (library.contains("distribution") && library.at("distribution").is_string()) {
    std::string distribution = library.at("distribution");
    if (path.empty()) path = find_installed(name, distribution);
    std::string version = library.contains("version") ? "==" + std::string(library.at("version")) : "";
    advice = "run `pip install " + distribution + version + "`, or " + advice;
  }
  if (path.empty())
    throw std::runtime_error("expected the extension '" + name + "', which this model needs, got none; " + advice);
  if (dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL) == nullptr) {
    std::string reason = dlerror();
    throw std::runtime_error("expected '" + path + "' to load with torch " METATOMIC_TORCH_VERSION ", got an error: " +
                             reason);
  }
}

void prepare_model_file(const std::string &path, const std::string &directory)
{
  if (!directory.empty() && !fs::is_directory(directory))
    throw std::runtime_error("expected `extensions` to be a directory, got '" + directory + "'");
  json header;
  try {
    header = json::parse(read_header(path));
    int version = header.at("format_version");
    if (version > FORMAT_VERSION)
      throw std::runtime_error("expected a model file of format version " + std::to_string(FORMAT_VERSION) +
                               " or older, got '" + path + "' of version " + std::to_string(version) +
                               "; run `pip install --upgrade metatomic-lammps` and `metatomic-lammps build`");
    // the data format of every model, not listed in its header
    load_library({{"name", "libmetatensor.so"}, {"distribution", "metatensor-core"}}, directory);
    load_library({{"name", "libmetatensor_torch.so"}, {"distribution", "metatensor-torch"}}, directory);
    for (const auto &extension : header.at("extensions")) {
      for (const auto &dependency : extension.at("dependencies")) load_library(dependency, directory);
      load_library(extension, directory);
    }
  } catch (const json::exception &error) {
    throw std::runtime_error("expected a valid header in model file '" + path + "', got damaged text: " + error.what());
  }
}

}    // namespace metatomic
