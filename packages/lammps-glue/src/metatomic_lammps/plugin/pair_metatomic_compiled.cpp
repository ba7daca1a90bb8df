// The pair style with compiled code: whether there is some, whether it can do what a run asks for,
// and its time steps.

#include "pair_metatomic.h"

#include "pair_metatomic_data.h"

#include "atom.h"
#include "comm.h"
#include "domain.h"
#include "error.h"
#include "update.h"
#include "utils.h"

#include <cmath>
#include <stdexcept>

using namespace LAMMPS_NS;
using namespace metatomic;

static metatomic::CompiledUnits compiled_units(const Settings &settings,
                                               const metatomic::ModelQueries &queries)
{
  metatomic::CompiledUnits units;
  if (queries.length_in_angstrom)
    units.length = 1.0 / (*queries.length_in_angstrom * settings.units.per_angstrom);
  auto found = queries.energies_in_ev.find(settings.energy);
  if (found == queries.energies_in_ev.end())
    throw std::runtime_error("expected the unit of '" + settings.energy +
                             "' in the header of the model file, got none; save the model again");
  if (found->second) units.energy = *found->second * settings.units.per_ev;
  return units;
}

// Look for compiled code, unless only TorchScript is wanted, and load that where there is none.
// All ranks run the same.
void PairMetatomic::load_kernel(Data &d)
{
  Settings &s = d.settings;
  const std::string &word = s.options.kernel;
  std::string reason;
  if (word != "script") {
    try {
      const auto &queries = d.model->queries();
      if (d.model->device() != "cpu")
        throw std::runtime_error("expected the device cpu for compiled code in LAMMPS, got '" +
                                 d.model->device() + "'; use `device cpu`");
      // on one rank all nodes are local atoms
      const auto &program = metatomic::program_for(queries, s.energy, comm->nprocs > 1);
      s.compiled_units = compiled_units(s, queries);
      const auto package =
          metatomic::find_package(metatomic::kernels_folder(),
                                  {program.sha256, "cpu", queries.dtype, METATOMIC_TORCH_VERSION});
      d.compiled = metatomic::Compiled::load(package, static_cast<int>(queries.lists.size()));
      s.march = package.march;
    } catch (const std::exception &error) {
      reason = metatomic::message(error);
    }
    s.no_compiled = first_problem(reason);
    if (!s.no_compiled.empty()) d.compiled.reset();
    if (word == "compiled") agree(s.no_compiled);
  }
  if (d.compiled) return;
  std::string problem;
  try {
    d.model->load_script();
  } catch (const std::exception &error) {
    problem = metatomic::message(error);
  }
  agree(problem);
}

// What of a run compiled code can not do; empty if nothing.
static std::string beyond_compiled(const Settings &s, const RunState &run,
                                   const std::map<std::string, metatomic::AtomOutput> &outputs)
{
  if (!s.forces.empty() || !s.stress.empty()) return "non-conservative forces";
  if (s.options.check_consistency) return "checks of consistency";
  if (!run.inputs.empty()) return "the input '" + run.inputs[0].name + "'";
  if (!s.uncertainty.empty())
    return "uncertainties in each step, which `uncertainty_threshold off` switches off";
  for (const auto &output : s.system_outputs)
    if (output.name != s.energy) return "the output '" + output.name + "'";
  for (const auto &output : outputs)
    if (output.first != s.energy) return "the output '" + output.first + "'";
  return "";
}

// For this run: compiled code, or TorchScript.  The settings are the same on all ranks.
void PairMetatomic::choose_kernel()
{
  Data &d = *data;
  Settings &s = d.settings;
  std::string reason = s.no_compiled;
  if (d.compiled) {
    const std::string beyond = beyond_compiled(s, d.run, d.atom_outputs);
    if (!beyond.empty())
      reason = "expected energies, forces and virials from compiled code, got " + beyond +
          "; use `kernel script`";
    if (!beyond.empty() && s.options.kernel == "compiled") error->all(FLERR, reason);
    d.run.compiled = beyond.empty();
  }
  std::string problem;
  if (!d.run.compiled) {
    try {
      d.model->load_script();
    } catch (const std::exception &error) {
      problem = metatomic::message(error);
    }
    agree(problem);
  }
  std::string told = "Kernel of pair style metatomic: ";
  told += d.run.compiled ? "compiled (" + s.march + ")" : "script";
  if (!d.run.compiled && !reason.empty()) told += "; " + reason;
  if (comm->me == 0 && told != s.told_kernel) utils::logmesg(lmp, "{}\n", told);
  s.told_kernel = told;
}

// A step, up to the forces; what else is asked for is made of dE/dvectors afterwards.
void PairMetatomic::evaluate_compiled()
{
  Data &d = *data;
  StepState &step = d.step;
  metatomic::Compiled &compiled = *d.compiled;
  const std::string when = " at step " + std::to_string(update->ntimestep);
  {
    metatomic::Timer timer(d.profile, "pairs");
    // TorchScript checks its input by itself
    for (int i : d.nodes->atoms())
      if (!std::isfinite(atom->x[i][0] + atom->x[i][1] + atom->x[i][2]))
        throw std::runtime_error("expected finite positions, got nan or infinity for atom " +
                                 std::to_string(atom->tag[i]) + when);
    compiled.find_pairs(*d.nodes, d.candidates, d.run.lists, atom->x, d.settings.compiled_units);
  }
  {
    metatomic::Timer timer(d.profile, "compiled");
    metatomic::Surroundings surroundings;
    const auto &query = step.query;
    if (compiled.reads("positions") || compiled.reads("cell") || compiled.reads("pbc")) {
      fill_structure();
      surroundings = {query.positions.data(), query.cell, query.pbc};
    }
    compiled.run(*d.nodes, surroundings, d.settings.compiled_units);
  }
  metatomic::Timer timer(d.profile, "scatter");
  step.compiled_energy = compiled.energy();
  step.results["energy"] = {&step.compiled_energy, 1, 1};
  if (const double *energies = compiled.atomic_energies())
    step.results["atomic_energies"] = {energies, d.nodes->n_local(), 1};
  const int problem = compiled.add_forces(d.settings.options.scale, atom->f);
  if (problem >= 0)
    throw std::runtime_error(
        "expected finite forces from the model, got nan or infinity for atom " +
        std::to_string(atom->tag[problem]) + " (" +
        d.model->queries().type_name(d.settings.atomic_types[atom->type[problem]]) + ")" + when);
  if (!std::isfinite(step.compiled_energy))
    throw std::runtime_error("expected a finite energy from the model, got nan or infinity" + when);
  if (eflag_atom && !compiled.atomic_energies())
    throw std::runtime_error(
        "expected a model with energies of atoms for per-atom energy, got one with a total energy");
}

void PairMetatomic::add_compiled_results()
{
  Data &d = *data;
  const double scale = d.settings.options.scale;
  const auto &atoms = d.nodes->atoms();
  if (eflag_global) eng_vdwl += scale * d.step.compiled_energy;
  for (int n = 0; n < d.nodes->n_local() && eflag_atom; n++)
    eatom[atoms[n]] += scale * d.compiled->atomic_energies()[n];
  if (vflag_global) {
    double matrix[9];
    d.compiled->virial(matrix);
    for (int k = 0; k < 6; k++) virial[k] += scale * metatomic::symmetric_component(matrix, k);
  }
  if (!vflag_atom && !cvflag_atom) return;
  d.compiled->atomic_virials([&](int i, const double *matrix) {
    for (int k = 0; k < 6 && vflag_atom; k++)
      vatom[i][k] += scale * metatomic::symmetric_component(matrix, k);
    for (int k = 0; k < 9 && cvflag_atom; k++)
      cvatom[i][k] += scale * metatomic::component(matrix, k);
  });
}
