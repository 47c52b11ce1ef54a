#pragma once

#include <map>
#include <string>

#include "snug/format.hpp"
#include "snug/model.hpp"

namespace snug::mlx {

/// config.json of a model: the source's, or of a GGUF file what its keys say, with the modules' formats as mlx_lm and
/// mlx-swift-lm both read them, without what is said of other parts than the text model. What the source leaves to its
/// class, or says in words that mlx_lm does not read, is said outright: mlx_lm's own defaults are those of other models.
///
///   quantized  the format of every quantized module, by path; none for an unquantized model
///   floats     f16 or bf16: what the rest is stored as
///   tied       whether the embedding is the head
std::string config_text(const ModelSource& model, const std::map<std::string, FormatId>& quantized, FormatId floats,
                        bool tied);

}  // namespace snug::mlx
