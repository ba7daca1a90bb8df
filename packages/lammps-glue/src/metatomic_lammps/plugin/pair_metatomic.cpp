// The pair style: input lines, and what LAMMPS asks at any time.  What comes before a run is in pair_metatomic_setup.cpp,
// the time steps are in pair_metatomic_compute.cpp.

#include "pair_metatomic.h"

#include "pair_metatomic_data.h"
#include "metatomic_profile.h"

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
