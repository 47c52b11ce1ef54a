#include "base/str.hpp"
#include "snug/plan_options.hpp"

namespace snug {

std::string PlanOptions::limits() const {
  std::string text;
  const auto add = [&](bool asked, const std::string& option) {
    if (asked) text += str(text.empty() ? "" : ", ", option);
  };
  add(max_formats > 0, str("max formats ", max_formats));
  add(active_bytes.has_value(), "active size");
  add(!caps.empty(), "cap");
  add(!rules.pins.empty(), "pin");
  add(!rules.mins.empty(), "min");
  add(!rules.maxs.empty(), "max");
  add(!rules.groups.empty(), "group");
  return text;
}

bool PlanOptions::is_plain() const {
  return limits().empty() && split_bytes == 0;
}

}  // namespace snug
