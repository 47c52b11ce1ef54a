#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "encode/encode_tensor.hpp"

namespace snug {

/// Whole tensors that are encoded once for all recipes that have them. For one thread.
class EncodedTensors {
 public:
  struct Key {
    std::string tensor;
    FormatId format{};
    bool feedback = false;  // encoded with it
    auto operator<=>(const Key&) const = default;
  };
  using Held = std::shared_ptr<const Encoded>;

  /// Null where it is not there.
  Held find(const Key& key);
  Held add(const Key& key, Encoded tensor);
  /// What nobody holds goes, what was asked for longest ago first, until so many bytes are left of it.
  void keep_within(int64_t bytes);
  /// What error feedback made, with other second moments than those to come.
  void forget_feedback();

 private:
  struct Entry {
    Key key;
    Held tensor;
  };
  std::list<Entry> entries_;  // last asked for first
  std::map<Key, std::list<Entry>::iterator> places_;
};

/// What the blocks decode to, in f32: the same numbers, without the work of decoding them whenever they are
/// multiplied.
Encoded decoded(const Encoded& tensor, int64_t cols);

}  // namespace snug
