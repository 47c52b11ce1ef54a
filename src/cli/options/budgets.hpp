#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "snug/budget.hpp"

namespace snug::cli {

/// A budget as it was typed: "3.5" of --bpw, or "11GB" of --size.
struct NamedBudget {
  Budget budget;
  std::string text;

  std::string label() const;  // "3.5bpw", "11GB"
};

/// Those of --size and --bpw, in the order given. Throws Error of Fault::usage on one that is no size or
/// number, and on two that are the same.
std::vector<NamedBudget> named_budgets(const std::vector<std::string>& sizes,
                                       const std::vector<std::string>& bpws);

/// The name of an output with the budget put in: {bpw} and {size} are what was typed, {label} is either with
/// its unit. Throws Error of Fault::usage on other words in braces, and on {size} where bits per weight were
/// asked for.
std::string output_name(const std::string& pattern, const NamedBudget& budget);

/// output_name() for each. Throws Error of Fault::usage where several budgets would give one name.
std::vector<std::string> output_names(const std::string& pattern, const std::vector<NamedBudget>& budgets);

/// A name for the output of a model where none was given: "dense-f16.gguf" at 3.5 bits becomes
/// "dense-3.5bpw.gguf", in the folder one is in.
std::string default_output(const std::string& model, const NamedBudget& budget,
                           std::string_view runtime = "llama.cpp");

}  // namespace snug::cli
