// Which copy of an atom is its node, and which pairs are there.  One periodic direction of length
// 14, cut in two: this rank owns one half, with atom a.  Around it LAMMPS keeps copies of those
// atoms whose depth, the distance from the box of the rank, is less than the ghost shell, here 5.
// The cutoff is 3.
//
//                :<-- shell --->:<--- own box: 7 ---->:<-- shell --->:
//              c :b        d    :         a          :   c  b       :d
// depth       5.6 4.6     1.8             0             1.4 2.4     5.2
//
// A local atom is a node, its periodic copies are the same node with a shift.  Of an atom of
// another rank the least deep copy is the node: c and b are nodes by their copies on the right, d
// by the one on the left.  A pair has the vector between two copies, and their shifts from the
// nodes:
//
//   c - b   Both nodes are on the right: in the rows of both, no shift.
//   d - b   On the left, where the copy of b is one box away from the node: in the row of d, with
//           shift -1.  Not in the row of b, whose node is on the right, where the copy of d is
//           beyond the shell.  Such a pair is an orphan, and is taken in both directions from the
//           row that has it.
//
// A node has its whole neighborhood if its depth is less than the shell minus the cutoff.  So the
// least deep copy is the one to take, and the shell has to be as wide as the interaction range.

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

// How far a ghost lies outside of the sub-box of this rank: the largest of its distances from the
// planes of the faces.
//
// LAMMPS' ghost shell has the same width along each normal, so this is what limits the neighborhood
// of a ghost: all atoms closer to it than shell width minus depth are present.
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
  orphans_.clear();
  std::unordered_map<tagint, int> node_of_tag;
  node_of_tag.reserve(2 * atom->nlocal);
  for (int i = 0; i < atom->nlocal; i++) {
    int type = atomic_types[atom->type[i]];
    if (type < 0) continue;
    node_of_tag.emplace(tag[i], size());
    add_node(i, type);
  }
  n_local_ = size();
  // of several copies of an atom of another rank, the least deep one has the most complete
  // neighborhood
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

bool Nodes::update_types(const std::vector<int> &atomic_types)
{
  const int *type = atom->type;
  for (size_t i = 0; i < places_.size(); i++)
    if ((places_[i].node < 0) != (atomic_types[type[i]] < 0)) return false;
  for (int n = 0; n < size(); n++) types_[n] = atomic_types[type[atoms_[n]]];
  return true;
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
    double fraction[3] = {inverse[0] * dx + inverse[5] * dy + inverse[4] * dz,
                          inverse[1] * dy + inverse[3] * dz, inverse[2] * dz};
    for (int k = 0; k < 3; k++)
      place.shift[k] = domain->periodicity[k] ? static_cast<int32_t>(std::lround(fraction[k])) : 0;
  }
}

// One number for a directed pair: 24 bits for each node, 5 for each shift.
static uint64_t pair_key(int first, int second, const int32_t *shift, int sign)
{
  uint64_t key = (static_cast<uint64_t>(first) << 24) | static_cast<uint64_t>(second);
  for (int k = 0; k < 3; k++) key = (key << 5) | static_cast<uint64_t>((sign * shift[k] + 16) & 31);
  return key;
}

// Two ghosts may be present by copies on different sides of the sub-box.  The ghost shell then
// holds the neighborhood of the less deep one, and the pair is in its row, but maybe not in the row
// of the other.
void Nodes::find_orphans(const NeighList *list)
{
  orphans_.clear();
  std::vector<std::pair<int, int>> atoms;
  std::vector<uint64_t> keys;
  for (int row = list->inum; row < list->inum + list->gnum; row++) {
    const int i = list->ilist[row];
    const int first = places_[i].node;
    if (first < n_local_ || atoms_[first] != i) continue;
    for (int k = 0; k < list->numneigh[i]; k++) {
      const int j = list->firstneigh[i][k] & NEIGHMASK;
      if (places_[j].node < n_local_) continue;
      atoms.emplace_back(i, j);
      keys.push_back(pair_key(first, places_[j].node, places_[j].shift, 1));
    }
  }
  std::vector<uint64_t> sorted = keys;
  std::sort(sorted.begin(), sorted.end());
  for (size_t n = 0; n < keys.size(); n++) {
    const Place &place = places_[atoms[n].second];
    uint64_t reverse = pair_key(place.node, places_[atoms[n].first].node, place.shift, -1);
    if (!std::binary_search(sorted.begin(), sorted.end(), reverse)) orphans_.push_back(atoms[n]);
  }
}

double Nodes::bytes() const
{
  return places_.capacity() * sizeof(Place) + atoms_.capacity() * sizeof(int) +
      types_.capacity() * sizeof(int32_t);
}

}  // namespace metatomic
