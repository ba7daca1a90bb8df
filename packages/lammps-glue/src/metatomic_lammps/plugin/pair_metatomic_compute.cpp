// The time step: atoms to model, results to LAMMPS' arrays.

#include "pair_metatomic.h"

#include "pair_metatomic_data.h"

#include "atom.h"
#include "comm.h"
#include "domain.h"
#include "error.h"
#include "neighbor.h"
#include "update.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <stdexcept>

using namespace LAMMPS_NS;
using namespace metatomic;

void PairMetatomic::compute(int eflag, int vflag)
{
  ev_init(eflag, vflag);
  Data &d = *data;
  StepState &step = d.step;
  std::string problem;
  step.results.clear();
  step.apart.clear();
  if (d.run.sends_inputs) {
    step.ghost_inputs.resize(4 * atom->nghost);
    comm->forward_comm(this);
  }
  // after a run without its setup (`run N pre no`), where the width was restored
  if (d.run.shell > 0.0) ask_for_shell();
  try {
    if (d.run.mode == metatomic::ListMode::FULL_GHOSTS && d.run.shell == 0.0)
      throw std::runtime_error(
          "expected a run with its setup after `write_restart`, got `pre no`; remove that");
    update_nodes();
    if (d.run.compiled) {
      if (d.nodes->n_local() > 0) evaluate_compiled();
    } else if (prepare(); d.nodes->n_local() > 0) {
      evaluate_system();
      step.results = d.model->evaluate(step.query, d.profile);
      step.energy = step.results.at("energy");
      step.forces = step.results.at("forces");
      step.atomic_energies = d.settings.has_atomic_energies ? step.results.at("atomic_energies")
                                                            : metatomic::Values();
      check_results();
    }
  } catch (const std::exception &error) {
    problem = metatomic::message(error);
  }
  agree(problem);
  metatomic::Timer timer(d.profile, "scatter");
  find_mean_force();
  if (step.results.empty())
    ;  // a rank without atoms of the model
  else if (d.run.compiled)
    add_compiled_results();
  else
    add_results();
  store_outputs();
  store_system_outputs();
  warn_uncertain();
  // the profile is that of the steps, as LAMMPS' loop time is
  if (update->ntimestep == update->firststep) d.profile.clear();
}

// Fill the query.
void PairMetatomic::prepare()
{
  Data &d = *data;
  metatomic::Timer timer(d.profile, "pairs");
  auto &query = d.step.query;
  query.n_atoms = d.nodes->size();
  query.n_selected = d.nodes->n_local();
  query.types = d.nodes->types().data();
  query.check_consistency = d.settings.options.check_consistency;
  fill_structure();
  for (size_t k = 0; k < d.run.lists.size(); k++)
    d.nodes->fill_pairs(d.candidates[k], d.run.lists[k].cutoff, query.pairs[k]);
  fill_inputs();
  choose_results();
}

// Positions and cell.
void PairMetatomic::fill_structure()
{
  auto &query = data->step.query;
  const auto &atoms = data->nodes->atoms();
  query.n_atoms = data->nodes->size();
  query.positions.resize(3 * query.n_atoms);
  for (int n = 0; n < query.n_atoms; n++) {
    const double *x = atom->x[atoms[n]];
    std::copy(x, x + 3, query.positions.data() + 3 * n);
  }
  // clang-format off
  const double cell[9] = {domain->xprd, 0.0, 0.0,
                          domain->xy, domain->yprd, 0.0,
                          domain->xz, domain->yz, domain->zprd};
  // clang-format on
  std::copy(cell, cell + 9, query.cell);
  for (int k = 0; k < 3; k++)
    query.pbc[k] = domain->periodicity[k] && (k < 2 || domain->dimension == 3);
}

// New nodes if LAMMPS built new lists, or an atom has become one of the model or is one no longer.
void PairMetatomic::update_nodes()
{
  Data &d = *data;
  metatomic::Timer timer(d.profile, "nodes");
  const auto &types = d.settings.atomic_types;
  const ListsOfNodes lists = {neighbor->lastcall, neighbor->ncalls, atom->nlocal + atom->nghost};
  if (neighbor->ago > 0 && d.lists == lists && d.nodes->update_types(types)) return;
  d.nodes->update(types);
  if (d.run.mode == metatomic::ListMode::FULL_GHOSTS) d.nodes->find_orphans(list);
  for (size_t k = 0; k < d.run.lists.size(); k++)
    d.nodes->find_candidates(list, d.run.mode, d.run.lists[k].full_list, d.candidates[k]);
  d.lists = lists;
}

void PairMetatomic::fill_inputs()
{
  Data &d = *data;
  const auto &atoms = d.nodes->atoms();
  const double *ghosts = d.run.sends_inputs ? d.step.ghost_inputs.data() : nullptr;
  for (size_t k = 0; k < d.run.inputs.size(); k++) {
    const auto source = d.run.inputs[k].source;
    const bool is_vector = source == AtomInput::VELOCITY || source == AtomInput::MOMENTUM;
    auto &values = d.step.query.inputs[k].second;
    values.resize(atoms.size() * (is_vector ? 3 : 1));
    double *value = values.data();
    for (int i : atoms) {
      const double *sent = ghosts && i >= atom->nlocal ? ghosts + 4 * (i - atom->nlocal) : nullptr;
      const double mass = !atom->rmass ? atom->mass[atom->type[i]]
          : sent                       ? sent[3]
                                       : atom->rmass[i];
      if (source == AtomInput::MASS) *value++ = mass;
      if (source == AtomInput::CHARGE) *value++ = atom->q[i];
      if (!is_vector) continue;
      const double *velocity = sent ? sent : atom->v[i];
      const double factor = source == AtomInput::MOMENTUM ? mass : 1.0;
      for (int c = 0; c < 3; c++) *value++ = factor * velocity[c];
    }
  }
}

void PairMetatomic::choose_results()
{
  const Settings &s = data->settings;
  auto &request = data->step.query.request;
  auto &outputs = data->step.query.outputs;
  request = {{"energy", s.energy}, {"forces", s.forces.empty() ? s.energy : s.forces}};
  // energies of atoms are summed in double precision, whatever the model's own sum is
  if (s.has_atomic_energies) request["atomic_energies"] = s.energy;
  if (eflag_atom && !s.has_atomic_energies)
    throw std::runtime_error(
        "expected a model with energies of atoms for per-atom energy, got one with a total energy");
  if (vflag_global) request["virial"] = s.stress.empty() ? s.energy : s.stress;
  if (vflag_atom || cvflag_atom) {
    if (!s.forces.empty() || !s.stress.empty())
      throw std::runtime_error(
          "expected conservative forces for per-atom virials, got non-conservative ones");
    request["atomic_virials"] = s.energy;
  }
  outputs.clear();
  for (const auto &item : data->atom_outputs)
    if (item.second.users.any() && item.first != s.energy) outputs[item.first] = "atom";
  if (!s.uncertainty.empty()) outputs[s.uncertainty] = "atom";
  if (eflag_global)
    for (const auto &output : s.system_outputs)
      if (output.name != s.energy) outputs.emplace(output.name, "system");
}

// Outputs for `compute pair` that are also wanted for each atom, in a call of their own: what the
// model gives for a system need not be the sum of what it gives for atoms, and one call gives one
// of the two.
void PairMetatomic::evaluate_system()
{
  StepState &step = data->step;
  if (!eflag_global) return;
  std::map<std::string, std::string> request, outputs;
  for (const auto &output : data->settings.system_outputs)
    if (output.name != data->settings.energy && step.query.outputs.at(output.name) == "atom")
      outputs[output.name] = "system";
  if (outputs.empty()) return;
  std::swap(request, step.query.request);
  std::swap(outputs, step.query.outputs);
  for (const auto &item : data->model->evaluate(step.query, data->profile))
    step.apart[item.first].assign(item.second.data, item.second.data + item.second.n_columns);
  std::swap(request, step.query.request);
  std::swap(outputs, step.query.outputs);
}

// Stop before values that are not finite spread.
void PairMetatomic::check_results()
{
  const StepState &step = data->step;
  const auto &query = step.query;
  const std::string when = " at step " + std::to_string(update->ntimestep);
  const double *forces = step.forces.data, *energies = step.atomic_energies.data;
  // direct forces are those of the selected atoms
  const int n_forces = data->settings.forces.empty() ? query.n_atoms : query.n_selected;
  for (int n = 0; n < query.n_atoms; n++) {
    const double *f = forces + 3 * n;
    const bool finite_force = n >= n_forces || std::isfinite(f[0] + f[1] + f[2]);
    const bool has_energy = energies && n < query.n_selected;
    const bool finite_energy = !has_energy || std::isfinite(energies[n]);
    if (finite_force && finite_energy) continue;
    const int i = data->nodes->atoms()[n];
    throw std::runtime_error(
        std::string("expected finite ") + (finite_energy ? "forces" : "energies") +
        " from the model, got nan or infinity for atom " + std::to_string(atom->tag[i]) + " (" +
        data->model->queries().type_name(query.types[n]) + ")" + when);
  }
  if (!std::isfinite(step.energy.data[0]))
    throw std::runtime_error("expected a finite energy from the model, got nan or infinity" + when);
}

// The mean of direct forces, over the atoms of the model on all ranks: they do not add up to zero,
// and would push the whole system.
void PairMetatomic::find_mean_force()
{
  StepState &step = data->step;
  step.mean_force = {};
  if (data->settings.forces.empty()) return;
  std::array<double, 4> mine = {}, all;  // x, y, z, and the number of atoms
  const int n_selected = step.results.empty() ? 0 : step.query.n_selected;
  for (int n = 0; n < n_selected; n++)
    for (int k = 0; k < 3; k++) mine[k] += step.forces.data[3 * n + k];
  mine[3] = n_selected;
  MPI_Allreduce(mine.data(), all.data(), 4, MPI_DOUBLE, MPI_SUM, world);
  for (int k = 0; k < 3 && all[3] > 0; k++) step.mean_force[k] = all[k] / all[3];
}

void PairMetatomic::add_results()
{
  const StepState &step = data->step;
  const double scale = data->settings.options.scale;
  const auto &atoms = data->nodes->atoms();
  const int n_selected = step.query.n_selected;
  // those on ghosts go home in the reverse communication; direct forces are those of the selected
  // atoms
  const int n_forces = data->settings.forces.empty() ? step.query.n_atoms : n_selected;
  for (int n = 0; n < n_forces; n++)
    for (int k = 0; k < 3; k++)
      atom->f[atoms[n]][k] += scale * (step.forces.data[3 * n + k] - step.mean_force[k]);
  if (eflag_global) eng_vdwl += scale * step.energy.data[0];
  for (int n = 0; n < n_selected && eflag_atom; n++)
    eatom[atoms[n]] += scale * step.atomic_energies.data[n];
  if (vflag_global) {
    const double *matrix = step.values("virial");
    for (int k = 0; k < 6; k++) virial[k] += scale * symmetric_component(matrix, k);
  }
  if (vflag_atom || cvflag_atom) add_atomic_virials();
}

void PairMetatomic::add_atomic_virials()
{
  const double scale = data->settings.options.scale;
  const double *matrix = data->step.values("atomic_virials");
  for (int i : data->nodes->atoms()) {
    for (int k = 0; k < 6 && vflag_atom; k++) vatom[i][k] += scale * symmetric_component(matrix, k);
    for (int k = 0; k < 9 && cvflag_atom; k++) cvatom[i][k] += scale * component(matrix, k);
    matrix += 9;
  }
}

void PairMetatomic::store_outputs()
{
  const StepState &step = data->step;
  for (auto &item : data->atom_outputs) {
    AtomOutput &output = item.second;
    if (!output.users.any()) continue;
    output.make_room(atom->nmax);
    std::fill(output.values.begin(), output.values.end(), 0.0);
    const double *values = step.values(output.result);
    for (int n = 0; values && n < step.query.n_selected; n++)
      std::copy_n(values + n * output.columns, output.columns,
                  output.rows[data->nodes->atoms()[n]]);
  }
}

void PairMetatomic::store_system_outputs()
{
  if (!eflag_global) return;
  double *out = pvector;
  for (const auto &output : data->settings.system_outputs) {
    auto apart = data->step.apart.find(output.name);
    const double *values = apart != data->step.apart.end() ? apart->second.data()
                                                           : data->step.values(output.result);
    std::fill(out, out + output.n_values, 0.0);
    if (values) std::copy_n(values, output.n_values, out);
    out += output.n_values;
  }
}

void PairMetatomic::warn_uncertain()
{
  const Settings &s = data->settings;
  if (s.uncertainty.empty()) return;
  struct {
    double value;
    int rank;
  } mine = {0.0, comm->me}, largest;
  tagint where = 0;
  const double *values = data->step.values(s.uncertainty);
  for (int n = 0; values && n < data->step.query.n_selected; n++)
    if (values[n] > mine.value) {
      mine.value = values[n];
      where = atom->tag[data->nodes->atoms()[n]];
    }
  MPI_Allreduce(&mine, &largest, 1, MPI_DOUBLE_INT, MPI_MAXLOC, world);
  if (largest.value <= s.threshold) return;
  MPI_Bcast(&where, 1, MPI_LMP_TAGINT, largest.rank, world);
  if (comm->me == 0)
    error->warning(FLERR,
                   "expected energy uncertainties below {:.4g} for each atom, got {:.4g} for atom "
                   "{} at step {}",
                   s.threshold, largest.value, where, update->ntimestep);
}
