#include "measure/measure.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/events.hpp"
#include "base/memory.hpp"
#include "base/parallel.hpp"
#include "base/progress.hpp"
#include "base/str.hpp"
#include "encode/candidates.hpp"
#include "measure/alpha_prior.hpp"
#include "measure/tensor_measurer.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

/// Tensors of one shard: heaviest first, each to the lightest shard so far. Indices into `tensors`, ascending.
std::vector<size_t> shard_of(const std::vector<const Tensor*>& tensors, int shard, int shards) {
  std::vector<size_t> by_bytes(tensors.size());
  std::iota(by_bytes.begin(), by_bytes.end(), size_t{0});
  std::ranges::stable_sort(by_bytes, std::ranges::greater{}, [&](size_t i) { return static_cast<size_t>(tensors[i]->bytes()); });
  std::vector<size_t> load(static_cast<size_t>(shards)), mine;
  for (const size_t i : by_bytes) {
    const auto lightest = std::ranges::min_element(load);
    *lightest += static_cast<size_t>(tensors[i]->bytes());
    if (lightest - load.begin() == shard) mine.push_back(i);
  }
  std::ranges::sort(mine);
  return mine;
}

ProfiledTensor profile_tensor(const Tensor& tensor, const ModelShape& shape, bool weighted,
                              const std::vector<Measurement>& measurements) {
  const Role role = role_of(tensor.name);
  ProfiledTensor profiled{.name = std::string(tensor.name), .role = std::string(role_name(role)),
                          .layer = layer_of(tensor.name), .cols = tensor.cols(), .rows = tensor.rows(),
                          .experts = tensor.experts(), .source = tensor.format,
                          .alpha = alpha_prior(role, layer_of(tensor.name), shape), .alpha_error = 0, .alpha_from = "prior",
                          .energy = 0, .weighted = weighted, .candidates = {}};
  for (const Measurement& m : measurements) {
    const Format& format = *find_format(m.format);
    profiled.energy = std::max(profiled.energy, m.mean_energy * static_cast<double>(m.rows));
    profiled.candidates.push_back({m.format, format.row_bytes(tensor.cols()) * tensor.rows(), m.relative_error,
                                   m.standard_error, pico_nats(profiled.alpha * m.relative_error)});
  }
  std::ranges::stable_sort(profiled.candidates, {}, &Candidate::bytes);
  return profiled;
}

std::string digest_of_measurements(const std::vector<std::vector<Measurement>>& all) {
  Hasher hasher;
  for (const auto& tensor : all)
    for (const Measurement& m : tensor) hasher.add(to_payload(m));
  return hasher.finish().hex();
}

/// The tensors to measure; the others go to profile.fixed.
std::vector<const Tensor*> sort_out(const ModelSource& model, const MeasureOptions& options, Profile& profile) {
  std::vector<const Tensor*> quantizable;
  for (const Tensor& tensor : model.tensors()) {
    if (is_quantizable(tensor)) {
      check_source(tensor, model.path(), options.allow_requantize);
      quantizable.push_back(&tensor);
    } else {
      profile.fixed.push_back({std::string(tensor.name), tensor.format, tensor.weights(),
                               tensor.bytes()});
    }
  }
  if (quantizable.empty()) throw Error{"the model has no tensor to quantize", model.path().string(), "is it a whole model?"};
  return quantizable;
}

void fill_report(MeasureReport* report, const MeasureCounters& counters, double seconds) {
  if (!report) return;
  *report = {counters.measured, counters.reused, counters.rows, counters.weights, seconds, {}};
  for (const auto& [id, nanoseconds] : counters.nanoseconds)
    if (nanoseconds > 0) report->format_nanoseconds.emplace_back(format_name(id), nanoseconds);
}

}  // namespace

Profile measure(const ModelSource& model, const Importance* importance, Store& state, const MeasureOptions& options,
                MeasureReport* report) {
  const auto start = std::chrono::steady_clock::now();
  const std::vector<const Format*> wanted = wanted_formats(options.formats, options.runtime);
  Profile profile;
  const std::vector<const Tensor*> quantizable = sort_out(model, options, profile);
  const std::vector<size_t> mine = shard_of(quantizable, options.shard, options.shards);
  MeasureCounters counters;
  for (const Format& format : all_formats()) counters.nanoseconds[format.id] = 0;
  int64_t bytes = 0;
  for (const size_t i : mine) bytes += quantizable[i]->bytes();

  std::vector<std::vector<Measurement>> results(mine.size());
  const bool lets_go = !stays_in_memory(model.bytes());
  {
    Progress progress{"measuring", bytes, Progress::Unit::bytes};
    parallel_for(static_cast<int64_t>(mine.size()), [&](int64_t i) {
      if (cancelled()) return;
      const Tensor& tensor = *quantizable[mine[static_cast<size_t>(i)]];
      const TensorImportance* columns = importance ? importance->find(tensor.name) : nullptr;
      TensorMeasurer measurer{tensor, columns, candidates_of(tensor, wanted), {options.precision, options.effort}};
      results[static_cast<size_t>(i)] = measurer.run(state, counters);
      if (lets_go) tensor.done_with();
      if (measurer.all_known())
        progress.advance_known(tensor.bytes());
      else
        progress.advance(tensor.bytes(), std::string(tensor.name));
    });
  }
  check_cancelled();

  const ModelShape shape = shape_of(model);
  for (size_t i = 0; i < mine.size(); ++i) {
    const Tensor& tensor = *quantizable[mine[i]];
    profile.tensors.push_back(
        profile_tensor(tensor, shape, importance && importance->find(tensor.name), results[i]));
  }
  profile.model_digest = model.shape_digest().hex();
  if (importance) profile.imatrix_digest = importance_digest(*importance);
  profile.state_digest = digest_of_measurements(results);
  fill_report(report, counters, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  return profile;
}

Profile unmeasured_profile(const ModelSource& model, const MeasureOptions& options) {
  const std::vector<const Format*> wanted = wanted_formats(options.formats, options.runtime);
  const ModelShape shape = shape_of(model);
  Profile profile;
  for (const Tensor* tensor : sort_out(model, options, profile)) {
    std::vector<Measurement> nothing;
    for (const Format* format : candidates_of(*tensor, wanted))
      nothing.push_back({std::string(tensor->name), format->id, 0, tensor->rows(), {}, 0, 0, 0});
    profile.tensors.push_back(profile_tensor(*tensor, shape, false, nothing));
  }
  profile.model_digest = model.shape_digest().hex();
  return profile;
}

}  // namespace snug
