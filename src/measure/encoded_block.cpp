#include "measure/encoded_block.hpp"

#include <algorithm>
#include <span>
#include <utility>

#include "base/events.hpp"
#include "base/memory.hpp"
#include "infer/session.hpp"
#include "infer/weight_reads.hpp"
#include "model/roles.hpp"

namespace snug {

void EncodedBlock::add(const infer::Model& model, const Encoded& tensor, int64_t& in_memory) {
  const auto bytes = std::ssize(tensor.data);
  const bool fits = in_memory + bytes <= memory_for(MemoryUse::hidden_states) / 2;
  const std::span<std::byte> kept = tensors.emplace_back(bytes, fits).bytes();
  std::ranges::copy(tensor.data, kept.begin());
  if (fits) in_memory += bytes;
  all.insert_or_assign(model.find(tensor.tensor), infer::stand_in(model, tensor.tensor, *tensor.format, kept));
}

EncodedBlock encode_block(const infer::Model& model, const TensorFormats& formats, const Encode& encode, int block,
                          int64_t& in_memory) {
  EncodedBlock result;
  for (const auto& [name, format] : formats) {
    if (layer_of(name) != block) continue;
    check_cancelled();
    result.add(model, encode(*model.source().find(name), *find_format(format)), in_memory);
  }
  return result;
}

RecipeBlocks::RecipeBlocks(const infer::Model& model, TensorFormats formats, Encode encode)
    : model_{model}, formats_{std::move(formats)}, encode_{std::move(encode)} {
  for (int block = 0; block < model.layers(); ++block) {
    if (!model.architecture().lends(block)) continue;
    kept_.push_back(encode_block(model_, formats_, encode_, block, in_memory_));
    lent_.insert(kept_.back().all.begin(), kept_.back().all.end());
  }
  kept_.push_back(encode_block(model_, formats_, encode_, infer::WeightReads::kOutside, in_memory_));
  outside_ = kept_.back().all;
}

const infer::Replacements& RecipeBlocks::of(int block) {
  if (block == infer::WeightReads::kOutside) return outside_;
  if (model_.architecture().lends(block)) return lent_;
  present_ = {};  // which goes before the next comes
  int64_t in_memory = in_memory_;
  present_ = encode_block(model_, formats_, encode_, block, in_memory);
  present_.all.insert(lent_.begin(), lent_.end());
  return present_.all;
}

}  // namespace snug
