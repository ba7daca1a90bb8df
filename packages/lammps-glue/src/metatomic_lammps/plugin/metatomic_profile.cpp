#include "metatomic_profile.h"

#include <ATen/record_function.h>

#include <cstdlib>
#include <memory>

namespace metatomic {

bool Profile::enabled()
{
  static const bool on = [] {
    const char *value = std::getenv("METATOMIC_LAMMPS_PROFILE");
    return value != nullptr && std::string(value) != "0" && std::string(value) != "";
  }();
  return on;
}

namespace {

// torch calls plain functions: they find the profile of the evaluation that this thread is in
thread_local Profile *current = nullptr;

struct Start : at::ObserverContext {
  std::chrono::steady_clock::time_point time = std::chrono::steady_clock::now();
};

std::unique_ptr<at::ObserverContext> begin(const at::RecordFunction &)
{
  return std::make_unique<Start>();
}

void end(const at::RecordFunction &function, at::ObserverContext *context)
{
  std::chrono::duration<double> passed =
      std::chrono::steady_clock::now() - static_cast<Start *>(context)->time;
  if (current) current->add(function.name(), passed.count());
}

}  // namespace

StepsOfModel::StepsOfModel(Profile &profile)
{
  if (!Profile::enabled()) return;
  current = &profile;
  at::RecordFunctionCallback callback(begin, end);
  handle_ = at::addThreadLocalCallback(callback.scopes({at::RecordScope::USER_SCOPE}));
}

StepsOfModel::~StepsOfModel()
{
  if (!Profile::enabled()) return;
  at::removeCallback(handle_);
  current = nullptr;
}

}  // namespace metatomic
