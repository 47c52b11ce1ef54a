#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "gguf/writer.hpp"

namespace snug::gguf {

/// What a quantized file says of the imatrix it was made with (format reference §7).
struct ImatrixNote {
  std::string file, dataset;
  int64_t entries = 0, chunks = 0;
};

/// The keys of a quantized copy of `source`, as llama-quantize writes them: all of the source's in their
/// order, less split.*, general.quantization_version = 2, general.file_type = `file_type`, quantize.imatrix.*
/// if `imatrix`, then `extra`. A key that is there already is replaced in place; quantize.* and snug.* of an
/// earlier run are dropped.
std::vector<OutputKey> quantized_keys(const ModelSource& source, uint32_t file_type, const ImatrixNote* imatrix,
                                      std::vector<OutputKey> extra);

}  // namespace snug::gguf
