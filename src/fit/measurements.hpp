#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "snug/digest.hpp"
#include "snug/model.hpp"

namespace snug {

/// A digest of what a model is, without reading all of it: shapes, formats, and a little of every tensor. Names of files
/// do not count.
Digest fingerprint(const ModelSource& model);

/// The one folder for measurements of all models: $SNUG_HOME, else $XDG_STATE_HOME/snug, else ~/.local/state/snug.
/// Nothing where none of them is set.
std::optional<std::filesystem::path> measurement_folder();

/// Where measurements of the model are kept, whatever its file is called now, wherever its outputs go: in
/// measurement_folder(), made where it is missing. States of earlier versions, <model>.snug-state in `beside`, stay in
/// use; so it is also called where no folder is set or can be made.
std::filesystem::path measurements_of(const ModelSource& model, const std::filesystem::path& beside);

/// The same if there is one already, for those who only read.
std::optional<std::filesystem::path> existing_measurements(const ModelSource& model, const std::filesystem::path& beside);

}  // namespace snug
