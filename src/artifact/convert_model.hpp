#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "artifact/output_journal.hpp"
#include "snug/model.hpp"
#include "snug/output.hpp"

namespace snug {

struct ConvertOptions {
  /// What unquantized matrices become: f32, f16 or bf16; nothing keeps each as it is. Norms, biases and other small
  /// tensors that are f32 stay f32, and quantized ones what they are.
  std::optional<FormatId> type;
  Existing existing = Existing::refuse;
  std::string runtime = "llama.cpp";  // that will load the output
};

/// Writes a model as one GGUF file or, for MLX, as a folder, whatever it was read from: its keys, and its weights unquantized. Memory for a few
/// rows a thread. A journal is begun before the output gets its name. Throws Error naming the tensor where a weight is not
/// finite or too large for f16.
WrittenModel convert_model(const ModelSource& model, const std::filesystem::path& out, const ConvertOptions& options,
                           OutputJournal* journal = nullptr);

/// Whether the files are what convert_model() would write, to the last weight.
bool is_converted(const ModelSource& model, const std::vector<std::filesystem::path>& files, const ConvertOptions& options);

/// The bytes of the file that convert_model() would write.
int64_t converted_bytes(const ModelSource& model, const ConvertOptions& options);

}  // namespace snug
