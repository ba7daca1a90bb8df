// Before a run: what LAMMPS must and must not do, neighbor lists, and ghosts as far as the model
// needs them.

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
#include "utils.h"

#include <algorithm>
#include <cmath>

using namespace LAMMPS_NS;
using namespace metatomic;

// Whether some atoms of the model in one group (1), and some in another (2), exist on any rank.
static bool both_occur(const Atom *atom, const std::vector<int> &types, int bit1, int bit2,
                       MPI_Comm world)
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
  const auto &types = data->settings.atomic_types;
  const int *mask = group->bitmask;
  if (!atom->tag_enable)
    error->all(FLERR, "expected atom IDs for pair style metatomic, got `atom_modify id no`");
  if (!force->newton_pair)
    error->all(FLERR, "expected `newton on` for pair style metatomic, got newton pair off");
  if (neighbor->includegroup)
    error->all(FLERR,
               "expected all pairs in the neighbor lists for pair style metatomic, got "
               "`neigh_modify include`");
  if (Ghosts::group(comm))
    error->all(FLERR,
               "expected ghosts of all atoms for pair style metatomic, got `comm_modify group`; "
               "remove it");
  const std::string excluded =
      "expected all pairs in the neighbor lists for pair style metatomic, got `neigh_modify "
      "exclude` of atoms of the model; remove it, or give these types to another style";
  for (int k = 0; k < neighbor->nex_type; k++)
    if (types[neighbor->ex1_type[k]] >= 0 && types[neighbor->ex2_type[k]] >= 0)
      error->all(FLERR, excluded);
  for (int k = 0; k < neighbor->nex_group; k++)
    if (both_occur(atom, types, mask[neighbor->ex1_group[k]], mask[neighbor->ex2_group[k]], world))
      error->all(FLERR, excluded);
  for (int k = 0; k < neighbor->nex_mol; k++)
    if (both_occur(atom, types, mask[neighbor->ex_mol_group[k]], mask[neighbor->ex_mol_group[k]],
                   world))
      error->all(FLERR, excluded);

  if (atom->molecular == Atom::ATOMIC || force->kspace) return;
  int mine = 0, any = 0;
  // the bonds of molecule templates are not in the atoms
  if (atom->molecular == Atom::TEMPLATE)
    for (int k = 1; k < 4; k++)
      if (force->special_lj[k] == 0.0 && force->special_coul[k] == 0.0) mine = 1;
  for (int i = 0; i < atom->nlocal && atom->nspecial; i++) {
    if (types[atom->type[i]] < 0) continue;
    for (int k = 0, before = 0; k < 3; before = atom->nspecial[i][k++])
      if (atom->nspecial[i][k] > before && force->special_lj[k + 1] == 0.0 &&
          force->special_coul[k + 1] == 0.0)
        mine = 1;
  }
  MPI_Allreduce(&mine, &any, 1, MPI_INT, MPI_MAX, world);
  if (any)
    error->all(FLERR,
               "expected bonded pairs in the neighbor lists for pair style metatomic, got "
               "special_bonds weights of zero, which remove them; use `special_bonds lj/coul 1 1 "
               "1`, or delete the bonds");
}

void PairMetatomic::init_style()
{
  Data &d = *data;
  if (d.settings.atomic_types.empty())
    error->all(FLERR, "expected `pair_coeff * * TYPE ...` after pair_style metatomic, got none");
  check_setup();
  d.run = RunState();
  choose_lists();
  choose_inputs();
  choose_kernel();
  if (d.run.mode == ListMode::FULL_GHOSTS) widen_ghost_shell();
  const std::map<ListMode, int> flags = {
      {ListMode::HALF, NeighConst::REQ_DEFAULT},
      {ListMode::HALF_OFF, NeighConst::REQ_NEWTON_OFF},
      {ListMode::FULL, NeighConst::REQ_FULL},
      {ListMode::FULL_GHOSTS, NeighConst::REQ_FULL | NeighConst::REQ_GHOST}};
  // for `hybrid`, where another style may want neighbors of ghosts only nearby
  ghostneigh = d.run.mode == ListMode::FULL_GHOSTS;
  neighbor->add_request(this, flags.at(d.run.mode));
  d.step.query.pairs.resize(d.run.lists.size());
  d.candidates.resize(d.run.lists.size());
  d.lists = ListsOfNodes();
}

// The lists that the model asks for, in LAMMPS' unit, and what LAMMPS lists for them.
void PairMetatomic::choose_lists()
{
  RunState &run = data->run;
  const auto &queries = data->model->queries();
  // lengths of a model without a unit are whatever the engine has
  const double scale = queries.length_in_angstrom
      ? *queries.length_in_angstrom * data->settings.units.per_angstrom
      : 1.0;
  run.range = queries.interaction_range * scale;
  bool only_half = true;
  for (const auto &list : queries.lists) {
    run.lists.push_back({list.cutoff * scale, list.full_list});
    run.cutoff = std::max(run.cutoff, run.lists.back().cutoff);
    only_half = only_half && !list.full_list;
  }
  if (comm->nprocs == 1) {
    run.mode = only_half ? ListMode::HALF : ListMode::FULL;
    return;
  }
  if (!std::isfinite(run.range))
    error->all(FLERR,
               "expected a model of finite interaction range on several ranks, got an infinite "
               "one; use one rank");
  if (!data->settings.stress.empty())
    error->all(FLERR,
               "expected one rank for non-conservative stress, got several: it is no sum over "
               "atoms; use `non_conservative forces`");
  if (!queries.is_local) tell_unknown_locality();
  const bool is_local = queries.is_local.value_or(false);
  run.mode = !is_local ? ListMode::FULL_GHOSTS : only_half ? ListMode::HALF_OFF : ListMode::FULL;
}

// Say once for each `pair_style` line that ghosts get pairs to be safe, which costs time.
void PairMetatomic::tell_unknown_locality()
{
  bool &told = data->settings.told_unknown_locality;
  if (comm->me == 0 && !told)
    utils::logmesg(lmp,
                   "The model file does not tell whether energies depend on pairs of ghosts: pair "
                   "style metatomic takes it for yes\n");
  told = true;
}

// What of LAMMPS the inputs of the model are.
void PairMetatomic::choose_inputs()
{
  static const std::map<std::string, AtomInput::Source> known = {{"mass", AtomInput::MASS},
                                                                 {"charge", AtomInput::CHARGE},
                                                                 {"velocity", AtomInput::VELOCITY},
                                                                 {"momentum", AtomInput::MOMENTUM}};
  RunState &run = data->run;
  for (const auto &input : data->model->queries().inputs) {
    auto found = known.find(metatomic::base_quantity(input.first));
    if (found == known.end() || input.second != "atom")
      error->all(FLERR,
                 "expected inputs that LAMMPS has, masses, charges, velocities or momenta of "
                 "atoms, got '" +
                     input.first + "' of " + input.second + "s");
    const auto source = found->second;
    if (source == AtomInput::CHARGE && !atom->q)
      error->all(FLERR,
                 "expected charges of atoms for the input '" + input.first +
                     "' of the model, got an atom style without; use `atom_style charge`");
    run.inputs.push_back({input.first, source});
    const bool always_sent = source == AtomInput::VELOCITY || source == AtomInput::MOMENTUM;
    if (comm->nprocs > 1 && (always_sent || (source == AtomInput::MASS && atom->rmass)))
      run.sends_inputs = true;
  }
  auto &filled = data->step.query.inputs;
  filled.clear();
  for (const auto &input : run.inputs) filled.push_back({input.name, {}});
}

// The width of ghosts that users asked for, and the one that stands in its place: of each LAMMPS,
// since several styles may widen it.
struct Shell {
  double before = 0.0, width = 0.0;
};

static Shell &shell_of(LAMMPS *lmp)
{
  static std::map<LAMMPS *, Shell> shells;
  return shells[lmp];
}

// Ask for ghosts up to the interaction range, while the neighbor lists end at their cutoff.  Each
// step of a message can start from another copy of an atom, so that the skin counts once for each.
// A model whose range is the cutoff, but which needs pairs between ghosts, may need them at any
// ghost within the range: one step more.
void PairMetatomic::widen_ghost_shell()
{
  RunState &run = data->run;
  // the setup of `write_restart`, which computes nothing, and writes the width
  if (std::string(lmp->input->command ? lmp->input->command : "") == "write_restart") return;
  if (comm->mode != Comm::SINGLE)
    error->all(
        FLERR,
        "expected `comm_modify mode single` for this model on several ranks, got mode multi");
  if (neighbor->style == Neighbor::MULTI || neighbor->style == Neighbor::MULTI_OLD)
    error->all(FLERR,
               "expected `neighbor ... bin` or nsq for this model on several ranks, got `neighbor "
               "... multi`");
  double steps = run.cutoff > 0.0 ? std::ceil(run.range / run.cutoff - 1e-6) : 1.0;
  double range = run.range;
  if (steps == 1.0) {
    steps = 2.0;
    range += run.cutoff;
  }
  run.shell = range + steps * neighbor->skin;
  ask_for_shell();
}

void PairMetatomic::ask_for_shell()
{
  Shell &shell = shell_of(lmp);
  if (shell.width == 0.0 || comm->cutghostuser != shell.width) shell.before = comm->cutghostuser;
  shell.width = comm->cutghostuser = std::max(comm->cutghostuser, data->run.shell);
}

void PairMetatomic::restore_ghost_shell()
{
  Shell &shell = shell_of(lmp);
  if (comm && shell.width > 0.0 && comm->cutghostuser == shell.width)
    comm->cutghostuser = shell.before;
  shell.width = 0.0;
}

double PairMetatomic::init_one(int i, int j)
{
  double cutoff = data->run.cutoff;
  // LAMMPS wants a cutoff; a model without lists works on positions alone
  if (cutoff == 0.0 && std::isfinite(data->run.range)) cutoff = data->run.range;
  if (cutoff == 0.0) {
    // LAMMPS sorts atoms into bins of half of cutoff and skin: not much smaller than the room of an
    // atom
    double atoms = std::max(static_cast<double>(atom->natoms), 1.0);
    double spacing = std::cbrt(domain->xprd * domain->yprd * domain->zprd / atoms);
    cutoff = neighbor->skin > spacing ? 1e-3 * neighbor->skin : spacing;
  }
  cutghost[i][j] = cutghost[j][i] = cutoff;
  return cutoff;
}
