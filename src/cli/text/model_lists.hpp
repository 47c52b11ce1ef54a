#pragma once

#include "cli/inspect.hpp"
#include "snug/model.hpp"

namespace snug::cli {

/// A value of a model's metadata; of an array only what it holds.
nlohmann::ordered_json value_json(const MetadataValue& value);

/// Every key with its value, in the order of the file.
Inspection list_metadata(const ModelSource& model);

/// Every tensor with its format, shape (of a row first) and bytes, in the order of the file.
Inspection list_tensors(const ModelSource& model);

}  // namespace snug::cli
