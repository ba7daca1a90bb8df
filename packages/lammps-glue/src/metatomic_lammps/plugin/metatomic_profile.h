// Where the time of a step goes: wall-clock seconds by the names of `record_function` in the
// pipeline.

#ifndef METATOMIC_PROFILE_H
#define METATOMIC_PROFILE_H

#include <chrono>
#include <cstdint>
#include <map>
#include <string>

namespace metatomic {

// Of one pair style.
class Profile {
 public:
  // on if the environment variable METATOMIC_LAMMPS_PROFILE is set to anything but 0
  static bool enabled();

  void add(const char *name, double seconds) { seconds_[name] += seconds; }
  void clear() { seconds_.clear(); }
  const std::map<std::string, double> &seconds() const { return seconds_; }

 private:
  std::map<std::string, double> seconds_;
};

// Adds the time that it lives to one entry.
class Timer {
 public:
  Timer(Profile &profile, const char *name)
      : profile_(profile), name_(name), start_(std::chrono::steady_clock::now())
  {
  }
  Timer(const Timer &) = delete;
  Timer &operator=(const Timer &) = delete;
  ~Timer()
  {
    if (!Profile::enabled()) return;
    std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start_;
    profile_.add(name_, passed.count());
  }

 private:
  Profile &profile_;
  const char *name_;
  std::chrono::steady_clock::time_point start_;
};

// While it lives, the steps inside of a model file that this thread runs are added to a profile.
class StepsOfModel {
 public:
  explicit StepsOfModel(Profile &profile);
  StepsOfModel(const StepsOfModel &) = delete;
  StepsOfModel &operator=(const StepsOfModel &) = delete;
  ~StepsOfModel();

 private:
  uint64_t handle_ = 0;
};

}  // namespace metatomic

#endif
