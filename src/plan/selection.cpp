#include "plan/selection.hpp"

#include <algorithm>
#include <map>

#include "base/closest.hpp"
#include "base/str.hpp"
#include "recipe/format_names.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

Pattern compile(const std::string& pattern, std::string_view option) {
  return {pattern, std::string(option), Pattern::From::others};
}

const Format& format_named(const std::string& name, std::string_view option) {
  const Format* format = find_format(name);
  if (!format)
    throw Error{str("unknown format '", name, "'"), std::string(option),
                did_you_mean(name, all_format_names(), "e.g. q4_K, iq4_xs, q8_0"), Fault::usage};
  return *format;
}

std::string formats_of(const ProfiledTensor& tensor) {
  std::string names;
  for (const Candidate& c : tensor.candidates) names += str(names.empty() ? "" : ", ", format_name(c.format));
  return names;
}

double bits_of(const ProfiledTensor& tensor, const Candidate& candidate) {
  return 8.0 * static_cast<double>(candidate.bytes) / (static_cast<double>(tensor.cols) * static_cast<double>(tensor.rows));
}

[[noreturn]] void refuse_unmatched(const std::string& pattern, std::string_view option) {
  throw Error{str("'", pattern, "' matches no tensor that can be quantized"), std::string(option),
              "`snug inspect MODEL` lists the tensors", Fault::usage};
}

/// The candidates that are left, one flag a candidate, one row a tensor.
class Filter {
 public:
  explicit Filter(const Profile& profile) : profile_(profile) {
    for (const ProfiledTensor& tensor : profile.tensors) keep_.emplace_back(tensor.candidates.size(), true);
  }

  /// keep(tensor, candidate) decides for every tensor whose name the regex finds.
  void apply(const RegexValue& rule, std::string_view option, const auto& keep) {
    bool matched = false;
    for (size_t t = 0; t < profile_.tensors.size(); ++t) {
      const ProfiledTensor& tensor = profile_.tensors[t];
      if (!rule.regex.finds(tensor.name)) continue;
      matched = true;
      for (size_t c = 0; c < tensor.candidates.size(); ++c)
        keep_[t][c] = keep_[t][c] && keep(tensor, tensor.candidates[c]);
      if (std::ranges::none_of(keep_[t], std::identity{}))
        throw Error{str("no format is left for tensor '", tensor.name, "' (rows of ", tensor.cols, ")"),
                    str(option, " ", rule.pattern, "=", rule.value), str("it can be ", formats_of(tensor)), Fault::usage};
    }
    if (!matched) refuse_unmatched(rule.pattern, option);
  }

  /// What no rule asks for, but every output needs.
  void leave_out_what_cannot_be_stored(const OutputSizes& output) {
    for (size_t t = 0; t < profile_.tensors.size(); ++t) {
      const ProfiledTensor& tensor = profile_.tensors[t];
      for (size_t c = 0; c < tensor.candidates.size(); ++c)
        keep_[t][c] = output.can_store(tensor.name, tensor.candidates[c].format);
      if (std::ranges::none_of(keep_[t], std::identity{}))
        throw Error{str("the output can hold tensor '", tensor.name, "' in none of its formats: ", formats_of(tensor)), "",
                    "start from the model in F32, F16 or BF16"};
    }
  }

  const std::vector<std::vector<bool>>& kept() const { return keep_; }

 private:
  const Profile& profile_;
  std::vector<std::vector<bool>> keep_;
};

void apply_bound(Filter& filter, const std::string& text, std::string_view option, bool at_least) {
  const RegexValue rule = text.find('=') == std::string::npos ? RegexValue{compile("", option), "", text}
                                                              : parse_regex_value(text, option);
  const double bound = format_named(rule.value, option).bits_per_weight();
  filter.apply(rule, option, [&](const ProfiledTensor& tensor, const Candidate& candidate) {
    return at_least ? bits_of(tensor, candidate) >= bound : bits_of(tensor, candidate) <= bound;
  });
}

/// Sets that share a tensor with one of `joined` become one with the rest of it.
void join(const Profile& profile, const std::vector<std::vector<std::string>>& joined,
          std::vector<std::vector<size_t>>& members) {
  for (const std::vector<std::string>& names : joined) {
    const auto touches = [&](const std::vector<size_t>& set) {
      return std::ranges::any_of(set, [&](size_t t) { return std::ranges::find(names, profile.tensors[t].name) != names.end(); });
    };
    const auto rest = std::stable_partition(members.begin(), members.end(), [&](const auto& set) { return !touches(set); });
    if (rest == members.end()) continue;
    std::vector<size_t> all;
    for (auto set = rest; set != members.end(); ++set) all.insert(all.end(), set->begin(), set->end());
    members.erase(rest, members.end());
    std::ranges::sort(all);
    members.push_back(std::move(all));
  }
}

/// Which tensors go together: those a group's regex finds with the same captured text.
std::vector<std::vector<size_t>> gather(const Profile& profile, const std::vector<std::string>& groups) {
  struct Group {
    std::string pattern;
    Pattern regex;
    bool matched = false;
  };
  std::vector<Group> compiled;
  for (const std::string& group : groups) compiled.push_back({group, compile(group, "group")});
  std::map<std::string, std::vector<size_t>> together;
  for (size_t t = 0; t < profile.tensors.size(); ++t) {
    std::string key = str("=", t);
    for (Group& group : compiled) {
      const auto captures = group.regex.captures(profile.tensors[t].name);
      if (!captures) continue;
      group.matched = true;
      key = group.pattern;
      for (const std::string_view captured : *captures) key += str("\n", captured);
      break;
    }
    together[key].push_back(t);
  }
  for (const Group& group : compiled)
    if (!group.matched) refuse_unmatched(group.pattern, "group");
  std::vector<std::vector<size_t>> members;
  for (auto& [key, tensors] : together) members.push_back(std::move(tensors));
  std::ranges::sort(members);
  return members;
}

Selection::Item make_item(const Profile& profile, const std::vector<std::vector<bool>>& kept, std::vector<size_t> members) {
  Selection::Item item{std::move(members), {}};
  const ProfiledTensor& first = profile.tensors[item.tensors.front()];
  for (size_t c = 0; c < first.candidates.size(); ++c) {
    std::vector<size_t> choice;
    for (const size_t t : item.tensors) {
      const auto& candidates = profile.tensors[t].candidates;
      const auto found = std::ranges::find(candidates, first.candidates[c].format, &Candidate::format);
      const auto at = static_cast<size_t>(found - candidates.begin());
      if (found != candidates.end() && kept[t][at]) choice.push_back(at);
    }
    if (choice.size() == item.tensors.size()) item.candidates.push_back(std::move(choice));
  }
  if (item.candidates.empty())
    throw Error{str("no format is left that '", first.name, "' and the rest of its group share"), "group",
                "make the group smaller, or pin less", Fault::usage};
  return item;
}

}  // namespace

RegexValue parse_regex_value(const std::string& text, std::string_view option) {
  const size_t equals = text.rfind('=');
  if (equals == std::string::npos || equals == 0 || equals + 1 == text.size())
    throw Error{str("'", text, "' is not REGEX=VALUE"), std::string(option), "e.g. 'ffn_down=q6_K'", Fault::usage};
  const std::string pattern = text.substr(0, equals);
  return {compile(pattern, option), pattern, text.substr(equals + 1)};
}

Selection select_candidates(const Profile& profile, const SelectionRules& rules, const OutputSizes& output) {
  Filter filter{profile};
  filter.leave_out_what_cannot_be_stored(output);
  for (const std::string& text : rules.mins) apply_bound(filter, text, "min", true);
  for (const std::string& text : rules.maxs) apply_bound(filter, text, "max", false);
  Selection selection;
  for (const std::string& text : rules.pins) {
    const RegexValue rule = parse_regex_value(text, "pin");
    const FormatId id = format_named(rule.value, "pin").id;
    filter.apply(rule, "pin", [&](const ProfiledTensor&, const Candidate& candidate) { return candidate.format == id; });
  }
  for (size_t t = 0; t < profile.tensors.size(); ++t)
    if (!rules.pins.empty() && std::ranges::count(filter.kept()[t], true) == 1) selection.pinned.push_back(t);
  std::vector<std::vector<size_t>> sets = gather(profile, rules.groups);
  join(profile, output.joined_tensors(), sets);
  std::ranges::sort(sets);
  for (std::vector<size_t>& members : sets)
    selection.items.push_back(make_item(profile, filter.kept(), std::move(members)));
  return selection;
}

}  // namespace snug
