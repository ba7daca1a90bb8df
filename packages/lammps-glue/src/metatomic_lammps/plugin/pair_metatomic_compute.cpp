// The time step: atoms to model, results to LAMMPS' arrays.

#include "pair_metatomic.h"

#include "pair_metatomic_data.h"
#include "metatomic_profile.h"

#include "atom.h"
#include "comm.h"
#include "domain.h"
#include "error.h"
#include "neighbor.h"
#include "update.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

using namespace LAMMPS_NS;

// LAMMPS' order of tensor components, as indices of a 3x3 matrix; the first six are symmetric
static constexpr int ROWS[9] = {0, 1, 2, 0, 0, 1, 1, 2, 2};
static constexpr int COLUMNS[9] = {0, 1, 2, 1, 2, 2, 0, 0, 1};

static double component(const double *matrix, int k) { return matrix[3 * ROWS[k] + COLUMNS[k]]; }

static double symmetric_component(const double *matrix, int k)
{
  return 0.5 * (matrix[3 * ROWS[k] + COLUMNS[k]] + matrix[3 * COLUMNS[k] + ROWS[k]]);
}

void PairMetatomic::compute(int eflag, int vflag)
{
  ev_init(eflag, vflag);
  Data &d = *data;
  std::string problem;
  d.results.clear();
  d.values_of_system.clear();
  if (d.sends_inputs) {
    d.ghost_inputs.resize(4 * atom->nghost);
    comm->forward_comm(this);
  }
  // after a run without its setup (`run N pre no`), where the width was restored
  if (d.shell > 0.0) ask_for_shell();
  try {
    if (d.mode == metatomic::ListMode::FULL_GHOSTS && d.shell == 0.0)
      throw std::runtime_error("expected a run with its setup after `write_restart`, got `pre no`; remove that");
    prepare();
    if (d.nodes->n_local() > 0) {
      evaluate_system();
      d.results = d.model->evaluate(d.query);
      check_results();
    }
  } catch (const std::exception &error) {
    problem = metatomic::message(error);
  }
  agree(problem);
  metatomic::Timer timer("scatter");
  if (!d.results.empty()) add_results();
  store_outputs();
  warn_uncertain();
  // the profile is that of the steps, as LAMMPS' loop time is
  if (update->ntimestep == update->firststep) metatomic::Profile::seconds().clear();
}

// Fill the query: nodes if LAMMPS built new lists, positions and pairs always.
void PairMetatomic::prepare()
{
  Data &d = *data;
  const int n_atoms = atom->nlocal + atom->nghost;
  {
    metatomic::Timer timer("nodes");
    bool same = d.nodes_valid && neighbor->ago > 0 && d.last_build == neighbor->lastcall &&
        d.n_builds == neighbor->ncalls && d.n_atoms == n_atoms && d.nodes->update_types(d.atomic_types);
    if (!same) {
      d.nodes->update(d.atomic_types);
      if (d.mode == metatomic::ListMode::FULL_GHOSTS) d.nodes->find_orphans(list);
    }
    d.nodes_valid = true;
    d.last_build = neighbor->lastcall;
    d.n_builds = neighbor->ncalls;
    d.n_atoms = n_atoms;
  }
  metatomic::Timer timer("pairs");
  auto &query = d.query;
  query.n_atoms = d.nodes->size();
  query.n_selected = d.nodes->n_local();
  query.types = d.nodes->types().data();
  query.check_consistency = d.options.check_consistency;
  query.positions.resize(3 * query.n_atoms);
  for (int n = 0; n < query.n_atoms; n++) {
    const double *x = atom->x[d.nodes->atoms()[n]];
    std::copy(x, x + 3, query.positions.data() + 3 * n);
  }
  const double cell[9] = {domain->xprd, 0.0, 0.0, domain->xy, domain->yprd, 0.0, domain->xz, domain->yz, domain->zprd};
  std::copy(cell, cell + 9, query.cell);
  for (int k = 0; k < 3; k++) query.pbc[k] = domain->periodicity[k] && (k < 2 || domain->dimension == 3);
  for (size_t k = 0; k < d.lists.size(); k++)
    d.nodes->fill_pairs(list, d.mode, d.lists[k], query.pairs[k]);
  fill_inputs();
  choose_results();
}

void PairMetatomic::fill_inputs()
{
  Data &d = *data;
  for (const auto &input : d.model->inputs()) {
    std::string quantity = d.model->quantity(input.first);
    auto &values = d.query.inputs[input.first];
    values.clear();
    if (quantity == "charge" && !atom->q)
      throw std::runtime_error("expected charges of atoms for the input '" + input.first +
                               "' of the model, got an atom style without; use `atom_style charge`");
    bool is_known = quantity == "mass" || quantity == "charge" || quantity == "velocity" || quantity == "momentum";
    if (!is_known || input.second != "atom")
      throw std::runtime_error("expected inputs that LAMMPS has, masses, charges, velocities or momenta of atoms, got '" +
                               input.first + "' of " + input.second + "s");
    for (int i : d.nodes->atoms()) {
      const double *sent = d.sends_inputs && i >= atom->nlocal ? d.ghost_inputs.data() + 4 * (i - atom->nlocal) : nullptr;
      const double *velocity = sent ? sent : atom->v[i];
      double mass = !atom->rmass ? atom->mass[atom->type[i]] : sent ? sent[3] : atom->rmass[i];
      if (quantity == "mass") values.push_back(mass);
      if (quantity == "charge") values.push_back(atom->q[i]);
      double factor = quantity == "momentum" ? mass : 1.0;
      if (quantity == "momentum" || quantity == "velocity")
        for (int k = 0; k < 3; k++) values.push_back(factor * velocity[k]);
    }
  }
}

void PairMetatomic::choose_results()
{
  Data &d = *data;
  auto &request = d.query.request;
  request = {{"energy", d.energy}, {"forces", d.forces.empty() ? d.energy : d.forces}};
  // energies of atoms are summed in double precision, whatever the model's own sum is
  if (d.has_atomic_energies) request["atomic_energies"] = d.energy;
  if (eflag_atom && !d.has_atomic_energies)
    throw std::runtime_error("expected a model with energies of atoms for per-atom energy, got one with a total energy");
  if (vflag_global) request["virial"] = d.stress.empty() ? d.energy : d.stress;
  if (vflag_atom || cvflag_atom) {
    if (!d.forces.empty() || !d.stress.empty())
      throw std::runtime_error("expected conservative forces for per-atom virials, got non-conservative ones");
    request["atomic_virials"] = d.energy;
  }
  d.query.outputs.clear();
  for (const auto &item : d.users)
    if (item.second.wanted() && item.first != d.energy) d.query.outputs[item.first] = "atom";
  if (!d.uncertainty.empty()) d.query.outputs[d.uncertainty] = "atom";
  if (eflag_global)
    for (const auto &sum : d.sums)
      if (sum.first != d.energy) d.query.outputs.emplace(sum.first, "system");
}

// Outputs for `compute pair` that are also wanted for each atom, in a call of their own: what the model gives for a system
// need not be the sum of what it gives for atoms, and one call gives one of the two.
void PairMetatomic::evaluate_system()
{
  Data &d = *data;
  std::map<std::string, std::string> request, outputs;
  for (const auto &sum : d.sums)
    if (eflag_global && sum.first != d.energy && d.query.outputs.at(sum.first) == "atom") outputs[sum.first] = "system";
  if (outputs.empty()) return;
  std::swap(request, d.query.request);
  std::swap(outputs, d.query.outputs);
  for (const auto &item : d.model->evaluate(d.query))
    d.values_of_system[item.first].assign(item.second.data, item.second.data + item.second.n_columns);
  std::swap(request, d.query.request);
  std::swap(outputs, d.query.outputs);
}

// Stop before values that are not finite spread.
void PairMetatomic::check_results()
{
  Data &d = *data;
  const auto forces = d.results.at("forces"), energy = d.results.at("energy");
  bool per_atom = d.results.count("atomic_energies");
  for (int n = 0; n < d.query.n_atoms; n++) {
    const double *f = forces.data + 3 * n;
    bool has_force = d.forces.empty() || n < d.query.n_selected;
    bool finite_force = !has_force || std::isfinite(f[0] + f[1] + f[2]);
    bool finite_energy = !per_atom || n >= d.query.n_selected || std::isfinite(d.results.at("atomic_energies").data[n]);
    if (finite_force && finite_energy) continue;
    int i = d.nodes->atoms()[n];
    throw std::runtime_error(std::string("expected finite ") + (finite_energy ? "forces" : "energies") +
                             " from the model, got nan or infinity for atom " + std::to_string(atom->tag[i]) + " (" +
                             d.model->type_name(d.query.types[n]) + ") at step " +
                             std::to_string(update->ntimestep));
  }
  if (!std::isfinite(energy.data[0]))
    throw std::runtime_error("expected a finite energy from the model, got nan or infinity at step " +
                             std::to_string(update->ntimestep));
}

void PairMetatomic::add_results()
{
  Data &d = *data;
  const double scale = d.options.scale;
  const auto &atoms = d.nodes->atoms();
  const auto forces = d.results.at("forces");
  // direct forces are those of the selected atoms; those on ghosts go home in the reverse communication
  const int n_forces = d.forces.empty() ? d.query.n_atoms : d.query.n_selected;
  for (int n = 0; n < n_forces; n++)
    for (int k = 0; k < 3; k++) atom->f[atoms[n]][k] += scale * forces.data[3 * n + k];
  if (eflag_global) eng_vdwl += scale * d.results.at("energy").data[0];
  if (eflag_atom) {
    const auto energies = d.results.at("atomic_energies");
    for (int n = 0; n < d.query.n_selected; n++) eatom[atoms[n]] += scale * energies.data[n];
  }
  if (vflag_global)
    for (int k = 0; k < 6; k++) virial[k] += scale * symmetric_component(d.results.at("virial").data, k);
  if (vflag_atom || cvflag_atom) add_atomic_virials();
}

void PairMetatomic::add_atomic_virials()
{
  Data &d = *data;
  const double scale = d.options.scale;
  const auto virials = d.results.at("atomic_virials");
  for (int n = 0; n < d.query.n_atoms; n++) {
    int i = d.nodes->atoms()[n];
    const double *matrix = virials.data + 9 * n;
    for (int k = 0; k < 6 && vflag_atom; k++) vatom[i][k] += scale * symmetric_component(matrix, k);
    for (int k = 0; k < 9 && cvflag_atom; k++) cvatom[i][k] += scale * component(matrix, k);
  }
}

void PairMetatomic::store_outputs()
{
  Data &d = *data;
  for (const auto &item : d.users) {
    if (!item.second.wanted()) continue;
    AtomOutput &output = d.atom_outputs[item.first];
    if (output.columns == 0) output.columns = d.model->columns(item.first, "atom");
    make_room(output);
    std::fill(output.values.begin(), output.values.end(), 0.0);
    auto found = d.results.find(item.first == d.energy ? "atomic_energies" : item.first);
    if (found == d.results.end()) continue;
    for (int n = 0; n < d.query.n_selected; n++)
      std::copy_n(found->second.data + n * output.columns, output.columns, output.rows[d.nodes->atoms()[n]]);
  }
  if (!eflag_global || nextra == 0) return;
  double *out = pvector;
  for (const auto &sum : d.sums) {
    auto apart = d.values_of_system.find(sum.first);
    auto found = d.results.find(sum.first == d.energy ? "energy" : sum.first);
    std::fill(out, out + sum.second, 0.0);
    if (apart != d.values_of_system.end())
      std::copy_n(apart->second.data(), sum.second, out);
    else if (found != d.results.end())
      std::copy_n(found->second.data, sum.second, out);
    out += sum.second;
  }
}

void PairMetatomic::warn_uncertain()
{
  Data &d = *data;
  if (d.uncertainty.empty()) return;
  struct {
    double value;
    int rank;
  } mine = {0.0, comm->me}, largest;
  tagint where = 0;
  auto found = d.results.find(d.uncertainty);
  for (int n = 0; found != d.results.end() && n < d.query.n_selected; n++)
    if (found->second.data[n] > mine.value) {
      mine.value = found->second.data[n];
      where = atom->tag[d.nodes->atoms()[n]];
    }
  MPI_Allreduce(&mine, &largest, 1, MPI_DOUBLE_INT, MPI_MAXLOC, world);
  if (largest.value <= d.threshold) return;
  MPI_Bcast(&where, 1, MPI_LMP_TAGINT, largest.rank, world);
  if (comm->me == 0)
    error->warning(FLERR, "expected energy uncertainties below {:.4g} for each atom, got {:.4g} for atom {} at step {}",
                   d.threshold, largest.value, where, update->ntimestep);
}
