#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "artifact/artifact.hpp"
#include "base/pattern.hpp"
#include "snug/format.hpp"
#include "snug/plan_options.hpp"
#include "snug/profile.hpp"

namespace snug {

/// Candidates a plan may choose from, per item: a tensor, or the tensors of a group as one.
struct Selection {
  struct Item {
    std::vector<size_t> tensors;                  // indices into Profile::tensors
    std::vector<std::vector<size_t>> candidates;  // [choice][member]: index into that tensor's candidates
  };
  std::vector<Item> items;
  std::vector<size_t> pinned;  // tensors a pin left one choice
};

/// What the output can hold leaves out candidates and joins tensors, too. Throws Error of Fault::usage for a malformed
/// rule, one that matches no tensor, or one that leaves a tensor without a candidate (says which formats fit its rows).
Selection select_candidates(const Profile& profile, const SelectionRules& rules, const OutputSizes& output);

/// "REGEX=VALUE" cut at the last '='; throws Error of Fault::usage naming `option` where a part is missing or the regex
/// is malformed.
struct RegexValue {
  Pattern regex;
  std::string pattern, value;
};
RegexValue parse_regex_value(const std::string& text, std::string_view option);

}  // namespace snug
