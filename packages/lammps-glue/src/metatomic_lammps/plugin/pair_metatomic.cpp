// The pair style: input lines, and what LAMMPS asks at any time.  What comes before a run is in
// pair_metatomic_setup.cpp, the time steps are in pair_metatomic_compute.cpp.

#include "pair_metatomic.h"

#include "pair_metatomic_data.h"

#include "atom.h"
#include "comm.h"
#include "error.h"
#include "force.h"
#include "memory.h"
#include "update.h"
#include "utils.h"

#include <algorithm>
#include <cmath>

using namespace LAMMPS_NS;
using namespace metatomic;

// sums over atoms that are sums over ranks too
static const std::vector<std::string> ADDITIVE = {"energy", "energy_ensemble", "charge", "dipole",
                                                  "heat_flux"};

static metatomic::CallUnits units_of(const metatomic::ModelQueries &queries,
                                     const metatomic::UnitStyle &style)
{
  const auto known = metatomic::unit_names(style);
  metatomic::CallUnits units;
  units.engine = {{"length", style.length}, {"energy", style.energy}};
  auto name_unit = [&](const std::string &name, std::map<std::string, std::string> &named) {
    auto unit = known.find(metatomic::base_quantity(name));
    if (unit != known.end()) named[name] = unit->second;
  };
  for (const auto &item : queries.inputs) name_unit(item.first, units.inputs);
  for (const auto &item : queries.outputs) name_unit(item.first, units.outputs);
  return units;
}

// The result that has the values of an output for each atom.
static std::string result_of_atoms(const Settings &settings, const std::string &output)
{
  return output == settings.energy ? "atomic_energies" : output;
}

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

// Stop on all ranks with the text of the first one that has a problem: a rank that stopped alone
// would leave the others waiting.
void PairMetatomic::agree(const std::string &problem)
{
  const std::string text = first_problem(problem);
  if (!text.empty()) error->all(FLERR, text);
}

// The text of the first rank that has a problem, on all ranks; empty if none has.
std::string PairMetatomic::first_problem(const std::string &problem)
{
  int mine = problem.empty() ? comm->nprocs : comm->me, first = 0;
  MPI_Allreduce(&mine, &first, 1, MPI_INT, MPI_MIN, world);
  if (first == comm->nprocs) return "";
  int size = static_cast<int>(problem.size());
  MPI_Bcast(&size, 1, MPI_INT, first, world);
  std::string text = problem;
  text.resize(size);
  MPI_Bcast(&text[0], size, MPI_CHAR, first, world);
  return text;
}

void PairMetatomic::settings(int narg, char **arg)
{
  int rank_on_node = 0;
#ifndef MPI_STUBS  // a serial LAMMPS
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
    d.settings.options = metatomic::parse_options(metatomic::Words(arg, arg + narg));
    d.settings.units = metatomic::unit_style(update->unit_style);
    d.model = std::make_unique<metatomic::Model>(d.settings.options, rank_on_node);
    d.model->set_units(units_of(d.model->queries(), d.settings.units));
    choose_outputs(d);
  } catch (const std::exception &error) {
    problem = metatomic::message(error);
  }
  agree(problem);
  load_kernel(d);
  restore_ghost_shell();
  std::swap(*data, d);
  keep_users(d);
  nextra = 0;
  for (const auto &output : data->settings.system_outputs) nextra += output.n_values;
  delete[] pvector;
  pvector = nextra > 0 ? new double[nextra]() : nullptr;
  for (const auto &warning : data->model->warnings())
    if (comm->me == 0) error->warning(FLERR, warning);
  const auto &units = data->settings.units;
  if (comm->me == 0)
    utils::logmesg(lmp, "{}\nRunning on {} in units {} and {}\n", data->model->queries().card,
                   data->model->device(), units.length, units.energy);
}

// Go on with the fixes that read the former model, where the new one has the same output with as
// many values.
void PairMetatomic::keep_users(const Data &former)
{
  const auto &offered = data->model->queries().outputs;
  for (const auto &item : former.atom_outputs) {
    const int columns = item.second.columns;
    auto found = offered.find(item.first);
    if (found == offered.end() || found->second.kind == "system") continue;
    if (found->second.n_values != columns) continue;
    AtomOutput &output = data->atom_outputs[item.first];
    output.users = item.second.users;
    output.result = result_of_atoms(data->settings, item.first);
    output.columns = columns;
  }
}

void PairMetatomic::choose_outputs(Data &d) const
{
  const auto &queries = d.model->queries();
  Settings &s = d.settings;
  auto pick = [&](const std::string &name) {
    return queries.output_name(name, s.options.variants);
  };
  for (const auto &variant : s.options.variants)
    if (pick(variant.first).empty())
      throw std::runtime_error(queries.unknown_output(variant.first));
  s.energy = pick("energy");
  if (s.energy.empty())
    throw std::runtime_error("expected a model with an energy, got one without");
  s.has_atomic_energies = queries.outputs.at(s.energy).kind != "system";
  if (s.options.direct_forces && (s.forces = pick("non_conservative_force")).empty())
    throw std::runtime_error(
        "expected a model with non-conservative forces for `non_conservative`, got one without");
  if (s.options.direct_stress && (s.stress = pick("non_conservative_stress")).empty())
    throw std::runtime_error("expected a model with non-conservative stress for "
                             "`non_conservative`, got one without; use `non_conservative forces`");
  const bool by_default = std::isnan(s.options.uncertainty_threshold);
  s.threshold = by_default ? s.units.threshold : s.options.uncertainty_threshold;
  try {
    if (std::isfinite(s.threshold)) s.uncertainty = pick("energy_uncertainty");
  } catch (const std::exception &) {
    // several variants, and none is the default one: only who asks for warnings has to choose
    if (!by_default) throw;
  }
  if (!s.uncertainty.empty() && queries.outputs.at(s.uncertainty).kind != "atom")
    s.uncertainty.clear();
  for (const auto &wanted : s.options.outputs) {
    std::string name = pick(wanted);
    if (name.empty()) throw std::runtime_error(queries.unknown_output(wanted));
    std::string base = metatomic::base_quantity(name);
    if (comm->nprocs > 1 && std::find(ADDITIVE.begin(), ADDITIVE.end(), base) == ADDITIVE.end())
      throw std::runtime_error(
          "expected an output that is a sum over atoms for `output` on several ranks, one of " +
          metatomic::join(ADDITIVE) + ", got '" + wanted + "'; use one rank or `fix pair`");
    s.system_outputs.push_back({name, name == s.energy ? "energy" : name, queries.n_values(name)});
  }
}

void PairMetatomic::coeff(int narg, char **arg)
{
  if (!data->model)
    error->all(FLERR,
               "expected a `pair_style metatomic` line that succeeded before `pair_coeff`, got one "
               "that failed");
  const int n = atom->ntypes;
  if (!allocated) {
    allocated = 1;
    memory->create(setflag, n + 1, n + 1, "pair:setflag");
    memory->create(cutsq, n + 1, n + 1, "pair:cutsq");
    memory->create(cutghost, n + 1, n + 1, "pair:cutghost");
  }
  auto &atomic_types = data->settings.atomic_types;
  const auto &known = data->model->queries().types;
  try {
    auto types = metatomic::parse_types(metatomic::Words(arg, arg + narg), n, known);
    atomic_types.assign(1, -1);
    atomic_types.insert(atomic_types.end(), types.begin(), types.end());
  } catch (const std::runtime_error &problem) {
    error->all(FLERR, std::string(problem.what()));
  }
  if (force->pair == this && std::count(atomic_types.begin() + 1, atomic_types.end(), -1) > 0)
    error->all(FLERR,
               "expected a type of the model for each atom type in `pair_coeff`, got NULL; use "
               "`pair_style hybrid`, where another style has these types");
  // as LAMMPS' own many-body styles do, so that an input needs no `mass` lines
  const double gram_per_mole = data->settings.units.gram_per_mole;
  for (int i = 1; i <= n; i++)
    for (const auto &type : known)
      if (type.number == atomic_types[i] && type.mass > 0.0 && atom->mass && !atom->mass_setflag[i])
        atom->set_mass(FLERR, i, type.mass * gram_per_mole);
  for (int i = 1; i <= n; i++)
    for (int j = 1; j <= n; j++) setflag[i][j] = atomic_types[i] >= 0 && atomic_types[j] >= 0;
}

// LAMMPS does not keep the masses of single ghosts up to date, and velocities only on demand: then
// it adds the speed of a box that is deformed (`fix deform ... remap v`), which those of the atoms
// themselves do not have.
int PairMetatomic::pack_forward_comm(int n, int *atoms, double *buffer, int, int *)
{
  const auto &ghosts = data->step.ghost_inputs;
  for (int k = 0; k < n; k++) {
    const int i = atoms[k];
    const bool is_ghost = i >= atom->nlocal;
    const double *sent = is_ghost ? ghosts.data() + 4 * (i - atom->nlocal) : nullptr;
    const double *velocity = sent ? sent : atom->v[i];
    std::copy(velocity, velocity + 3, buffer + 4 * k);
    buffer[4 * k + 3] = sent ? sent[3] : atom->rmass ? atom->rmass[i] : 0.0;
  }
  return 4 * n;
}

void PairMetatomic::unpack_forward_comm(int n, int first, double *buffer)
{
  std::copy(buffer, buffer + 4 * n, data->step.ghost_inputs.data() + 4 * (first - atom->nlocal));
}

void *PairMetatomic::extract(const char *name, int &dim)
{
  dim = 0;
  if (std::string(name) == "scale") return &data->settings.options.scale;
  // `fix pair ... NAME 1` asks for a switch with which it announces the steps in which it needs the
  // output
  std::string text = name;
  if (text.size() < 6 || text.substr(text.size() - 5) != "_flag" || !data->model) return nullptr;
  text.resize(text.size() - 5);
  std::string output;
  try {
    output = data->model->queries().output_name(text, data->settings.options.variants);
  } catch (const std::exception &) {
    return nullptr;  // `extract_peratom` tells why
  }
  auto found = data->atom_outputs.find(output);
  if (found == data->atom_outputs.end()) return nullptr;
  // the fix that asks for the switch has just read the output, see `extract_peratom`
  Users &users = found->second.users;
  users.n_always = std::max(users.n_always - 1, 0);
  return users.announced;
}

void *PairMetatomic::extract_peratom(const char *name, int &columns)
{
  columns = 0;
  Data &d = *data;
  std::string output, problem;
  int n_values = 0;
  try {
    if (!d.model)
      throw std::runtime_error("expected a `pair_style metatomic` line that succeeded before `fix "
                               "pair`, got one that failed");
    const auto &queries = d.model->queries();
    output = queries.output_name(name, d.settings.options.variants);
    if (output.empty()) throw std::runtime_error(queries.unknown_output(name));
    if (queries.outputs.at(output).kind == "system")
      throw std::runtime_error(
          "expected an output for each atom, got '" + output +
          "', which the model gives for systems; use `pair_style metatomic ... output " + output +
          "` and `compute pair`");
    if (!d.atom_outputs.count(output)) n_values = queries.n_values(output);
  } catch (const std::exception &caught) {
    problem = metatomic::message(caught);
  }
  if (!problem.empty()) error->all(FLERR, problem);
  // outside of runs it is a fix that is being made; in a run a fix knows an older style, for which
  // it announced itself
  const bool is_new = update->whichflag == 0;
  if (!is_new && !d.atom_outputs.count(output))
    error->all(
        FLERR,
        "expected a `fix pair` for '" + output +
            "' made after the `pair_style` line in use, got one from before; give the fix again");
  AtomOutput &found = d.atom_outputs[output];
  if (is_new) found.users.n_always++;
  if (found.columns == 0) {
    found.columns = n_values;
    found.result = result_of_atoms(d.settings, output);
  }
  found.make_room(atom->nmax);
  columns = found.columns == 1 ? 0 : found.columns;
  if (found.columns == 1) return found.values.data();
  return found.rows.data();
}

void AtomOutput::make_room(int n_atoms)
{
  const size_t n_rows = static_cast<size_t>(std::max(n_atoms, 1));
  if (rows.size() >= n_rows) return;
  values.resize(n_rows * columns, 0.0);
  rows.resize(n_rows);
  for (size_t i = 0; i < n_rows; i++) rows[i] = values.data() + i * columns;
}

double PairMetatomic::memory_usage()
{
  double bytes = Pair::memory_usage() + data->nodes->bytes();
  if (data->compiled) bytes += data->compiled->bytes();
  for (const auto &candidates : data->candidates)
    bytes += candidates.atoms.capacity() * sizeof(int) +
        candidates.rows.capacity() * sizeof(metatomic::Candidates::Row);
  for (const auto &pairs : data->step.query.pairs)
    bytes += pairs.values.capacity() * sizeof(int32_t) + pairs.vectors.capacity() * sizeof(double);
  return bytes;
}

// At the end of a run, leave the width of ghosts to restart files and other styles as it was, and
// tell where the time went if METATOMIC_LAMMPS_PROFILE is set.
void PairMetatomic::finish()
{
  restore_ghost_shell();
  if (!metatomic::Profile::enabled()) return;
  if (comm->me == 0)
    for (const auto &item : data->profile.seconds())
      utils::logmesg(lmp, "metatomic profile: {} {:.6f} s\n", item.first, item.second);
  data->profile.clear();
}
