// What the processor of this machine can do; it is asked itself, also where it is emulated.

#ifndef METATOMIC_CPU_H
#define METATOMIC_CPU_H

#include "metatomic_names.h"

#include <string>

namespace metatomic {

// Those of some features, by their names in /proc/cpuinfo, that the processor or the system lacks;
// features that are not known are taken for lacking.
Words lacking_cpu_flags(const Words &flags);

// The kind of machine, as `uname -m` calls it.
std::string machine();

}  // namespace metatomic

#endif
