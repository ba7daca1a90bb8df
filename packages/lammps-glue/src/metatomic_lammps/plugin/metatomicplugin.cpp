// Registration of the pair style; metatomic_loader.cpp calls it.

#include "lammps_plugin_api.h"
#include "pair_metatomic.h"

#include "lammps.h"
#include "library.h"

#include <string>

using namespace LAMMPS_NS;

namespace {

// type of an error that concerns all ranks, see lammps_error() in LAMMPS' library.h
constexpr int ERROR_ON_ALL_RANKS = 2;

void *create_pair(void *lammps)
{
  // LAMMPS only prints a note when versions differ, and goes on with classes of another layout
  int version = lammps_version(lammps);
  if (version != METATOMIC_LAMMPS_VERSION) {
    std::string text = "expected LAMMPS " + std::to_string(METATOMIC_LAMMPS_VERSION) +
        ", for which pair style metatomic was built, got " + std::to_string(version) +
        "; run `metatomic-lammps build`";
    lammps_error(lammps, ERROR_ON_ALL_RANKS, text.c_str());
    return nullptr;
  }
  return new PairMetatomic(static_cast<LAMMPS *>(lammps));
}

}  // namespace

extern "C" __attribute__((visibility("default"))) void
metatomic_register(void *lammps, void *handle, void *registrar)
{
  metatomic_plugin plugin = {};
  plugin.version = METATOMIC_LAMMPS_VERSION_TEXT;
  plugin.style = "pair";
  plugin.name = "metatomic";
  plugin.info = "model files of metatomic-core, version " METATOMIC_PACKAGE_VERSION;
  plugin.author = "metatomic-core developers";
  plugin.creator = create_pair;
  plugin.handle = handle;
  reinterpret_cast<metatomic_plugin_register>(registrar)(&plugin, lammps);
}
