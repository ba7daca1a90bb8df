// Files of a model: its header, and the shared libraries that it needs.

#ifndef METATOMIC_FILES_H
#define METATOMIC_FILES_H

#include "metatomic_queries.h"

#include <string>

namespace metatomic {

struct ModelFile {
  ModelQueries queries;
  Words warnings;
};

// Check a model file, read its header, and load the libraries that it needs, from `directory` or
// from installed distributions.
ModelFile prepare_model_file(const std::string &path, const std::string &directory);

}  // namespace metatomic

#endif
