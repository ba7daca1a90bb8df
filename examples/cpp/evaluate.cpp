// Energy, forces and virial of an exported model, from C++ with libtorch only:
//
//     evaluate MODEL STRUCTURE LIBRARY...
//
// The libraries are libmetatensor and libmetatensor_torch, and any TorchScript extensions of the model. The structure
// is a text file in angstrom: number of atoms; three lines with a cell vector and 1 or 0 for periodic or not; one line
// with type and position for each atom. See docs/engines/cpp.rst for the interface that this uses.

#include <dlfcn.h>
#include <torch/csrc/jit/python/update_graph_executor_opt.h>
#include <torch/csrc/jit/runtime/jit_exception.h>
#include <torch/script.h>

#include <fstream>
#include <iostream>

using Strings = c10::Dict<std::string, std::string>;
using Structure = c10::Dict<std::string, torch::Tensor>;

static Structure read_structure(const std::string &path) {
    std::ifstream file(path);
    int64_t n_atoms = 0;
    file >> n_atoms;
    auto types = torch::zeros({n_atoms}, torch::kInt64);
    auto positions = torch::zeros({n_atoms, 3}, torch::kFloat64), cell = torch::zeros({3, 3}, torch::kFloat64);
    auto pbc = torch::zeros({3}, torch::kBool);
    for (int64_t k = 0; k < 3; k++) {
        for (int64_t d = 0; d < 3; d++) file >> cell.accessor<double, 2>()[k][d];
        file >> pbc.accessor<bool, 1>()[k];
    }
    for (int64_t i = 0; i < n_atoms; i++) {
        file >> types.accessor<int64_t, 1>()[i];
        for (int64_t d = 0; d < 3; d++) file >> positions.accessor<double, 2>()[i][d];
    }
    if (!file || n_atoms < 1) throw std::runtime_error("expected a structure, got an unreadable file: " + path);
    Structure structure;
    structure.insert("types", types);
    structure.insert("positions", positions);
    structure.insert("cell", cell * pbc.unsqueeze(1));
    structure.insert("pbc", pbc);
    return structure;
}

// All pairs within the cutoff, shape (n_pairs, 5): first atom, second atom, cell shifts. Simple and slow: all atoms
// with all images that can be near. An engine has something better.
static torch::Tensor find_pairs(const Structure &structure, double cutoff, bool full_list) {
    auto positions = structure.at("positions"), cell = structure.at("cell");
    // column k is perpendicular to all other cell vectors, and one over the distance of two cell planes long
    auto reciprocal = torch::linalg_pinv(cell);
    auto fractions = positions.matmul(reciprocal);
    auto spread = std::get<0>(fractions.max(0)) - std::get<0>(fractions.min(0));
    auto images = (cutoff * reciprocal.norm(2, 0) + spread).ceil().to(torch::kInt64);
    std::vector<torch::Tensor> found;
    auto n = images.accessor<int64_t, 1>();
    for (int64_t a = -n[0]; a <= n[0]; a++)
        for (int64_t b = -n[1]; b <= n[1]; b++)
            for (int64_t c = -n[2]; c <= n[2]; c++) {
                bool again = a < 0 || (a == 0 && (b < 0 || (b == 0 && c < 0)));  // the other way round than another one
                if (again && !full_list) continue;
                auto shift = torch::tensor({a, b, c});
                auto image = positions + shift.to(torch::kFloat64).matmul(cell);
                auto near = (image.unsqueeze(0) - positions.unsqueeze(1)).norm(2, 2) <= cutoff;
                if (a == 0 && b == 0 && c == 0) near = full_list ? near.fill_diagonal_(false) : near.triu(1);
                auto atoms = near.nonzero();
                found.push_back(torch::cat({atoms, shift.expand({atoms.size(0), 3})}, 1));
            }
    return torch::cat(found).contiguous();
}

static void print(const std::string &name, const torch::Tensor &values) {
    // a model may give anything, and a simulation would go on with it
    if (!torch::isfinite(values).all().item<bool>())
        throw std::runtime_error("expected finite values of " + name + " from the model, got nan or infinity");
    auto rows = values.to(torch::kCPU).reshape({-1, values.dim() > 1 ? 3 : 1});
    std::cout << name << "\n";
    for (int64_t i = 0; i < rows.size(0); i++)
        for (int64_t d = 0; d < rows.size(1); d++)
            std::cout << rows[i][d].item<double>() << (d + 1 == rows.size(1) ? "\n" : " ");
}

static void run(const std::vector<std::string> &arguments) {
    if (arguments.size() < 3) throw std::runtime_error("expected MODEL STRUCTURE LIBRARY..., got fewer arguments");
    for (size_t i = 2; i < arguments.size(); i++)
        if (!dlopen(arguments[i].c_str(), RTLD_NOW | RTLD_GLOBAL)) throw std::runtime_error(dlerror());
    torch::jit::setGraphExecutorOptimize(false);
    auto model = torch::jit::load(arguments[0], torch::kCPU);
    c10::List<Structure> structures({read_structure(arguments[1])});
    c10::List<torch::Tensor> lists;
    auto requests = model.run_method("pair_requests", "angstrom");
    for (const auto &request : requests.toListRef()) {
        const auto &elements = request.toTupleRef().elements();
        lists.push_back(find_pairs(structures.get(0), elements[0].toDouble(), elements[1].toBool()));
    }
    c10::List<c10::List<torch::Tensor>> pairs({lists});
    Strings request, outputs, engine;
    for (auto name : {"energy", "forces", "virial"}) request.insert(name, "energy");
    engine.insert("length", "angstrom");
    engine.insert("energy", "eV");
    c10::Dict<std::string, Strings> units;
    units.insert("engine", engine);
    bool check_consistency = true;
    auto answer = model.run_method(
        "evaluate", structures, pairs, torch::jit::IValue(), request, outputs, units, check_consistency
    );
    auto results = answer.toTupleRef().elements()[0].toGenericDict();
    std::cout.precision(15);
    std::cout << std::scientific;
    for (auto name : {"energy", "forces", "virial"}) print(name, results.at(name).toTensor());
}

// The first or the last line that is not empty.
static std::string line_of(std::string text, bool last) {
    text.erase(text.find_last_not_of(" \n") + 1);
    text.erase(0, text.find_first_not_of(" \n"));
    return last ? text.substr(text.rfind('\n') + 1) : text.substr(0, text.find('\n'));
}

// What went wrong, in one line: errors of a running model end in their message, after the code that raised it; errors
// of loading begin with it.
static std::string message_of(const std::exception &error) {
    auto raised = dynamic_cast<const torch::jit::JITException *>(&error);
    if (raised != nullptr && raised->getOriginalMsg()) return *raised->getOriginalMsg();
    auto torch_error = dynamic_cast<const c10::Error *>(&error);
    if (torch_error != nullptr) return line_of(torch_error->what_without_backtrace(), false);
    return line_of(error.what(), dynamic_cast<const std::runtime_error *>(&error) != nullptr);
}

int main(int argc, char **argv) {
    try {
        run({argv + 1, argv + argc});
    } catch (const std::exception &error) {
        std::cerr << "error: " << message_of(error) << "\n";
        return 1;
    }
    return 0;
}
