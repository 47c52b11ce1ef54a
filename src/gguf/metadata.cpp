#include "gguf/metadata.hpp"

#include <algorithm>

namespace snug::gguf {
namespace {

constexpr uint32_t kQuantizationVersion = 2;
constexpr size_t kLongestNote = 127;

bool is_dropped(std::string_view key) {
  return key.starts_with("split.") || key.starts_with("quantize.") || key.starts_with("snug.");
}

void set(std::vector<OutputKey>& keys, OutputKey key) {
  const auto found = std::ranges::find(keys, key.key, &OutputKey::key);
  if (found == keys.end()) {
    keys.push_back(std::move(key));
  } else {
    found->value = std::move(key.value);
  }
}

}  // namespace

std::vector<OutputKey> quantized_keys(const ModelSource& source, uint32_t file_type, const ImatrixNote* imatrix,
                                      std::vector<OutputKey> extra) {
  std::vector<OutputKey> keys;
  for (const MetadataEntry& pair : source.metadata().entries())
    if (!is_dropped(pair.key)) keys.push_back({std::string(pair.key), pair.value});
  set(keys, {"general.quantization_version", MetadataValue{kQuantizationVersion}});
  set(keys, {"general.file_type", MetadataValue{file_type}});
  if (imatrix) {
    set(keys, {"quantize.imatrix.file", imatrix->file.substr(0, kLongestNote)});
    set(keys, {"quantize.imatrix.dataset", imatrix->dataset.substr(0, kLongestNote)});
    set(keys, {"quantize.imatrix.entries_count", MetadataValue{static_cast<uint32_t>(imatrix->entries)}});
    if (imatrix->chunks > 0)
      set(keys, {"quantize.imatrix.chunks_count", MetadataValue{static_cast<uint32_t>(imatrix->chunks)}});
  }
  for (OutputKey& key : extra) set(keys, std::move(key));
  return keys;
}

}  // namespace snug::gguf
