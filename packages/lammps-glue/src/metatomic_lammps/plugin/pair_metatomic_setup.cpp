// Before a run: what LAMMPS must and must not do, neighbor lists, and ghosts as far as the model needs them.

#include "pair_metatomic.h"

#include "pair_metatomic_data.h"

#include "atom.h"
#include "comm.h"
#include "domain.h"
#include "error.h"
#include "force.h"
#include "group.h"
#include "input.h"
#include "neighbor.h"
#include "update.h"

#include <algorithm>
#include <cmath>

using namespace LAMMPS_NS;
using metatomic::ListMode;

// Whether some atoms of the model in one group (1), and some in another (2), exist on any rank.
static bool both_occur(const Atom *atom, const std::vector<int> &types, int bit1, int bit2, MPI_Comm world)
{
  int mine[2] = {0, 0}, any[2] = {0, 0};
  for (int i = 0; i < atom->nlocal; i++) {
    if (types[atom->type[i]] < 0) continue;
    if (atom->mask[i] & bit1) mine[0] = 1;
    if (atom->mask[i] & bit2) mine[1] = 1;
  }
  MPI_Allreduce(mine, any, 2, MPI_INT, MPI_MAX, world);
  return any[0] && any[1];
}

// Reads a setting that LAMMPS keeps to its communication classes.
struct Ghosts : Comm {
  static int group(const Comm *comm) { return comm->*(&Ghosts::bordergroup); }
};

// Refuse settings with which LAMMPS would leave out pairs, or that the style can not work with.
void PairMetatomic::check_setup()
{
  const auto &types = data->atomic_types;
  const int *mask = group->bitmask;
  if (!atom->tag_enable) error->all(FLERR, "expected atom IDs for pair style metatomic, got `atom_modify id no`");
  if (!force->newton_pair) error->all(FLERR, "expected `newton on` for pair style metatomic, got newton pair off");
  if (neighbor->includegroup)
    error->all(FLERR, "expected all pairs in the neighbor lists for pair style metatomic, got `neigh_modify include`");
  if (Ghosts::group(comm))
    error->all(FLERR, "expected ghosts of all atoms for pair style metatomic, got `comm_modify group`; remove it");
  const std::string excluded = "expected all pairs in the neighbor lists for pair style metatomic, got `neigh_modify "
                               "exclude` of atoms of the model; remove it, or give these types to another style";
  for (int k = 0; k < neighbor->nex_type; k++)
    if (types[neighbor->ex1_type[k]] >= 0 && types[neighbor->ex2_type[k]] >= 0) error->all(FLERR, excluded);
  for (int k = 0; k < neighbor->nex_group; k++)
    if (both_occur(atom, types, mask[neighbor->ex1_group[k]], mask[neighbor->ex2_group[k]], world)) error->all(FLERR, excluded);
  for (int k = 0; k < neighbor->nex_mol; k++)
    if (both_occur(atom, types, mask[neighbor->ex_mol_group[k]], mask[neighbor->ex_mol_group[k]], world)) error->all(FLERR, excluded);

  if (atom->molecular == Atom::ATOMIC || force->kspace) return;
  int mine = 0, any = 0;
  // the bonds of molecule templates are not in the atoms
  if (atom->molecular == Atom::TEMPLATE)
    for (int k = 1; k < 4; k++)
      if (force->special_lj[k] == 0.0 && force->special_coul[k] == 0.0) mine = 1;
  for (int i = 0; i < atom->nlocal && atom->nspecial; i++) {
    if (types[atom->type[i]] < 0) continue;
    for (int k = 0, before = 0; k < 3; before = atom->nspecial[i][k++])
      if (atom->nspecial[i][k] > before && force->special_lj[k + 1] == 0.0 && force->special_coul[k + 1] == 0.0) mine = 1;
  }
  MPI_Allreduce(&mine, &any, 1, MPI_INT, MPI_MAX, world);
  if (any)
    error->all(FLERR, "expected bonded pairs in the neighbor lists for pair style metatomic, got special_bonds weights of "
                      "zero, which remove them; use `special_bonds lj/coul 1 1 1`, or delete the bonds");
}

void PairMetatomic::init_style()
{
  Data &d = *data;
  if (d.atomic_types.empty()) error->all(FLERR, "expected `pair_coeff * * TYPE ...` after pair_style metatomic, got none");
  check_setup();
  d.units = metatomic::unit_style(update->unit_style);
  std::string failure;
  try {
    d.lists = d.model->lists(d.units.length);
    d.range = d.model->interaction_range(d.units.length);
  } catch (const std::exception &caught) {
    failure = metatomic::message(caught);
  }
  agree(failure);
  d.cutoff = 0.0;
  bool only_half = true;
  for (const auto &list : d.lists) {
    d.cutoff = std::max(d.cutoff, list.cutoff);
    only_half = only_half && !list.full_list;
  }
  if (comm->nprocs == 1) {
    d.mode = only_half ? ListMode::HALF : ListMode::FULL;
  } else {
    if (!std::isfinite(d.range))
      error->all(FLERR, "expected a model of finite interaction range on several ranks, got an infinite one; use one rank");
    if (!d.stress.empty())
      error->all(FLERR, "expected one rank for non-conservative stress, got several: it is no sum over atoms; use "
                        "`non_conservative forces`");
    try {
      if (d.is_local < 0) d.is_local = d.model->is_local(d.energy);
    } catch (const std::exception &) {
      d.is_local = 0;  // the time step will tell
    }
    d.mode = !d.is_local ? ListMode::FULL_GHOSTS : only_half ? ListMode::HALF_OFF : ListMode::FULL;
    widen_ghost_shell();
    for (const auto &input : d.model->inputs()) {
      auto base = d.model->quantity(input.first);
      if (base == "velocity" || base == "momentum" || (base == "mass" && atom->rmass)) d.sends_inputs = true;
    }
  }
  const std::map<ListMode, int> flags = {{ListMode::HALF, NeighConst::REQ_DEFAULT},
                                         {ListMode::HALF_OFF, NeighConst::REQ_NEWTON_OFF},
                                         {ListMode::FULL, NeighConst::REQ_FULL},
                                         {ListMode::FULL_GHOSTS, NeighConst::REQ_FULL | NeighConst::REQ_GHOST}};
  // for `hybrid`, where another style may want neighbors of ghosts only nearby
  ghostneigh = d.mode == ListMode::FULL_GHOSTS;
  neighbor->add_request(this, flags.at(d.mode));
  d.query.pairs.resize(d.lists.size());
  d.nodes_valid = false;
}

// The width of ghosts that users asked for, and the one that stands in its place: of each LAMMPS, since several styles may
// widen it.
struct Shell {
  double before = 0.0, width = 0.0;
};

static Shell &shell_of(LAMMPS *lmp)
{
  static std::map<LAMMPS *, Shell> shells;
  return shells[lmp];
}

// Ask for ghosts up to the interaction range, while the neighbor lists end at their cutoff.  Each step of a message
// can start from another copy of an atom, so that the skin counts once for each.  A model whose range is the cutoff, but
// which needs pairs between ghosts, may need them at any ghost within the range: one step more.
void PairMetatomic::widen_ghost_shell()
{
  Data &d = *data;
  d.shell = 0.0;
  // the setup of `write_restart`, which computes nothing, and writes the width
  if (d.is_local || std::string(lmp->input->command ? lmp->input->command : "") == "write_restart") return;
  if (comm->mode != Comm::SINGLE)
    error->all(FLERR, "expected `comm_modify mode single` for this model on several ranks, got mode multi");
  if (neighbor->style == Neighbor::MULTI || neighbor->style == Neighbor::MULTI_OLD)
    error->all(FLERR, "expected `neighbor ... bin` or nsq for this model on several ranks, got `neighbor ... multi`");
  double steps = d.cutoff > 0.0 ? std::ceil(d.range / d.cutoff - 1e-6) : 1.0;
  double range = d.range;
  if (steps == 1.0) {
    steps = 2.0;
    range += d.cutoff;
  }
  d.shell = range + steps * neighbor->skin;
  ask_for_shell();
}

void PairMetatomic::ask_for_shell()
{
  Shell &shell = shell_of(lmp);
  if (shell.width == 0.0 || comm->cutghostuser != shell.width) shell.before = comm->cutghostuser;
  shell.width = comm->cutghostuser = std::max(comm->cutghostuser, data->shell);
}

void PairMetatomic::restore_ghost_shell()
{
  Shell &shell = shell_of(lmp);
  if (comm && shell.width > 0.0 && comm->cutghostuser == shell.width) comm->cutghostuser = shell.before;
  shell.width = 0.0;
}

double PairMetatomic::init_one(int i, int j)
{
  double cutoff = data->cutoff;
  // LAMMPS wants a cutoff; a model without lists works on positions alone
  if (cutoff == 0.0 && std::isfinite(data->range)) cutoff = data->range;
  if (cutoff == 0.0) {
    // LAMMPS sorts atoms into bins of half of cutoff and skin: not much smaller than the room of an atom
    double atoms = std::max(static_cast<double>(atom->natoms), 1.0);
    double spacing = std::cbrt(domain->xprd * domain->yprd * domain->zprd / atoms);
    cutoff = neighbor->skin > spacing ? 1e-3 * neighbor->skin : spacing;
  }
  cutghost[i][j] = cutghost[j][i] = cutoff;
  return cutoff;
}
