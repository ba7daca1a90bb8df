#include "metatomic_cpu.h"

#include <sys/utsname.h>

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#define METATOMIC_X86
#endif

#include <cstdint>
#include <map>

namespace metatomic {

#ifdef METATOMIC_X86

namespace {

enum Register { EAX, EBX, ECX, EDX };
// what the system has to save when it switches programs: registers of AVX, and those of AVX-512
enum State : uint64_t { NONE = 0, YMM = 0x6, ZMM = 0xe6 };

struct Feature {
  unsigned leaf, subleaf;
  Register place;
  int bit;
  State state;
};

// Intel 64 Architectures Software Developer's Manual, volume 2, CPUID
const std::map<std::string, Feature> &features()
{
  static const std::map<std::string, Feature> table = {
      {"sse3", {1, 0, ECX, 0, NONE}},         {"pni", {1, 0, ECX, 0, NONE}},
      {"ssse3", {1, 0, ECX, 9, NONE}},        {"fma", {1, 0, ECX, 12, YMM}},
      {"cx16", {1, 0, ECX, 13, NONE}},        {"sse4_1", {1, 0, ECX, 19, NONE}},
      {"sse4_2", {1, 0, ECX, 20, NONE}},      {"movbe", {1, 0, ECX, 22, NONE}},
      {"popcnt", {1, 0, ECX, 23, NONE}},      {"avx", {1, 0, ECX, 28, YMM}},
      {"f16c", {1, 0, ECX, 29, YMM}},         {"bmi1", {7, 0, EBX, 3, NONE}},
      {"avx2", {7, 0, EBX, 5, YMM}},          {"bmi2", {7, 0, EBX, 8, NONE}},
      {"avx512f", {7, 0, EBX, 16, ZMM}},      {"avx512dq", {7, 0, EBX, 17, ZMM}},
      {"avx512ifma", {7, 0, EBX, 21, ZMM}},   {"avx512cd", {7, 0, EBX, 28, ZMM}},
      {"avx512bw", {7, 0, EBX, 30, ZMM}},     {"avx512vl", {7, 0, EBX, 31, ZMM}},
      {"avx512vbmi", {7, 0, ECX, 1, ZMM}},    {"avx512_vbmi2", {7, 0, ECX, 6, ZMM}},
      {"avx512_vnni", {7, 0, ECX, 11, ZMM}},  {"avx512_bitalg", {7, 0, ECX, 12, ZMM}},
      {"avx512_fp16", {7, 0, EDX, 23, ZMM}},  {"avx_vnni", {7, 1, EAX, 4, YMM}},
      {"avx512_bf16", {7, 1, EAX, 5, ZMM}},   {"lahf_lm", {0x80000001, 0, ECX, 0, NONE}},
      {"abm", {0x80000001, 0, ECX, 5, NONE}},
  };
  return table;
}

uint64_t saved_states()
{
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & (1u << 27))) return 0;
  unsigned low = 0, high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (static_cast<uint64_t>(high) << 32) | low;
}

bool has(const Feature &feature)
{
  unsigned values[4] = {};
  if (!__get_cpuid_count(feature.leaf, feature.subleaf, &values[EAX], &values[EBX], &values[ECX],
                         &values[EDX]))
    return false;
  if (!(values[feature.place] & (1u << feature.bit))) return false;
  return (saved_states() & feature.state) == feature.state;
}

}  // namespace

Words lacking_cpu_flags(const Words &flags)
{
  Words lacking;
  for (const auto &flag : flags) {
    auto found = features().find(flag);
    if (found == features().end() || !has(found->second)) lacking.push_back(flag);
  }
  return lacking;
}

#else

Words lacking_cpu_flags(const Words &flags) { return flags; }

#endif

std::string machine()
{
  utsname names = {};
  return uname(&names) == 0 ? names.machine : "unknown";
}

}  // namespace metatomic
