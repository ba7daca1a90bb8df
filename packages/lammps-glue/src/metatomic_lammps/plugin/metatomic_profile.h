// Where the time of a step goes: wall-clock seconds by the names of `record_function` in the pipeline.

#ifndef METATOMIC_PROFILE_H
#define METATOMIC_PROFILE_H

#include <chrono>
#include <map>
#include <string>

namespace metatomic {

class Profile {
 public:
  // on if the environment variable METATOMIC_LAMMPS_PROFILE is set to anything but 0
  static bool enabled();
  static std::map<std::string, double> &seconds();
  // collect the steps inside of the model file too
  static void observe_torch();
};

// Adds the time that it lives to one entry.
class Timer {
 public:
  explicit Timer(const char *name) : name_(name), start_(std::chrono::steady_clock::now()) {}
  Timer(const Timer &) = delete;
  Timer &operator=(const Timer &) = delete;
  ~Timer()
  {
    if (!Profile::enabled()) return;
    std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start_;
    Profile::seconds()[name_] += passed.count();
  }

 private:
  const char *name_;
  std::chrono::steady_clock::time_point start_;
};

}    // namespace metatomic

#endif
