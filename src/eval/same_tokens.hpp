#pragma once

#include "snug/model.hpp"

namespace snug::infer {

/// Logits of different tokens say nothing beside each other: throws Error where two models' vocabularies differ, naming
/// the first token that does. Files without a tokenizer are taken on trust.
void check_same_tokens(const ModelSource& model, const ModelSource& original);

}  // namespace snug::infer
