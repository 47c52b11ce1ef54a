#include "hf/metadata_builder.hpp"

#include <algorithm>
#include <cstddef>
#include <deque>
#include <utility>

namespace snug::hf {

/// Deques: what was handed out stays where it is.
struct MetadataBuilder::Storage {
  std::deque<std::string> texts;
  std::deque<std::vector<std::byte>> arrays;

  std::string_view keep(std::string_view text) { return texts.emplace_back(text); }
};

namespace {

void append(std::vector<std::byte>& out, std::span<const std::byte> bytes) {
  out.insert(out.end(), bytes.begin(), bytes.end());
}

std::vector<std::byte> packed(std::span<const std::string> values) {
  std::vector<std::byte> out;
  for (const std::string& value : values) {
    const uint64_t length = value.size();
    append(out, std::as_bytes(std::span{&length, 1}));
    append(out, std::as_bytes(std::span{value}));
  }
  return out;
}

auto entry_of(auto& entries, std::string_view key) {
  return std::ranges::find(entries, key, &MetadataEntry::key);
}

}  // namespace

MetadataBuilder::MetadataBuilder() : storage_(std::make_shared<Storage>()) {}

void MetadataBuilder::put(std::string_view key, MetadataValue value) {
  const auto found = entry_of(entries_, key);
  if (found != entries_.end())
    found->value = value;
  else
    entries_.push_back({storage_->keep(key), value});
}

void MetadataBuilder::set(std::string_view key, uint32_t value) { put(key, value); }
void MetadataBuilder::set(std::string_view key, int32_t value) { put(key, value); }
void MetadataBuilder::set(std::string_view key, uint64_t value) { put(key, value); }
void MetadataBuilder::set(std::string_view key, float value) { put(key, value); }
void MetadataBuilder::set(std::string_view key, bool value) { put(key, value); }
void MetadataBuilder::set(std::string_view key, std::string_view value) { put(key, storage_->keep(value)); }

template <class T>
void MetadataBuilder::put_numbers(std::string_view key, MetadataType element, std::span<const T> values) {
  const auto bytes = std::as_bytes(values);
  const auto& kept = storage_->arrays.emplace_back(bytes.begin(), bytes.end());
  put(key, MetadataArray{element, values.size(), kept});
}

void MetadataBuilder::set_array(std::string_view key, std::span<const std::string> values) {
  const auto& kept = storage_->arrays.emplace_back(packed(values));
  put(key, MetadataArray{MetadataType::string, values.size(), kept});
}

void MetadataBuilder::set_array(std::string_view key, std::span<const uint32_t> values) {
  put_numbers(key, MetadataType::u32, values);
}

void MetadataBuilder::set_array(std::string_view key, std::span<const int32_t> values) {
  put_numbers(key, MetadataType::i32, values);
}

void MetadataBuilder::set_array(std::string_view key, std::span<const float> values) {
  put_numbers(key, MetadataType::f32, values);
}

void MetadataBuilder::set_array(std::string_view key, const std::vector<bool>& values) {
  const std::vector<uint8_t> bytes(values.begin(), values.end());
  put_numbers<uint8_t>(key, MetadataType::boolean, bytes);
}

bool MetadataBuilder::has(std::string_view key) const { return entry_of(entries_, key) != entries_.end(); }

Metadata MetadataBuilder::finish(std::string where) const { return Metadata{entries_, std::move(where)}; }

std::shared_ptr<const void> MetadataBuilder::storage() const { return storage_; }

}  // namespace snug::hf
