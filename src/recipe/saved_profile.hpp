#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "snug/profile.hpp"

namespace snug {

/// A profile with what else of the model a plan or a report asks for: with it neither the model nor the
/// imatrix need be at hand. Kept in the state (docs/state-format.md, "note").
struct SavedProfile {
  std::string model_name, architecture;
  int64_t layers = 0, heads = 0, heads_kv = 0, experts = 0;  // as presets ask for them
  int64_t header_bytes = 0;                                  // of an output file in one piece
  Profile profile;
};

/// Two lines of JSON: the model's, the profile's. parse_saved_profile throws Error that names the field.
std::string to_text(const SavedProfile& saved);
SavedProfile parse_saved_profile(const std::string& text, const std::string& where);

/// Whether a note is a saved profile at all.
bool is_saved_profile(std::string_view text);

}  // namespace snug
