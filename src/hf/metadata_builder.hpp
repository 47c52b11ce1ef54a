#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "snug/model.hpp"

namespace snug::hf {

/// Collects the keys and values of a model that is read from something else than GGUF, and owns their bytes.
/// A key that is set again keeps its place and takes the new value.
class MetadataBuilder {
 public:
  MetadataBuilder();

  /// The kind of the value is the kind of the key, as GGUF knows it: uint32_t and int32_t are two kinds.
  void set(std::string_view key, uint32_t value);
  void set(std::string_view key, int32_t value);
  void set(std::string_view key, uint64_t value);
  void set(std::string_view key, float value);
  void set(std::string_view key, bool value);
  void set(std::string_view key, std::string_view value);
  void set(std::string_view key, const char* value) { set(key, std::string_view{value}); }

  void set_array(std::string_view key, std::span<const std::string> values);
  void set_array(std::string_view key, std::span<const uint32_t> values);
  void set_array(std::string_view key, std::span<const int32_t> values);
  void set_array(std::string_view key, std::span<const float> values);
  void set_array(std::string_view key, const std::vector<bool>& values);

  bool has(std::string_view key) const;

  /// Everything collected so far, in the order of first setting. `where` names the file in messages.
  Metadata finish(std::string where) const;

  /// What the finished metadata points into: goes into ModelSource::Contents::storage.
  std::shared_ptr<const void> storage() const;

 private:
  struct Storage;

  void put(std::string_view key, MetadataValue value);
  template <class T>
  void put_numbers(std::string_view key, MetadataType element, std::span<const T> values);

  std::shared_ptr<Storage> storage_;
  std::vector<MetadataEntry> entries_;
};

}  // namespace snug::hf
