/* -*- c++ -*- SPDX-License-Identifier: GPL-2.0-only

   UbiasModel in TorchScript. No other file of the styles includes torch.
*/

#include "ubias_model.h"

#include "model_file.h"

#include <ATen/Parallel.h>
#include <torch/cuda.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/script.h>

#include <dlfcn.h>
#include <exception>
#include <fstream>
#include <optional>
#include <stdexcept>

using namespace LAMMPS_NS;

namespace {

constexpr const char *METADATA_FILE = "pyubias.json";

// The last line of a TorchScript error holds its reason.

std::string last_line(const std::exception &e)
{
  const auto *torch_error = dynamic_cast<const c10::Error *>(&e);
  std::string text = torch_error ? torch_error->what_without_backtrace() : e.what();
  const auto cut = text.find("\nException raised from");
  if (cut != std::string::npos) text.resize(cut);
  const auto end = text.find_last_not_of(" \n\r\t");
  if (end == std::string::npos) return "unknown error";
  text.resize(end + 1);

  // except for a missing operator: there the last line quotes the code of the model

  const std::string unknown = "Unknown builtin op: ";
  const auto name = text.find(unknown);
  if (name != std::string::npos) {
    const auto first = name + unknown.size();
    const std::string op = text.substr(first, text.find_first_of(".\n", first) - first);
    return "it needs the operator " + op +
        ", which no loaded library has; export a portable model, or run 'pyubias doctor'";
  }
  return text.substr(text.rfind('\n') + 1);
}

template <typename Function> auto translate_errors(const std::string &doing, Function &&function)
{
  try {
    return function();
  } catch (const std::exception &e) {
    throw std::runtime_error(doing + ": " + last_line(e));
  }
}

// version of the torch that is loaded, from the version.py beside its library

std::string loaded_torch_version()
{
  Dl_info library;
  if (!dladdr((void *) &at::set_num_threads, &library)) return UBIAS_TORCH_VERSION;
  std::string folder = library.dli_fname;
  folder = folder.substr(0, folder.rfind('/') + 1);
  std::ifstream file(folder + "../version.py");
  for (std::string line; std::getline(file, line);)
    if (line.rfind("__version__", 0) == 0) {
      const auto first = line.find('\'') + 1;
      return line.substr(first, line.rfind('\'') - first);
    }
  return UBIAS_TORCH_VERSION;
}

class TorchModel : public UbiasModel {
 public:
  TorchModel(const std::string &path, const std::string &device_name, int node_rank,
             int n_threads) : device(find_device(device_name, node_rank))
  {
    at::set_num_threads(n_threads);

    torch::jit::ExtraFilesMap extra_files{{METADATA_FILE, ""}};
    bool verified = false;
    module = translate_errors("cannot read model '" + path + "'", [&] {
      verified = verify_checksum(path);
      return torch::jit::load(path, device, extra_files);
    });
    info = translate_errors("cannot use model '" + path + "'", [&] {
      UbiasMetadata metadata = parse_metadata(extra_files.at(METADATA_FILE), path);
      if (metadata.has_checksum && !verified)
        throw std::runtime_error("its checksum is gone, so the file was changed after it was "
                                 "written; copy or export the model again");
      return metadata;
    });
    module.eval();
    for (auto parameter : module.parameters()) parameter.set_requires_grad(false);
    energies_only = module.find_method("atomic_energies");
    gradients = module.find_method("gradients");
    evaluate = module.find_method("evaluate");
    total_gradient = module.find_method("total_uncertainty_gradient");
    if (!gradients || !evaluate || !total_gradient) gradients = evaluate = total_gradient = {};

    // A graph without atoms has results of the right shapes. With a wrong number of features in
    // the metadata, the first step would read memory that is not there.
    UbiasGraph nothing;
    forward(nothing, true);
  }

  const UbiasMetadata &metadata() const override { return info; }

  void forward(const UbiasGraph &graph, bool keep_features) override
  {
    translate_errors("model evaluation failed", [&] {
      torch::jit::GraphOptimizerEnabledGuard no_recompilation(false);

      // free the autograd graph of the step before
      features = edge_vectors = energy = state = energy_gradient_host = uncertainty_gradient_host =
          torch::Tensor();
      n_local = graph.n_local;
      edge_vectors = to_device(graph.edge_vectors.data(), {graph.n_edges, 3}, torch::kFloat64);
      edge_index = to_device(graph.edge_index.data(), {2, graph.n_edges}, torch::kInt64);
      types = to_device(graph.types.data(), {graph.n_all}, torch::kInt64);
      if (evaluate) {
        const auto result =
            (*evaluate)({edge_vectors, edge_index, types, n_local, keep_features}).toTuple();
        energy = result->elements()[0].toTensor();
        if (keep_features) features = result->elements()[1].toTensor().set_requires_grad(true);
        state = result->elements()[2].toTensor();
      } else {
        edge_vectors.set_requires_grad(true);
        if (energies_only && !keep_features) {
          energy = (*energies_only)({edge_vectors, edge_index, types, n_local}).toTensor();
        } else {
          const auto result =
              module.forward({edge_vectors, edge_index, types, n_local}).toGenericDict();
          energy = result.at("energies").toTensor();
          features = result.at("features").toTensor();
        }
      }
      check_shape("energies", energy, {n_local});
      if (features.defined()) check_shape("features", features, {n_local, info.n_features});
      energies_host = to_host(energy.detach());
    });
  }

  const double *energies() const override { return energies_host.data_ptr<double>(); }

  const double *energy_gradient() override
  {
    if (!energy_gradient_host.defined())
      translate_errors("energy gradient failed", [&] {
        if (evaluate)
          both_gradients(c10::IValue());
        else
          // the last gradient of a step: what the forward pass kept is freed on the way
          energy_gradient_host = to_host(gradient_of(energy.sum(), false));
      });
    return energy_gradient_host.data_ptr<double>();
  }

  const double *feature_sum() override
  {
    feature_sum_host = to_host(features.detach().sum(0));
    return feature_sum_host.data_ptr<double>();
  }

  const double *atomic_uncertainty() override
  {
    return translate_errors("atomic uncertainty failed", [&] {
      const torch::NoGradGuard no_gradient;
      atomic_host = to_host(atomic_of_features());
      return atomic_host.data_ptr<double>();
    });
  }

  double total_uncertainty(const double *sum, int64_t n_atoms) override
  {
    return translate_errors("total uncertainty failed", [&] {
      torch::jit::GraphOptimizerEnabledGuard no_recompilation(false);
      if (total_gradient) {
        const auto result =
            (*total_gradient)({to_device(sum, {info.n_features}, torch::kFloat64), n_atoms})
                .toTuple();
        const auto u = result->elements()[0].toTensor();
        check_shape("total_uncertainty_gradient[0]", u, {});
        feature_gradient = result->elements()[1].toTensor();
        check_shape("total_uncertainty_gradient[1]", feature_gradient, {info.n_features});
        return u.item<double>();
      }
      const auto input =
          to_device(sum, {info.n_features}, torch::kFloat64).clone().set_requires_grad(true);
      const auto u = module.get_method("total_uncertainty")({input, n_atoms}).toTensor();
      check_shape("total_uncertainty", u, {});
      feature_gradient = torch::autograd::grad({u}, {input})[0];
      return u.item<double>();
    });
  }

  // the gradient of sum_i c . phi_i with c = du/d(feature sum), which is the same on all ranks

  const double *total_uncertainty_gradient() override
  {
    return translate_errors("uncertainty gradient failed", [&] {
      if (evaluate)
        both_gradients(feature_gradient);
      else
        uncertainty_gradient_host =
            to_host(gradient_of(torch::mv(features, feature_gradient).sum(), true));
      return uncertainty_gradient_host.data_ptr<double>();
    });
  }

  const double *atomic_uncertainty_gradient() override
  {
    return translate_errors("uncertainty gradient failed", [&] {
      const auto sum = atomic_of_features().sum();
      if (evaluate)
        both_gradients(torch::autograd::grad({sum}, {features})[0]);
      else
        uncertainty_gradient_host = to_host(gradient_of(sum, true));
      return uncertainty_gradient_host.data_ptr<double>();
    });
  }

 private:
  torch::Device device;

  static torch::Device find_device(const std::string &name, int node_rank)
  {
    torch::Device device = translate_errors("device '" + name + "'", [&] {
      return torch::Device(name);
    });
    if (!device.is_cuda()) return device;
    const int n_devices = torch::cuda::is_available() ? (int) torch::cuda::device_count() : 0;
    if (n_devices == 0 || device.index() >= n_devices)
      throw std::runtime_error("device '" + name + "' asked for, but this torch sees " +
                               std::to_string(n_devices) + " CUDA device(s); use 'device cpu'");
    if (!device.has_index()) device.set_index(node_rank % n_devices);
    return device;
  }
  torch::jit::Module module;
  std::optional<torch::jit::Method> energies_only, evaluate, gradients,
      total_gradient;    // optional methods of the contract
  UbiasMetadata info;
  int64_t n_local = 0;

  // results for the graph of the last forward(); energy and features keep its autograd graph alive

  torch::Tensor edge_vectors, edge_index, types, energy, features, feature_gradient, state;
  torch::Tensor energies_host, energy_gradient_host, feature_sum_host, atomic_host,
      uncertainty_gradient_host;

  torch::Tensor to_device(const void *data, at::IntArrayRef shape, torch::Dtype dtype) const
  {
    return torch::from_blob(const_cast<void *>(data), shape, torch::TensorOptions(dtype))
        .to(device);
  }

  torch::Tensor atomic_of_features()
  {
    torch::jit::GraphOptimizerEnabledGuard no_recompilation(false);
    const auto u = module.get_method("atomic_uncertainty")({features}).toTensor();
    check_shape("atomic_uncertainty", u, {n_local});
    return u;
  }

  static torch::Tensor to_host(const torch::Tensor &t)
  {
    return t.to(torch::kCPU, torch::kFloat64).contiguous();
  }

  // both gradients in one pass of the model's own method

  void both_gradients(const c10::IValue &of_features)
  {
    const auto result =
        (*gradients)({edge_vectors, edge_index, types, n_local, state, of_features}).toTuple();
    energy_gradient_host = to_host(result->elements()[0].toTensor());
    uncertainty_gradient_host = to_host(result->elements()[1].toTensor());
    check_shape("gradients[0]", energy_gradient_host, edge_vectors.sizes());
    if (!of_features.isNone())
      check_shape("gradients[1]", uncertainty_gradient_host, edge_vectors.sizes());
  }

  // zero for a rank without edges, and for a term that does not depend on them

  torch::Tensor gradient_of(const torch::Tensor &scalar, bool keep_graph) const
  {
    if (!scalar.requires_grad()) return torch::zeros_like(edge_vectors);
    const auto g = torch::autograd::grad({scalar}, {edge_vectors}, {}, keep_graph,
                                         /*create_graph=*/false, /*allow_unused=*/true)[0];
    return g.defined() ? g : torch::zeros_like(edge_vectors);
  }

  static void check_shape(const char *name, const torch::Tensor &t, at::IntArrayRef wanted)
  {
    TORCH_CHECK(t.sizes() == wanted, name, " has shape ", t.sizes(), ", the contract wants ",
                wanted);
    TORCH_CHECK(t.dtype() == torch::kFloat64, name, " has dtype ", t.dtype(),
                ", the contract wants float64");
  }
};

}    // namespace

extern "C" __attribute__((visibility("default"))) UbiasModel *
ubias_load_model(const char *path, const char *device, int node_rank, int n_threads)
{
  const std::string found = loaded_torch_version();
  if (found != UBIAS_TORCH_VERSION)
    throw std::runtime_error("the plugin was built for torch " UBIAS_TORCH_VERSION ", found " +
                             found + "; run 'pyubias doctor'");
  return new TorchModel(path, device, node_rank, n_threads);
}
