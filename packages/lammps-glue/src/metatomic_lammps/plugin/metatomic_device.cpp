#include "metatomic_device.h"

#include <torch/torch.h>

#include <algorithm>
#include <cstdlib>
#include <stdexcept>

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace metatomic {

static bool is_available(const std::string &kind)
{
  if (kind == "cpu") return true;
  if (kind == "cuda" || kind == "hip") return torch::cuda::is_available();
  if (kind == "mps") return torch::mps::is_available();
  return false;
}

std::string pick_device(const Words &supported, const std::string &wanted, int rank_on_node)
{
  std::string kind = wanted.substr(0, wanted.find(':'));
  Words available;
  for (const auto &name : supported)
    if (is_available(name)) available.push_back(name);
  if (wanted.empty() && !available.empty()) kind = available[0];
  bool is_supported = std::find(supported.begin(), supported.end(), kind) != supported.end();
  if (!is_supported)
    throw std::runtime_error("expected a device that the model supports, " + join(supported) +
                             ", got '" + wanted + "'" + did_you_mean(kind, supported));
  if (std::find(available.begin(), available.end(), kind) == available.end())
    throw std::runtime_error("expected a device of this machine and of the model, " +
                             join(available) + ", got '" + wanted + "'");
  if (kind != "cuda" && kind != "hip") {
    if (wanted != kind && wanted != kind + ":0" && !wanted.empty())
      throw std::runtime_error("expected a device of this machine, which has one " + kind +
                               ", got '" + wanted + "'");
    return kind;
  }
  if (wanted.find(':') == std::string::npos)
    return "cuda:" + std::to_string(rank_on_node % static_cast<int>(torch::cuda::device_count()));
  std::string name = "cuda" + wanted.substr(wanted.find(':'));
  int index = std::atoi(name.c_str() + 5);
  if (index < 0 || index >= static_cast<int>(torch::cuda::device_count()))
    throw std::runtime_error("expected a device of this machine, which has " +
                             std::to_string(torch::cuda::device_count()) + " GPUs, got '" + wanted +
                             "'");
  return name;
}

void keep_freed_memory()
{
#ifdef __GLIBC__
  for (const char *name :
       {"MALLOC_MMAP_MAX_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_TOP_PAD_"})
    if (std::getenv(name) != nullptr) return;
  const char *tunables = std::getenv("GLIBC_TUNABLES");
  if (tunables != nullptr && std::string(tunables).find("glibc.malloc") != std::string::npos)
    return;
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, -1);
  mallopt(M_TOP_PAD, 64 << 20);
#endif
}

}  // namespace metatomic
