// The part of LAMMPS' plugin interface that is used here.
//
// LAMMPS documents this interface (manual, "Writing plugins"), but the header that declares it is
// not part of every installation: the wheel lacks it.  The layout is the one of LAMMPS 22 Jul 2025.

#ifndef METATOMIC_LAMMPS_PLUGIN_API_H
#define METATOMIC_LAMMPS_PLUGIN_API_H

extern "C" {

typedef void *(*metatomic_plugin_factory)(void *lammps);

struct metatomic_plugin {
  const char *version;  // of the LAMMPS that the plugin was compiled for, as LAMMPS prints it
  const char *style;    // kind of style: "pair"
  const char *name;     // name of the style in input files
  const char *info;
  const char *author;
  metatomic_plugin_factory creator;
  void *handle;  // of the shared library
};

typedef void (*metatomic_plugin_register)(struct metatomic_plugin *, void *lammps);
}

#endif
