// Setup of the pair style: input lines, checks, what is asked of LAMMPS.  The time steps are in
// pair_metatomic_compute.cpp.

#include "pair_metatomic.h"

#include "pair_metatomic_data.h"
#include "metatomic_profile.h"

#include "atom.h"
#include "comm.h"
#include "domain.h"
#include "error.h"
#include "force.h"
#include "group.h"
#include "input.h"
#include "memory.h"
#include "neighbor.h"
#include "update.h"
#include "utils.h"

#include <algorithm>
#include <cmath>

using namespace LAMMPS_NS;
using metatomic::ListMode;

// sums over atoms that are sums over ranks too
static const std::vector<std::string> ADDITIVE = {"energy", "energy_ensemble", "charge", "dipole"};

PairMetatomic::PairMetatomic(LAMMPS *lmp) : Pair(lmp), data(new Data)
{
  restartinfo = 0;
  one_coeff = 1;
  manybody_flag = 1;
  single_enable = 0;
  no_virial_fdotr_compute = 1;
  centroidstressflag = CENTROID_AVAIL;
  comm_forward = 4;
  data->nodes = std::make_unique<metatomic::Nodes>(lmp);
}

PairMetatomic::~PairMetatomic()
{
  restore_ghost_shell();
  if (allocated) {
    memory->destroy(setflag);
    memory->destroy(cutsq);
    memory->destroy(cutghost);
  }
  delete[] pvector;
  delete data;
}

// Stop on all ranks with the text of the first one that has a problem: a rank that stopped alone would leave the
// others waiting.
void PairMetatomic::agree(const std::string &problem)
{
  int mine = problem.empty() ? comm->nprocs : comm->me, first = 0;
  MPI_Allreduce(&mine, &first, 1, MPI_INT, MPI_MIN, world);
  if (first == comm->nprocs) return;
  int size = static_cast<int>(problem.size());
  MPI_Bcast(&size, 1, MPI_INT, first, world);
  std::string text = problem;
  text.resize(size);
  MPI_Bcast(&text[0], size, MPI_CHAR, first, world);
  error->all(FLERR, text);
}

void PairMetatomic::settings(int narg, char **arg)
{
  int rank_on_node = 0;
#ifndef MPI_STUBS    // a serial LAMMPS
  MPI_Comm node;
  MPI_Comm_split_type(world, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &node);
  MPI_Comm_rank(node, &rank_on_node);
  MPI_Comm_free(&node);
#endif

  // made aside: after an error LAMMPS, and Python with it, goes on with what there was before
  auto fresh = std::make_unique<Data>();
  Data &d = *fresh;
  std::string problem;
  try {
    d.nodes = std::make_unique<metatomic::Nodes>(lmp);
    d.options = metatomic::parse_options(metatomic::Words(arg, arg + narg));
    d.units = metatomic::unit_style(update->unit_style);
    d.model = std::make_unique<metatomic::Model>(d.options, rank_on_node);
    d.query.units = metatomic::unit_names(d.units);
    name_units(d);
    choose_outputs(d);
  } catch (const std::exception &error) {
    problem = metatomic::message(error);
  }
  agree(problem);
  restore_ghost_shell();
  std::swap(*data, d);
  keep_users(d);
  nextra = 0;
  for (const auto &sum : data->sums) nextra += sum.second;
  delete[] pvector;
  pvector = nextra > 0 ? new double[nextra]() : nullptr;
  for (const auto &warning : data->model->warnings())
    if (comm->me == 0) error->warning(FLERR, warning);
  if (comm->me == 0)
    utils::logmesg(lmp, "{}\nRunning on {} in units {} and {}\n", data->model->card(), data->model->device(),
                   data->units.length, data->units.energy);
}

// Go on with the fixes that read the former model, where the new one has the same output with as many values.
void PairMetatomic::keep_users(const Data &former)
{
  for (const auto &item : former.users) {
    const auto &offered = data->model->outputs();
    auto found = offered.find(item.first);
    auto before = former.atom_outputs.find(item.first);
    if (found == offered.end() || found->second == "system" || before == former.atom_outputs.end()) continue;
    if (data->model->columns(item.first, "atom") == before->second.columns) data->users.insert(item);
  }
}

// Units of inputs and outputs under the names that the model uses.
void PairMetatomic::name_units(Data &d)
{
  auto known = d.query.units;
  for (const auto &names : {d.model->inputs(), d.model->outputs()})
    for (const auto &item : names) {
      auto unit = known.find(d.model->quantity(item.first));
      if (unit != known.end() && unit->first != "energy") d.query.units[item.first] = unit->second;
    }
}

void PairMetatomic::choose_outputs(Data &d) const
{
  const auto &offered = d.model->outputs();
  auto pick = [&](const std::string &name) { return d.model->output_name(name, d.options.variants); };
  for (const auto &variant : d.options.variants)
    if (pick(variant.first).empty()) throw std::runtime_error(unknown_output(d, variant.first));
  d.energy = pick("energy");
  if (d.energy.empty()) throw std::runtime_error("expected a model with an energy, got one without");
  d.has_atomic_energies = offered.at(d.energy) != "system";
  if (d.options.direct_forces && (d.forces = pick("non_conservative_force")).empty())
    throw std::runtime_error("expected a model with non-conservative forces for `non_conservative`, got one without");
  if (d.options.direct_stress && (d.stress = pick("non_conservative_stress")).empty())
    throw std::runtime_error("expected a model with non-conservative stress for `non_conservative`, got one without; "
                             "use `non_conservative forces`");
  const bool by_default = std::isnan(d.options.uncertainty_threshold);
  d.threshold = by_default ? d.units.threshold : d.options.uncertainty_threshold;
  try {
    if (std::isfinite(d.threshold)) d.uncertainty = pick("energy_uncertainty");
  } catch (const std::exception &) {
    // several variants, and none is the default one: only who asks for warnings has to choose
    if (!by_default) throw;
  }
  if (!d.uncertainty.empty() && offered.at(d.uncertainty) != "atom") d.uncertainty.clear();
  for (const auto &wanted : d.options.outputs) {
    std::string name = pick(wanted);
    if (name.empty()) throw std::runtime_error(unknown_output(d, wanted));
    std::string base = d.model->quantity(name);
    if (comm->nprocs > 1 && std::find(ADDITIVE.begin(), ADDITIVE.end(), base) == ADDITIVE.end())
      throw std::runtime_error("expected an output that is a sum over atoms for `output` on several ranks, one of " +
                               metatomic::join(ADDITIVE) + ", got '" + wanted + "'; use one rank or `fix pair`");
    d.sums.emplace_back(name, d.model->columns(name, "system"));
  }
}

std::string PairMetatomic::unknown_output(const Data &d, const std::string &name)
{
  metatomic::Words names;
  // one spelling of each
  for (const auto &item : d.model->outputs()) {
    std::string base = item.first.substr(0, item.first.find('/')), variant = item.first.substr(base.size());
    std::string canonical = d.model->quantity(item.first) + variant;
    if (canonical == item.first || !d.model->outputs().count(canonical)) names.push_back(item.first);
  }
  return "expected an output of the model, one of " + metatomic::join(names) + ", got '" + name + "'" +
      metatomic::did_you_mean(name, names);
}

void PairMetatomic::coeff(int narg, char **arg)
{
  if (!data->model)
    error->all(FLERR, "expected a `pair_style metatomic` line that succeeded before `pair_coeff`, got one that failed");
  const int n = atom->ntypes;
  if (!allocated) {
    allocated = 1;
    memory->create(setflag, n + 1, n + 1, "pair:setflag");
    memory->create(cutsq, n + 1, n + 1, "pair:cutsq");
    memory->create(cutghost, n + 1, n + 1, "pair:cutghost");
  }
  try {
    auto types = metatomic::parse_types(metatomic::Words(arg, arg + narg), n, data->model->types());
    data->atomic_types.assign(1, -1);
    data->atomic_types.insert(data->atomic_types.end(), types.begin(), types.end());
  } catch (const std::runtime_error &problem) {
    error->all(FLERR, std::string(problem.what()));
  }
  if (force->pair == this && std::count(data->atomic_types.begin() + 1, data->atomic_types.end(), -1) > 0)
    error->all(FLERR, "expected a type of the model for each atom type in `pair_coeff`, got NULL; use `pair_style hybrid`, "
                      "where another style has these types");
  // as LAMMPS' own many-body styles do, so that an input needs no `mass` lines
  for (int i = 1; i <= n; i++) {
    for (const auto &type : data->model->types())
      if (type.number == data->atomic_types[i] && type.mass > 0.0 && atom->mass && !atom->mass_setflag[i])
        atom->set_mass(FLERR, i, type.mass * data->units.gram_per_mole);
  }
  for (int i = 1; i <= n; i++)
    for (int j = 1; j <= n; j++) setflag[i][j] = data->atomic_types[i] >= 0 && data->atomic_types[j] >= 0;
}

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

// LAMMPS does not keep the masses of single ghosts up to date, and velocities only on demand: then it adds the speed of a
// box that is deformed (`fix deform ... remap v`), which those of the atoms themselves do not have.
int PairMetatomic::pack_forward_comm(int n, int *atoms, double *buffer, int, int *)
{
  for (int k = 0; k < n; k++) {
    const int i = atoms[k];
    const double *sent = i < atom->nlocal ? nullptr : data->ghost_inputs.data() + 4 * (i - atom->nlocal);
    const double *velocity = sent ? sent : atom->v[i];
    std::copy(velocity, velocity + 3, buffer + 4 * k);
    buffer[4 * k + 3] = sent ? sent[3] : atom->rmass ? atom->rmass[i] : 0.0;
  }
  return 4 * n;
}

void PairMetatomic::unpack_forward_comm(int n, int first, double *buffer)
{
  std::copy(buffer, buffer + 4 * n, data->ghost_inputs.data() + 4 * (first - atom->nlocal));
}

void *PairMetatomic::extract(const char *name, int &dim)
{
  dim = 0;
  if (std::string(name) == "scale") return &data->options.scale;
  // `fix pair ... NAME 1` asks for a switch with which it announces the steps in which it needs the output
  std::string text = name;
  if (text.size() < 6 || text.substr(text.size() - 5) != "_flag" || !data->model) return nullptr;
  std::string output = data->model->output_name(text.substr(0, text.size() - 5), data->options.variants);
  auto found = data->users.find(output);
  if (found == data->users.end()) return nullptr;
  // the fix that asks for the switch has just read the output, see `extract_peratom`
  found->second.n_always = std::max(found->second.n_always - 1, 0);
  return found->second.announced;
}

void *PairMetatomic::extract_peratom(const char *name, int &columns)
{
  columns = 0;
  Data &d = *data;
  std::string output, problem;
  try {
    if (!d.model) throw std::runtime_error("expected a `pair_style metatomic` line that succeeded before `fix pair`, got one "
                                           "that failed");
    output = d.model->output_name(name, d.options.variants);
    if (output.empty()) throw std::runtime_error(unknown_output(d, name));
    if (d.model->outputs().at(output) == "system")
      throw std::runtime_error("expected an output for each atom, got '" + output + "', which the model gives for systems; "
                               "use `pair_style metatomic ... output " + output + "` and `compute pair`");
    if (!d.atom_outputs.count(output)) d.atom_outputs[output].columns = d.model->columns(output, "atom");
  } catch (const std::exception &caught) {
    problem = metatomic::message(caught);
  }
  if (!problem.empty()) error->all(FLERR, problem);
  // outside of runs it is a fix that is being made; in a run a fix knows an older style, for which it announced itself
  if (update->whichflag == 0)
    d.users[output].n_always++;
  else if (!d.users.count(output))
    error->all(FLERR, "expected a `fix pair` for '" + output + "' made after the `pair_style` line in use, got one from "
                      "before; give the fix again");
  AtomOutput &found = d.atom_outputs[output];
  make_room(found);
  columns = found.columns == 1 ? 0 : found.columns;
  if (found.columns == 1) return found.values.data();
  return found.rows.data();
}

void PairMetatomic::make_room(AtomOutput &output) const
{
  size_t rows = static_cast<size_t>(std::max(atom->nmax, 1));
  if (output.rows.size() >= rows) return;
  output.values.resize(rows * output.columns, 0.0);
  output.rows.resize(rows);
  for (size_t i = 0; i < rows; i++) output.rows[i] = output.values.data() + i * output.columns;
}

double PairMetatomic::memory_usage()
{
  double bytes = Pair::memory_usage() + data->nodes->bytes();
  for (const auto &pairs : data->query.pairs)
    bytes += pairs.values.capacity() * sizeof(int32_t) + pairs.vectors.capacity() * sizeof(double);
  return bytes;
}

// At the end of a run, leave the width of ghosts to restart files and other styles as it was, and tell where the time
// went if METATOMIC_LAMMPS_PROFILE is set.
void PairMetatomic::finish()
{
  restore_ghost_shell();
  if (!metatomic::Profile::enabled()) return;
  if (comm->me == 0)
    for (const auto &item : metatomic::Profile::seconds())
      utils::logmesg(lmp, "metatomic profile: {} {:.6f} s\n", item.first, item.second);
  metatomic::Profile::seconds().clear();
}
