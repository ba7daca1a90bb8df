#include "metatomic_nodes.h"

#include "atom.h"
#include "domain.h"
#include "neigh_list.h"

#include <algorithm>
#include <cmath>
#include <unordered_map>

using namespace LAMMPS_NS;

namespace metatomic {

void Nodes::add_node(int atom_index, int type)
{
  places_[atom_index].node = size();
  atoms_.push_back(atom_index);
  types_.push_back(type);
}

// How far a ghost lies outside of the sub-box of this rank: the largest of its distances from the planes of the faces.
//
// LAMMPS' ghost shell has the same width along each normal, so this is what limits the neighborhood of a ghost: all
// atoms closer to it than shell width minus depth are present.
double Nodes::depth(const double *position) const
{
  double point[3] = {position[0], position[1], position[2]};
  const double *low = domain->sublo, *high = domain->subhi;
  double width[3] = {1.0, 1.0, 1.0};
  if (domain->triclinic) {
    // sublo and subhi are not set in triclinic boxes
    domain->x2lamda(point, point);
    low = domain->sublo_lamda;
    high = domain->subhi_lamda;
    const double *h = domain->h_inv;
    width[0] = 1.0 / std::sqrt(h[0] * h[0] + h[5] * h[5] + h[4] * h[4]);
    width[1] = 1.0 / std::sqrt(h[1] * h[1] + h[3] * h[3]);
    width[2] = 1.0 / std::fabs(h[2]);
  }
  double largest = 0.0;
  for (int k = 0; k < 3; k++)
    largest = std::max({largest, (low[k] - point[k]) * width[k], (point[k] - high[k]) * width[k]});
  return largest;
}

void Nodes::update(const std::vector<int> &atomic_types)
{
  const int n_all = atom->nlocal + atom->nghost;
  const tagint *tag = atom->tag;
  places_.assign(n_all, Place{-1, {0, 0, 0}});
  atoms_.clear();
  types_.clear();
  std::unordered_map<tagint, int> node_of_tag;
  node_of_tag.reserve(2 * atom->nlocal);
  for (int i = 0; i < atom->nlocal; i++) {
    int type = atomic_types[atom->type[i]];
    if (type < 0) continue;
    node_of_tag.emplace(tag[i], size());
    add_node(i, type);
  }
  n_local_ = size();
  // of several copies of an atom of another rank, the least deep one has the most complete neighborhood
  std::vector<double> depths;
  for (int i = atom->nlocal; i < n_all; i++) {
    int type = atomic_types[atom->type[i]];
    if (type < 0) continue;
    auto found = node_of_tag.emplace(tag[i], size());
    int node = found.first->second;
    if (found.second) {
      add_node(i, type);
      depths.push_back(depth(atom->x[i]));
    } else if (node >= n_local_) {
      double here = depth(atom->x[i]);
      if (here < depths[node - n_local_]) {
        depths[node - n_local_] = here;
        atoms_[node] = i;
      }
    }
    places_[i].node = node;
  }
  place_images();
}

void Nodes::place_images()
{
  const double *inverse = domain->h_inv;
  const int n_all = atom->nlocal + atom->nghost;
  for (int i = atom->nlocal; i < n_all; i++) {
    Place &place = places_[i];
    if (place.node < 0 || atoms_[place.node] == i) continue;
    const double *here = atom->x[i], *there = atom->x[atoms_[place.node]];
    double dx = here[0] - there[0], dy = here[1] - there[1], dz = here[2] - there[2];
    double fraction[3] = {
        inverse[0] * dx + inverse[5] * dy + inverse[4] * dz, inverse[1] * dy + inverse[3] * dz, inverse[2] * dz};
    for (int k = 0; k < 3; k++)
      place.shift[k] = domain->periodicity[k] ? static_cast<int32_t>(std::lround(fraction[k])) : 0;
  }
}

// Of the two shifts of a pair of an atom and its own image, keep the one in the half space.
static bool is_positive(const int32_t *shift)
{
  if (shift[0] != 0) return shift[0] > 0;
  if (shift[1] != 0) return shift[1] > 0;
  return shift[2] > 0;
}

void Nodes::fill_pairs(const NeighList *list, ListMode mode, const PairRequest &request,
                       Query::Pairs &pairs) const
{
  const int n_rows = list->inum + (mode == ListMode::FULL_GHOSTS ? list->gnum : 0);
  const int n_local_atoms = atom->nlocal;
  const double cutoff_squared = request.cutoff * request.cutoff;
  const double *const *x = atom->x;
  int64_t largest = 0;
  for (int row = 0; row < n_rows; row++) largest += list->numneigh[list->ilist[row]];
  if (static_cast<int64_t>(pairs.values.size()) < 5 * largest + 5) pairs.values.resize(5 * (largest + largest / 8 + 1));
  int32_t *out = pairs.values.data();
  // LAMMPS lists these pairs twice, a half list has them once
  const bool fold_all = !request.full_list && (mode == ListMode::FULL || mode == ListMode::FULL_GHOSTS);
  const bool fold_images = !request.full_list && mode == ListMode::HALF_OFF;
  for (int row = 0; row < n_rows; row++) {
    const int i = list->ilist[row];
    const int32_t first = places_[i].node;
    if (first < 0 || atoms_[first] != i) continue;
    const double xi = x[i][0], yi = x[i][1], zi = x[i][2];
    const int *neighbors = list->firstneigh[i];
    const int n_neighbors = list->numneigh[i];
    for (int k = 0; k < n_neighbors; k++) {
      const int j = neighbors[k] & NEIGHMASK;
      const double dx = x[j][0] - xi, dy = x[j][1] - yi, dz = x[j][2] - zi;
      if (dx * dx + dy * dy + dz * dz >= cutoff_squared) continue;
      const Place &place = places_[j];
      if (place.node < 0) continue;
      if ((fold_all || (fold_images && j >= n_local_atoms && place.node < n_local_)) &&
          (place.node < first || (place.node == first && !is_positive(place.shift))))
        continue;
      out[0] = first;
      out[1] = place.node;
      out[2] = place.shift[0];
      out[3] = place.shift[1];
      out[4] = place.shift[2];
      out += 5;
    }
  }
  pairs.n_pairs = (out - pairs.values.data()) / 5;
}

double Nodes::bytes() const
{
  return places_.capacity() * sizeof(Place) + atoms_.capacity() * sizeof(int) + types_.capacity() * sizeof(int32_t);
}

}    // namespace metatomic
