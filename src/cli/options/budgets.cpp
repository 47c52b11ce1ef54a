#include "cli/options/budgets.hpp"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <string_view>

#include "base/closest.hpp"
#include "base/files/output_path.hpp"
#include "base/str.hpp"
#include "base/units.hpp"
#include "recipe/format_names.hpp"
#include "snug/error.hpp"

namespace snug::cli {
namespace {

constexpr std::string_view kPlaces[] = {"bpw", "size", "label"};

double parse_bpw(const std::string& text) {
  double bits = 0;
  const auto [end, bad] = std::from_chars(text.data(), text.data() + text.size(), bits);
  if (bad != std::errc{} || end != text.data() + text.size())
    throw Error{str("'", text, "' is not a number of bits per weight"), "--bpw",
                "e.g. 4.25, or several: 3,3.5,4.25", Fault::usage};
  return bits;
}

bool is_of_bits(const NamedBudget& budget) {
  return budget.budget.kind() == BudgetKind::tensors;
}

std::string value_of(const std::string& place, const std::string& pattern, const NamedBudget& budget) {
  if (place == "label") return budget.label();
  if (place == (is_of_bits(budget) ? "bpw" : "size")) return budget.text;
  if (std::ranges::count(kPlaces, place) == 0)
    throw Error{str("{", place, "} stands for nothing"), pattern,
                did_you_mean(place, kPlaces, "{bpw}, {size} and {label} do"), Fault::usage};
  throw Error{str("{", place, "} is not known: --", is_of_bits(budget) ? "bpw" : "size", " was given"),
              pattern, is_of_bits(budget) ? "write {bpw} or {label}" : "write {size} or {label}",
              Fault::usage};
}

/// Without the mark of what the weights are: "dense-f16" is "dense".
std::string bare_name(const std::string& model) {
  const std::filesystem::path path = without_last_slash(model);
  std::string stem = path.extension() == ".gguf" ? path.stem().string() : path.filename().string();
  for (const std::string_view type : {"f32", "f16", "bf16"})
    for (const char mark : {'-', '.', '_'}) {
      const size_t begin = stem.size() - std::min(stem.size(), type.size() + 1);
      if (begin > 0 && stem[begin] == mark && same_letters(std::string_view{stem}.substr(begin + 1), type))
        return stem.substr(0, begin);
    }
  return stem;
}

}  // namespace

std::string NamedBudget::label() const {
  return is_of_bits(*this) ? text + "bpw" : text;
}

std::vector<NamedBudget> named_budgets(const std::vector<std::string>& sizes,
                                       const std::vector<std::string>& bpws) {
  std::vector<NamedBudget> budgets;
  for (const std::string& size : sizes) budgets.push_back({Budget::of_file(parse_size(size)), size});
  for (const std::string& bpw : bpws) budgets.push_back({Budget::of_tensors(parse_bpw(bpw)), bpw});
  for (size_t i = 1; i < budgets.size(); ++i)
    for (size_t j = 0; j < i; ++j)
      if (budgets[i].text == budgets[j].text)
        throw Error{str("the budget ", budgets[i].text, " is given twice"), "", "leave one out",
                    Fault::usage};
  return budgets;
}

std::string output_name(const std::string& pattern, const NamedBudget& budget) {
  std::string name;
  for (size_t at = 0; at < pattern.size();) {
    const size_t close = pattern[at] == '{' ? pattern.find('}', at) : std::string::npos;
    if (close == std::string::npos) {
      name += pattern[at++];
    } else {
      name += value_of(pattern.substr(at + 1, close - at - 1), pattern, budget);
      at = close + 1;
    }
  }
  return name;
}

std::vector<std::string> output_names(const std::string& pattern, const std::vector<NamedBudget>& budgets) {
  std::vector<std::string> names;
  for (const NamedBudget& budget : budgets) {
    names.push_back(output_name(pattern, budget));
    if (std::ranges::count(names, names.back()) > 1)
      throw Error{str(budgets.size(), " sizes would be written to one file"), pattern,
                  str("put {label} into the name, e.g. 'model-{label}.gguf': ", budgets[0].label(), ", ",
                      budgets[1].label(), ", ..."),
                  Fault::usage};
  }
  return names;
}

std::string default_output(const std::string& model, const NamedBudget& budget, std::string_view runtime) {
  return str(bare_name(model), "-", budget.label(), runtime == "mlx" ? "-mlx" : ".gguf");
}

}  // namespace snug::cli
