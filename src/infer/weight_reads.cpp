#include "infer/weight_reads.hpp"

#include <algorithm>

#include "base/events.hpp"
#include "base/files/mapped_file.hpp"
#include "base/memory.hpp"
#include "base/read_counter.hpp"
#include "base/str.hpp"
#include "base/units.hpp"
#include "model/roles.hpp"

namespace snug::infer {

WeightReads::WeightReads(const Model& model)
    : source_{model.source()},
      tensors_(static_cast<size_t>(model.layers()) + 1),
      lets_go_{!stays_in_memory(source_.bytes())} {
  for (const Tensor& tensor : source_.tensors())
    if (const int block = layer_of(tensor.name); block < model.layers())
      tensors_[static_cast<size_t>(block + 1)].push_back(&tensor);
}

const std::vector<const Tensor*>& WeightReads::tensors_of(int block) const {
  static const std::vector<const Tensor*> none;
  const auto i = static_cast<size_t>(block + 1);
  return i < tensors_.size() ? tensors_[i] : none;
}

void WeightReads::will_need(int block) const {
  if (!lets_go_) return;
  for (const Tensor* tensor : tensors_of(block)) MappedFile::will_need(tensor->contiguous());
}

void WeightReads::done_with(int block) {
  for (const Tensor* tensor : tensors_of(block)) {
    bytes_ += tensor->bytes();
    if (lets_go_) tensor->done_with();
  }
}

double WeightReads::times() const {
  int64_t all = 0;
  for (const auto& tensors : tensors_)
    for (const Tensor* tensor : tensors) all += tensor->bytes();
  return all > 0 ? static_cast<double>(bytes_) / static_cast<double>(all) : 0;
}

void WeightReads::tell(std::string_view stage) const {
  if (!lets_go_) return;
  count_read(stage, bytes_);
  log_line(str(stage, " read the weights ", fixed(times(), 1), " times, ", show_size(bytes_), " in all"));
}

}  // namespace snug::infer
