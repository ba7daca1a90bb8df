// Files of a model: its header, and the shared libraries that it needs.

#ifndef METATOMIC_FILES_H
#define METATOMIC_FILES_H

#include "metatomic_options.h"

#include <string>

namespace metatomic {

// Check a model file and load the libraries that it needs, from `directory` or from installed distributions.
Words prepare_model_file(const std::string &path, const std::string &directory);

}    // namespace metatomic

#endif
