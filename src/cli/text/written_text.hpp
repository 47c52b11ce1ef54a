#pragma once

#include <string>

#include "artifact/quantize_model.hpp"

namespace snug::cli {

/// "wrote out.gguf, 999,936 bytes, as planned": a line or, of a split model, one a file.
std::string written_text(const WrittenModel& written);

/// The same of files that were there already.
std::string known_text(const WrittenModel& written);

}  // namespace snug::cli
