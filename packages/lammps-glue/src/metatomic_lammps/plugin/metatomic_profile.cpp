#include "metatomic_profile.h"

#include <ATen/record_function.h>

#include <cstdlib>

namespace metatomic {

bool Profile::enabled()
{
  static const bool on = [] {
    const char *value = std::getenv("METATOMIC_LAMMPS_PROFILE");
    return value != nullptr && std::string(value) != "0" && std::string(value) != "";
  }();
  return on;
}

std::map<std::string, double> &Profile::seconds()
{
  static std::map<std::string, double> values;
  return values;
}

void Profile::observe_torch()
{
  static bool done = false;
  if (done || !enabled()) return;
  done = true;
  struct Start : at::ObserverContext {
    std::chrono::steady_clock::time_point time = std::chrono::steady_clock::now();
  };
  at::RecordFunctionCallback callback(
      [](const at::RecordFunction &) -> std::unique_ptr<at::ObserverContext> { return std::make_unique<Start>(); },
      [](const at::RecordFunction &function, at::ObserverContext *context) {
        std::chrono::duration<double> passed =
            std::chrono::steady_clock::now() - static_cast<Start *>(context)->time;
        Profile::seconds()[function.name()] += passed.count();
      });
  at::addGlobalCallback(callback.scopes({at::RecordScope::USER_SCOPE}));
}

}    // namespace metatomic
