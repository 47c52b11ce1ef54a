#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

// What a published quantized model really is.
namespace snug {

/// A tensor as its file stores it.
struct AuditedTensor {
  std::string name;    // as the file has it: a module's path, or GGUF's name
  std::string part;    // "embedding", "head", "attention", "ffn", "experts", "router", "other"
  std::string format;  // "affine 4/64", "q4_K", "bf16"
  int raw_bits = 0;    // of one code, without scales
  int64_t weights = 0;
  int64_t bytes = 0;   // codes and scales
};

/// Sums over some tensors.
struct AuditTotal {
  int64_t tensors = 0, weights = 0, bytes = 0;
  double raw_bits = 0;  // of all codes together

  void add(const AuditedTensor& tensor);
  double bits_per_weight() const { return weights ? 8.0 * static_cast<double>(bytes) / static_cast<double>(weights) : 0; }
  double raw_bits_per_weight() const { return weights ? raw_bits / static_cast<double>(weights) : 0; }
};

struct Audit {
  std::string container;
  int64_t file_bytes = 0;
  std::vector<AuditedTensor> tensors;       // of the text model, in the file's order
  std::vector<std::string> contradictions;  // between what the model says of itself and what it is
  std::vector<std::string> remarks;         // nothing false, but worth knowing

  AuditTotal total() const;                          // of all tensors
  AuditTotal matrices() const;                       // without "other": what cards count
  AuditTotal of_part(const std::string& part) const;
  std::vector<std::string> parts() const;            // those that are there, in the order above
};

/// Of a GGUF file, a checkpoint's folder or one of MLX's. Reads headers, config.json and README.md, no weights.
/// Throws Error as opening the model does.
Audit audit_model(const std::filesystem::path& path);

}  // namespace snug
