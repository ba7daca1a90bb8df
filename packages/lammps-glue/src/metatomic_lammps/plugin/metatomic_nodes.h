// From LAMMPS' atoms, ghosts and neighbor lists to the atoms and pairs of a model.
//
// LAMMPS copies atoms near a border ("ghosts"); a model knows each atom once, and cell shifts. Here
// the atoms of the model are called nodes: first the local atoms, then one copy of each atom of
// another rank.

#ifndef METATOMIC_NODES_H
#define METATOMIC_NODES_H

#include "metatomic_model.h"

#include "pointers.h"

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace LAMMPS_NS {
class NeighList;
}

namespace metatomic {

// What LAMMPS lists, and so which pairs occur twice.
enum class ListMode {
  HALF,         // one rank, only half lists wanted: each pair once
  HALF_OFF,     // several ranks, only half lists wanted: pairs with a ghost at both their atoms
  FULL,         // neighbors of local atoms
  FULL_GHOSTS,  // neighbors of local atoms and of ghosts
};

// Pairs of LAMMPS' atoms, first and second one, by rows that have the same first one.  All that
// does not depend on positions is decided: which of two directions is taken, and from which copies.
struct Candidates {
  struct Row {
    int atom;
    int64_t end;  // in `atoms`; a row begins where the one before ends
  };
  std::vector<Row> rows;
  std::vector<int> atoms;

  int64_t n_pairs() const { return static_cast<int64_t>(atoms.size()); }
};

class Nodes : protected LAMMPS_NS::Pointers {
 public:
  explicit Nodes(LAMMPS_NS::LAMMPS *lammps) : Pointers(lammps) {}

  // Map all atoms to nodes; atomic_types[t] is the type in the model of LAMMPS type t, negative for
  // none.
  void update(const std::vector<int> &atomic_types);

  // Take over types that have changed; false if an atom has become one of the model or is one no
  // longer.
  bool update_types(const std::vector<int> &atomic_types);

  // With ListMode::FULL_GHOSTS, after each update: find the pairs of ghosts that only one of the
  // two rows has.
  void find_orphans(const LAMMPS_NS::NeighList *list);

  // After each update: the pairs that may be closer than the cutoff until the next one.
  void find_candidates(const LAMMPS_NS::NeighList *list, ListMode mode, bool full_list,
                       Candidates &found) const;

  // Pairs of nodes closer than the cutoff: first, second, and cell shifts of the second one.
  void fill_pairs(const Candidates &candidates, double cutoff, Query::Pairs &pairs) const;

  int n_local() const { return n_local_; }
  int size() const { return static_cast<int>(atoms_.size()); }
  // index of a node in LAMMPS' arrays
  const std::vector<int> &atoms() const { return atoms_; }
  const std::vector<int32_t> &types() const { return types_; }
  double bytes() const;

  struct Place {
    int32_t node;
    int32_t shift[3];  // position = position of the node + shift @ cell
  };
  // of all atoms, local and ghost
  const std::vector<Place> &places() const { return places_; }

 private:
  std::vector<Place> places_;  // of all atoms, local and ghost; node is negative for those without
  std::vector<int> atoms_;
  std::vector<int32_t> types_;
  int n_local_ = 0;
  // pairs of a ghost and a neighbor (atoms, not nodes) that are missing in the row of the
  // neighbor's node
  std::vector<std::pair<int, int>> orphans_;

  double depth(const double *position) const;
  void add_node(int atom, int type);
  void place_images();
};

}  // namespace metatomic

#endif
