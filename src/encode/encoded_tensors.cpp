#include "encode/encoded_tensors.hpp"

#include <cstring>
#include <iterator>

#include "base/aligned.hpp"
#include "base/parallel.hpp"

namespace snug {

EncodedTensors::Held EncodedTensors::find(const Key& key) {
  const auto place = places_.find(key);
  if (place == places_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, place->second);
  return entries_.front().tensor;
}

EncodedTensors::Held EncodedTensors::add(const Key& key, Encoded tensor) {
  entries_.push_front({key, std::make_shared<const Encoded>(std::move(tensor))});
  places_.insert_or_assign(key, entries_.begin());
  return entries_.front().tensor;
}

void EncodedTensors::keep_within(int64_t bytes) {
  for (auto entry = entries_.begin(); entry != entries_.end();) {
    const auto next = std::next(entry);
    if (entry->tensor.use_count() == 1 && (bytes -= std::ssize(entry->tensor->data)) < 0) {
      places_.erase(entry->key);
      entries_.erase(entry);
    }
    entry = next;
  }
}

void EncodedTensors::forget_feedback() {
  std::erase_if(places_, [](const auto& place) { return place.first.feedback; });
  std::erase_if(entries_, [](const Entry& entry) { return entry.key.feedback; });
}

Encoded decoded(const Encoded& tensor, int64_t cols) {
  constexpr int64_t kGrain = 64;  // rows to a task
  const int64_t row_bytes = tensor.format->row_bytes(cols), rows = std::ssize(tensor.data) / row_bytes;
  Encoded plain{tensor.tensor, find_format(FormatId::f32), {}, tensor.rho};
  plain.data.resize(static_cast<size_t>(rows * cols) * sizeof(float));
  parallel_for(
      rows,
      [&](int64_t r) {
        FloatRow values(static_cast<size_t>(cols));
        tensor.format->decode(tensor.data.data() + r * row_bytes, values);
        std::memcpy(plain.data.data() + static_cast<size_t>(r * cols) * sizeof(float), values.data(),
                    values.size() * sizeof(float));
      },
      kGrain);
  return plain;
}

}  // namespace snug
