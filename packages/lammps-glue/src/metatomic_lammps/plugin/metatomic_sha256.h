// SHA-256 of files (FIPS 180-4), to compare extension libraries with what a model file recorded.

#ifndef METATOMIC_SHA256_H
#define METATOMIC_SHA256_H

#include <string>

namespace metatomic {

// Hexadecimal digits; nothing if the file can not be read.
std::string sha256_of_file(const std::string &path);

}  // namespace metatomic

#endif
