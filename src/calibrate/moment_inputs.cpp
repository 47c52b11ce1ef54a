#include "calibrate/moment_inputs.hpp"

#include <algorithm>
#include <memory>

#include "base/digest.hpp"
#include "base/events.hpp"
#include "base/str.hpp"
#include "model/roles.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

std::span<const float> values_of(Matrix<const float> rows) {
  return {rows.data, static_cast<size_t>(rows.rows * rows.cols)};
}

/// What one weight tensor was shown in a chunk.
struct Sight {
  Sight(const infer::Weight& of, int shown) : weight(of), stage(shown) {}
  const infer::Weight& weight;
  int stage;
  Hasher hasher{};
};

}  // namespace

std::vector<MomentInput> find_inputs(ChunkRunner& runner, const infer::Model& model) {
  std::vector<std::unique_ptr<Sight>> sights;
  std::map<const infer::Weight*, Sight*> sight_of;
  check_cancelled();
  TextSweep first = runner.sweep(0, 1);
  const auto look = [&](int64_t, const infer::Weight& weight, int64_t mat, Matrix<const float> rows) {
    const Tensor* tensor = model.source().find(weight.name);
    if (!tensor || !is_quantizable(*tensor)) return;
    Sight*& sight = sight_of[&weight];
    if (!sight) sight = sights.emplace_back(std::make_unique<Sight>(weight, first.stage())).get();
    sight->hasher.add(static_cast<uint64_t>(mat)).add_array<float>(values_of(rows));
  };
  while (!first.ended()) first.show(look);
  std::vector<MomentInput> inputs;
  std::map<std::pair<int, Digest>, size_t> known;  // by block and contents
  for (const auto& sight : sights) {
    const infer::Weight& w = sight->weight;
    const auto [at, fresh] = known.try_emplace({layer_of(w.name), sight->hasher.finish()}, inputs.size());
    if (fresh) inputs.push_back({w.name, {}, w.cols, w.matrices, sight->stage});
    inputs[at->second].tensors.push_back(w.name);
  }
  return inputs;
}

std::vector<std::vector<MomentSums>> cut_into_passes(const std::vector<MomentInput>& inputs, int64_t done,
                                                     int64_t memory_bytes) {
  std::vector<std::vector<MomentSums>> passes;
  int64_t room = 0;
  for (const MomentInput& input : inputs) {
    int64_t mat = std::min(done, input.mats);
    done -= mat;
    while (mat < input.mats) {
      if (room < input.matrix_bytes()) {
        passes.emplace_back();
        room = std::max(memory_bytes, input.matrix_bytes());
      }
      const int64_t count = std::min(input.mats - mat, room / input.matrix_bytes());
      passes.back().push_back({input.name, input.dim, mat, count});
      room -= count * input.matrix_bytes();
      mat += count;
    }
  }
  return passes;
}

MomentCollector::MomentCollector(const std::vector<MomentInput>& inputs, std::vector<MomentSums>& sums) {
  for (MomentSums& s : sums) sums_of_.emplace(s.input, &s);
  for (const MomentInput& input : inputs)
    for (const std::string& tensor : input.tensors) input_of_.emplace(tensor, &input);
}

MomentSums* MomentCollector::find(const std::string& input, int64_t mat) {
  const auto [begin, end] = sums_of_.equal_range(input);
  for (auto at = begin; at != end; ++at)
    if (MomentSums* sums = at->second; mat >= sums->first && mat < sums->first + sums->mats) return sums;
  return nullptr;
}

bool MomentCollector::wants(std::string_view tensor, int64_t mat) {
  const auto input = input_of_.find(tensor);
  return input != input_of_.end() && find(input->second->name, mat);
}

void MomentCollector::add(std::string_view tensor, int64_t mat, Matrix<const float> rows) {
  const auto input = input_of_.find(tensor);
  if (input == input_of_.end()) return;
  const MomentInput& shared = *input->second;
  MomentSums* sums = find(shared.name, mat);
  if (!sums) return;
  if (shared.tensors.size() > 1) {
    const Digest digest = Hasher{}.add_array<float>(values_of(rows)).finish();
    const auto [seen, fresh] = seen_.try_emplace({shared.name, mat}, digest);
    if (!fresh && seen->second != digest)
      throw Error{str("'", tensor, "' and '", shared.name, "' read the same input at first, then not"),
                  "", "collect without second moments"};
    if (!fresh) return;
  }
  sums->add(mat, rows);
}

}  // namespace snug
