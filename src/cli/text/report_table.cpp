#include "cli/text/report_table.hpp"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <vector>

#include "base/printable.hpp"
#include "base/str.hpp"
#include "base/units.hpp"
#include "cli/terminal/terminal_width.hpp"
#include "cli/text/text_table.hpp"
#include "cli/text/wrap.hpp"
#include "model/roles.hpp"

namespace snug::cli {
namespace {

using nlohmann::ordered_json;

/// Tensors that share a line.
struct Group {
  std::string name;
  int64_t tensors = 0, weights = 0, bytes = 0;
  double loss = 0;
  std::map<std::string_view, int64_t> formats;  // tensors in each

  double bits_per_weight() const {
    return weights ? 8.0 * static_cast<double>(bytes) / static_cast<double>(weights) : 0;
  }
};

void add(Group& group, const RecipeTensor& t) {
  const BlockShape shape = block_shape(t.format);
  ++group.tensors;
  group.bytes += t.bytes;
  if (shape.block_bytes > 0) group.weights += t.bytes / shape.block_bytes * shape.block_weights;
  group.loss += t.loss;
  ++group.formats[format_name(t.format)];
}

/// Groups in the order of `key`, an integer; `name` gives what the line is called.
template <class Key, class Name>
std::vector<Group> grouped(const Recipe& recipe, Key key, Name name) {
  std::map<int, Group> groups;
  for (const RecipeTensor& t : recipe.tensors) {
    Group& group = groups[key(t)];
    if (group.tensors == 0) group.name = name(t);
    add(group, t);
  }
  std::vector<Group> list;
  for (auto& [order, group] : groups) list.push_back(std::move(group));
  return list;
}

std::vector<Group> by_role(const Recipe& recipe) {
  return grouped(
      recipe, [](const RecipeTensor& t) { return static_cast<int>(role_of(t.name)); },
      [](const RecipeTensor& t) { return std::string{role_name(role_of(t.name))}; });
}

std::vector<Group> by_layer(const Recipe& recipe) {
  return grouped(
      recipe, [](const RecipeTensor& t) { return layer_of(t.name); },
      [](const RecipeTensor& t) {
        return layer_of(t.name) < 0 ? std::string{"none"} : str(layer_of(t.name));
      });
}

double total_loss(const Recipe& recipe) {
  double sum = 0;
  for (const RecipeTensor& t : recipe.tensors) sum += t.loss;
  return sum;
}

// --- text
// ---------------------------------------------------------------------------------------------------------

/// As wide as the terminal, and no wider than a report is anywhere.
size_t report_columns() {
  const size_t terminal = terminal_columns(STDOUT_FILENO);
  return terminal ? std::min(terminal, kReportWidth) : kReportWidth;
}

/// "q4_K 12, q5_K 3", the most frequent first, cut to `width` with the number of formats left out.
std::string mix_text(const Group& group, size_t width) {
  std::vector<std::pair<int64_t, std::string_view>> formats;
  for (const auto& [name, count] : group.formats) formats.emplace_back(-count, name);
  std::ranges::sort(formats);
  std::string text;
  for (size_t i = 0; i < formats.size(); ++i) {
    const std::string more = str(i ? ", " : "", formats[i].second, " ", -formats[i].first);
    const std::string rest = i + 1 < formats.size() ? str(", +", formats.size() - i - 1) : "";
    if (text.size() + more.size() + rest.size() > width)
      return i > 0 ? text + str(", +", formats.size() - i) : str(formats.size(), formats.size() == 1 ? " format" : " formats");
    text += more;
  }
  return text;
}

/// On a narrow terminal without the binary size: formats need the room.
std::string line(const std::string& name, const std::string& tensors, const std::string& weights,
                 const std::string& decimal, const std::string& binary, const std::string& bpw,
                 const std::string& loss) {
  return left(name, 14) + right(tensors, 8) + right(weights, 10) + right(decimal, 10) +
         (report_columns() < kReportWidth ? "" : right(binary, 10)) + right(bpw, 7) + right(loss, 8) + "  ";
}

std::string table(const char* what, const std::vector<Group>& groups, const Recipe& recipe) {
  const SizeUnits units = units_for(recipe.tensor_bytes);
  const size_t width = report_columns();
  const double total = total_loss(recipe);
  std::string text =
      line(what, "tensors", "weights", units.decimal_name, units.binary_name, "bpw", "loss") + "formats\n";
  for (const Group& group : groups) {
    const auto bytes = static_cast<double>(group.bytes);
    const std::string head =
        line(group.name, show_count(group.tensors), show_weights(group.weights),
             fixed(bytes / units.decimal, 3), fixed(bytes / units.binary, 3),
             fixed(group.bits_per_weight(), 3), total > 0 ? fixed(100 * group.loss / total, 1) + " %" : "-");
    text += head + mix_text(group, width - std::min(head.size(), width)) + "\n";
  }
  return text;
}

// --- what the losses rest on
// --------------------------------------------------------------------------------------

struct Evidence {
  int64_t probes = 0, reversed = 0, priors = 0, unweighted = 0;
  double standard_error = 0;  // of the predicted loss, from sampling rows
};

Evidence evidence_of(const Recipe& recipe, const Profile& profile) {
  std::map<std::string_view, const ProfiledTensor*> tensors;
  for (const ProfiledTensor& t : profile.tensors) tensors[t.name] = &t;
  Evidence evidence;
  double variance = 0;
  for (const RecipeTensor& t : recipe.tensors) {
    const auto found = tensors.find(t.name);
    if (found == tensors.end()) continue;
    const ProfiledTensor& profiled = *found->second;
    ++(profiled.alpha_from == "probe"     ? evidence.probes
       : profiled.alpha_from == "reverse" ? evidence.reversed
                                          : evidence.priors);
    if (!profiled.weighted) ++evidence.unweighted;
    const auto candidate = std::ranges::find(profiled.candidates, t.format, &Candidate::format);
    if (candidate != profiled.candidates.end())
      variance += std::pow(profiled.alpha * candidate->standard_error, 2);
  }
  evidence.standard_error = std::sqrt(variance);
  return evidence;
}

std::string evidence_line(const Recipe& recipe, const Profile& profile) {
  const Evidence e = evidence_of(recipe, profile);
  std::string text = str("evidence  ", e.probes, " tensors probed, ",
                         e.reversed > 0 ? str(e.reversed, " by a reverse pass, ") : "", e.priors, " by prior");
  if (e.unweighted > 0) text += str(", ", e.unweighted, " without imatrix data");
  return str(text, "; sampling error ", significant(e.standard_error), "\n");
}

int64_t used_bytes(const Recipe& r) {
  return r.counted_bytes(r.budget_kind);
}
bool has_budget(const Recipe& r) {
  return r.budget_kind != BudgetKind::none && r.budget_bytes > 0;
}
bool has_bound(const Recipe& r) {
  return r.certified_bound > 0 && r.predicted_loss > 0;
}

/// The bound does not know --max-formats: what it leaves open then says nothing of how good the search was.
std::string limited_bound_line(const Recipe& r) {
  return str("limits    ", printable(r.limits), "\n",
             r.proven_optimal ? "search    found no better recipe within them\n" : "", "bound     ",
             significant(r.certified_bound), " nats per token: no recipe within budget and limits has less; gap at most ",
             significant(100 * r.gap() / r.predicted_loss), " %\n");
}

std::string bound_line(const Recipe& r) {
  if (!r.limits.empty()) return limited_bound_line(r);
  return str("bound     ", significant(r.certified_bound),
             " nats per token: no recipe of this budget has less; gap ",
             significant(100 * r.gap() / r.predicted_loss), " %", r.proven_optimal ? ", optimal" : "", "\n");
}

std::string left_out_lines(const LeftOut& l) {
  constexpr size_t kIndent = 10;
  const std::string words = terminal_text(str(l.what, ": ", l.why, "; ", l.cost));
  return left("left out", kIndent) + wrapped(words, report_columns(), kIndent, kIndent) + "\n";
}

ordered_json groups_json(const char* what, const std::vector<Group>& groups, const Recipe& recipe) {
  const double total = total_loss(recipe);
  const auto known = [&](double loss) { return recipe.loss_known ? ordered_json(loss) : ordered_json(nullptr); };
  auto list = ordered_json::array();
  for (const Group& group : groups) {
    ordered_json formats = ordered_json::object();
    for (const auto& [name, count] : group.formats) formats[std::string{name}] = count;
    list.push_back({{what, group.name},
                    {"tensors", group.tensors},
                    {"weights", group.weights},
                    {"bytes", group.bytes},
                    {"bits_per_weight", group.bits_per_weight()},
                    {"loss", known(group.loss)},
                    {"loss_share", known(total > 0 ? group.loss / total : 0.0)},
                    {"formats", formats}});
  }
  return list;
}

ordered_json summary_json(const Recipe& r, const Profile* profile) {
  const auto known = [&](double loss) { return r.loss_known ? ordered_json(loss) : ordered_json(nullptr); };
  ordered_json summary{{"method", r.method},
                       {"file_bytes", r.file_bytes},
                       {"tensor_bytes", r.tensor_bytes},
                       {"weights", r.weights},
                       {"bits_per_weight", r.bits_per_weight()},
                       {"budget_kind", budget_name(r.budget_kind)},
                       {"budget_bytes", r.budget_bytes},
                       {"unused_bytes", has_budget(r) ? r.budget_bytes - used_bytes(r) : 0},
                       {"limits", r.limits},
                       {"predicted_loss", known(r.predicted_loss)},
                       {"certified_bound", known(r.certified_bound)},
                       {"gap", known(r.gap())},
                       {"proven_optimal", r.proven_optimal},
                       {"recipe_digest", recipe_digest(r)}};
  for (const LeftOut& l : r.left_out)
    summary["left_out"].push_back({{"what", l.what}, {"why", l.why}, {"cost", l.cost}});
  if (!profile) return summary;
  const Evidence e = evidence_of(r, *profile);
  summary["evidence"] = {{"probed_tensors", e.probes},
                         {"reverse_tensors", e.reversed},
                         {"prior_tensors", e.priors},
                         {"tensors_without_imatrix", e.unweighted},
                         {"sampling_error", e.standard_error}};
  return summary;
}

}  // namespace

std::string role_table(const Recipe& recipe) {
  return table("role", by_role(recipe), recipe);
}
std::string layer_table(const Recipe& recipe) {
  return table("layer", by_layer(recipe), recipe);
}

std::string summary_lines(const Recipe& r, const Profile* profile) {
  std::string text =
      str("size      ", show_size(r.file_bytes > 0 ? r.file_bytes : r.tensor_bytes), ", ",
          fixed(r.bits_per_weight(), 4), " bits per weight, ", printable(r.method), "\n");
  if (has_budget(r))
    text += str("budget    ", show_size(r.budget_bytes),
                r.budget_kind == BudgetKind::tensors ? " of tensor data, " : " of files, ",
                show_count(r.budget_bytes - used_bytes(r)), " bytes unused\n");
  if (r.predicted_loss > 0)
    text += str("loss      ", significant(r.predicted_loss), " nats per token of KL divergence, predicted\n");
  if (!r.loss_known) text += "loss      unknown: nothing was measured for these formats\n";
  if (has_bound(r)) text += bound_line(r);
  if (profile) text += evidence_line(r, *profile);
  for (const LeftOut& l : r.left_out) text += left_out_lines(l);
  return text;
}

std::string report_table(const Recipe& recipe) {
  return str(role_table(recipe), "\n", layer_table(recipe), "\n", summary_lines(recipe));
}

std::string report_table(const Profile& profile, const Recipe& recipe) {
  return str(role_table(recipe), "\n", layer_table(recipe), "\n", summary_lines(recipe, &profile));
}

std::string left_out_line(const Recipe& recipe) {
  std::string line = "left out: ";
  for (const LeftOut& l : recipe.left_out) line += str(&l == &recipe.left_out.front() ? "" : "; ", l.what, " (", l.why, ")");
  return line;
}

ordered_json report_json(const Recipe& recipe, const Profile* profile) {
  return {{"summary", summary_json(recipe, profile)},
          {"roles", groups_json("role", by_role(recipe), recipe)},
          {"layers", groups_json("layer", by_layer(recipe), recipe)}};
}

}  // namespace snug::cli
