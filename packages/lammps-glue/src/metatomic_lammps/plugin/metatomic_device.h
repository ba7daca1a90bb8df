// The device that a model runs on, and the memory that it works with.

#ifndef METATOMIC_DEVICE_H
#define METATOMIC_DEVICE_H

#include "metatomic_names.h"

#include <string>

namespace metatomic {

// The device that the user wants, or the best one; ranks of one machine share its GPUs in turn.
// Throws std::runtime_error if the model does not support it, or the machine does not have it.
std::string pick_device(const Words &supported, const std::string &wanted, int rank_on_node);

// Let malloc keep what is freed: it would give the large tensors of a step back to the system,
// which would map every page anew in the next step (see metatomic_core.adapters.memory).  Users who
// tune malloc themselves are left alone.
void keep_freed_memory();

}  // namespace metatomic

#endif
