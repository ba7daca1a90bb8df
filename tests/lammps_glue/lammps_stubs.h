// What `Nodes` sees of LAMMPS: for test_nodes.py, which compiles it without the rest.

#ifndef LAMMPS_STUBS_H
#define LAMMPS_STUBS_H

#include "lmptype.h"

namespace LAMMPS_NS {

struct Atom {
  int nlocal, nghost;
  tagint *tag;
  int *type;
  double **x;
};

// box from the origin
struct Domain {
  int triclinic, periodicity[3];
  double h_inv[6], sublo[3], subhi[3], sublo_lamda[3], subhi_lamda[3];

  void x2lamda(double *x, double *fraction) const
  {
    const double d[3] = {x[0], x[1], x[2]};
    fraction[0] = h_inv[0] * d[0] + h_inv[5] * d[1] + h_inv[4] * d[2];
    fraction[1] = h_inv[1] * d[1] + h_inv[3] * d[2];
    fraction[2] = h_inv[2] * d[2];
  }
};

struct NeighList {
  int inum, gnum, *ilist, *numneigh, **firstneigh;
};

struct LAMMPS {
  Atom *atom;
  Domain *domain;
};

struct Pointers {
  explicit Pointers(LAMMPS *lmp) : atom(lmp->atom), domain(lmp->domain) {}
  Atom *atom;
  Domain *domain;
};

}  // namespace LAMMPS_NS

#endif
