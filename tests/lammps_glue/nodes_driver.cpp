// Reads atoms, ghosts and neighbor lists, and prints the nodes and pairs that the plugin makes of
// them; for test_nodes.py.

#include "metatomic_nodes.h"

#include "lammps_stubs.h"

#include <cstdio>
#include <iostream>

using namespace LAMMPS_NS;
using namespace metatomic;

template <typename T> static void read(T *values, int n)
{
  for (int k = 0; k < n; k++) std::cin >> values[k];
}

int main()
{
  Atom atom;
  Domain domain;
  NeighList list;
  LAMMPS lammps = {&atom, &domain};
  int mode, full_list;
  double cutoff;
  std::cin >> mode >> full_list >> cutoff >> atom.nlocal >> atom.nghost >> domain.triclinic;
  read(domain.periodicity, 3);
  read(domain.h_inv, 6);
  read(domain.triclinic ? domain.sublo_lamda : domain.sublo, 3);
  read(domain.triclinic ? domain.subhi_lamda : domain.subhi, 3);
  const int n_all = atom.nlocal + atom.nghost;
  std::vector<tagint> tags(n_all);
  std::vector<int> types(n_all, 1), rows(n_all), counts(n_all);
  std::vector<double> positions(3 * n_all);
  std::vector<double *> x(n_all);
  std::vector<std::vector<int>> neighbors(n_all);
  std::vector<int *> first(n_all);
  read(tags.data(), n_all);
  read(positions.data(), 3 * n_all);
  for (int i = 0; i < n_all; i++) {
    std::cin >> counts[i];
    neighbors[i].resize(counts[i]);
    read(neighbors[i].data(), counts[i]);
    rows[i] = i;
    x[i] = &positions[3 * i];
    first[i] = neighbors[i].data();
  }
  atom.tag = tags.data();
  atom.type = types.data();
  atom.x = x.data();
  const auto list_mode = static_cast<ListMode>(mode);
  const bool with_ghosts = list_mode == ListMode::FULL_GHOSTS;
  list = {atom.nlocal, with_ghosts ? atom.nghost : 0, rows.data(), counts.data(), first.data()};

  Nodes nodes(&lammps);
  nodes.update({0, 14});
  if (with_ghosts) nodes.find_orphans(&list);
  Query::Pairs pairs;
  Candidates candidates;
  nodes.find_candidates(&list, list_mode, full_list != 0, candidates);
  nodes.fill_pairs(candidates, cutoff, pairs);
  std::printf("%d\n", nodes.n_local());
  for (int i : nodes.atoms()) std::printf("%d ", i);
  std::printf("\n");
  for (int64_t n = 0; n < pairs.n_pairs; n++) {
    for (int k = 0; k < 5; k++) std::printf("%d ", pairs.values[5 * n + k]);
    for (int k = 0; k < 3; k++) std::printf("%.17g ", pairs.vectors[3 * n + k]);
    std::printf("\n");
  }
}
