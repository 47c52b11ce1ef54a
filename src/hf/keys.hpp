#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "hf/config.hpp"
#include "hf/metadata_builder.hpp"

namespace snug::hf {

/// Writes the keys of one architecture: "llama." + name. Whole numbers become u32, others f32. What is missing is
/// not written.
class Keys {
 public:
  Keys(std::string architecture, MetadataBuilder& metadata)
      : architecture_(std::move(architecture)), metadata_(metadata) {}

  const std::string& architecture() const { return architecture_; }
  MetadataBuilder& metadata() { return metadata_; }

  void number(std::string_view name, std::optional<int64_t> value);  // 0 to 2^32 - 1
  void real(std::string_view name, std::optional<double> value);
  void flag(std::string_view name, std::optional<bool> value);
  void text(std::string_view name, std::string_view value);
  void numbers(std::string_view name, const std::vector<int64_t>& values);  // i32
  void flags(std::string_view name, const std::vector<bool>& values);

 private:
  std::string full(std::string_view name) const { return architecture_ + "." + std::string{name}; }

  std::string architecture_;
  MetadataBuilder& metadata_;
};

/// What nearly all architectures write alike: sizes, heads, rotary embedding and its scaling, experts. `blocks`
/// counts those that predict further tokens.
void add_common_keys(const Config& config, int64_t blocks, Keys& keys);

/// The format that a file of these tensors goes by: the first of mxfp4, bf16 and f16 that a matrix has, else f32.
FormatId main_format(std::span<const Tensor> tensors);

/// general.*, and the sampling values of generation_config.json beside config.json.
void add_general_keys(const std::filesystem::path& folder, FormatId weights, Keys& keys);

}  // namespace snug::hf
