// From LAMMPS' neighbor lists to the pairs of a model: in two steps, so that each time step has
// little to do.  What LAMMPS lists up to its skin is sorted out when it builds new lists; the
// distances are compared with the cutoff in each step.

#include "metatomic_nodes.h"

#include "atom.h"
#include "neigh_list.h"

#include <cstring>

using namespace LAMMPS_NS;

namespace metatomic {

// Of the two shifts of a pair of an atom and its own image, keep the one in the half space.
static bool is_positive(const int32_t *shift)
{
  if (shift[0] != 0) return shift[0] > 0;
  if (shift[1] != 0) return shift[1] > 0;
  return shift[2] > 0;
}

// Of two directions of a pair a half list has the one to the larger node, and of two images the
// positive one.
static bool is_second_half(int32_t first, const Nodes::Place &place)
{
  return place.node < first || (place.node == first && !is_positive(place.shift));
}

void Nodes::find_candidates(const NeighList *list, ListMode mode, bool full_list,
                            Candidates &found) const
{
  const bool with_ghosts = mode == ListMode::FULL_GHOSTS;
  const int n_rows = list->inum + (with_ghosts ? list->gnum : 0);
  const bool fold_all = !full_list && (mode == ListMode::FULL || with_ghosts);
  const bool fold_images = !full_list && mode == ListMode::HALF_OFF;
  found.rows.clear();
  found.atoms.clear();
  std::vector<int> mirrored;
  for (int row = 0; row < n_rows; row++) {
    const int i = list->ilist[row];
    const int32_t first = places_[i].node;
    if (first < 0 || atoms_[first] != i) continue;
    const bool is_ghost = first >= n_local_;
    mirrored.clear();
    for (int k = 0; k < list->numneigh[i]; k++) {
      const int j = list->firstneigh[i][k] & NEIGHMASK;
      const Place &place = places_[j];
      const bool other_is_ghost = place.node >= n_local_;
      // pairs of a local atom and a ghost are taken, in both directions, from the row of the local
      // atom
      if (place.node < 0 || (is_ghost && !other_is_ghost)) continue;
      const bool fold = fold_all || (fold_images && j >= atom->nlocal && !other_is_ghost);
      if (fold && is_second_half(first, place)) continue;
      found.atoms.push_back(j);
      if (with_ghosts && full_list && !is_ghost && other_is_ghost) mirrored.push_back(j);
    }
    found.rows.push_back({i, found.n_pairs()});
    for (int j : mirrored) {
      found.atoms.push_back(i);
      found.rows.push_back({j, found.n_pairs()});
    }
  }
  for (const auto &orphan : orphans_) {
    if (!full_list && !is_second_half(places_[orphan.first].node, places_[orphan.second])) continue;
    found.atoms.push_back(orphan.first);
    found.rows.push_back({orphan.second, found.n_pairs()});
  }
}

void Nodes::fill_pairs(const Candidates &candidates, double cutoff, Query::Pairs &pairs) const
{
  const double cutoff_squared = cutoff * cutoff;
  const double *const *x = atom->x;
  pairs.reserve(candidates.n_pairs());
  int32_t *values = pairs.values.data();
  double *vectors = pairs.vectors.data();
  int64_t c = 0;
  for (const auto &row : candidates.rows) {
    const Place &from = places_[row.atom];
    const double xi[3] = {x[row.atom][0], x[row.atom][1], x[row.atom][2]};
    for (; c < row.end; c++) {
      const int j = candidates.atoms[c];
      const Place &to = places_[j];
      const double vector[3] = {x[j][0] - xi[0], x[j][1] - xi[1], x[j][2] - xi[2]};
      const double r_squared =
          vector[0] * vector[0] + vector[1] * vector[1] + vector[2] * vector[2];
      const int32_t pair[5] = {from.node, to.node, to.shift[0] - from.shift[0],
                               to.shift[1] - from.shift[1], to.shift[2] - from.shift[2]};
      // written always, and kept or not: a branch would be mispredicted for every third neighbor
      const bool keep = r_squared < cutoff_squared;
      std::memcpy(values, pair, sizeof(pair));
      std::memcpy(vectors, vector, sizeof(vector));
      values += 5 * keep;
      vectors += 3 * keep;
    }
  }
  pairs.n_pairs = (values - pairs.values.data()) / 5;
}

}  // namespace metatomic
