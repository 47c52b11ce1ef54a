#include "cli/text/module_report.hpp"

#include <map>
#include <nlohmann/json.hpp>

#include "base/printable.hpp"
#include "base/str.hpp"
#include "base/units.hpp"
#include "cli/text/text_table.hpp"
#include "quant/mlx_modes.hpp"

namespace snug::cli {
namespace {

using nlohmann::ordered_json;

std::string mode_name(FormatId format) {
  const auto mode = mlx_mode_of(format);
  return std::string{mode ? mode->name : format_name(format)};
}

/// "4/64": bits and group; "16" of an unquantized one.
std::string bits_text(FormatId format) {
  const auto mode = mlx_mode_of(format);
  return mode ? str(mode->bits, "/", mode->group_size) : str(code_bits(format));
}

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text;
  for (const int64_t size : shape) text += str(text.empty() ? "" : " x ", size);
  return text;
}

std::string line(const std::string& name, const std::string& shape, const std::string& mode, const std::string& bits,
                 const std::string& bytes) {
  return left(name, 58) + right(shape, 18) + "  " + left(mode, 8) + right(bits, 5) + right(bytes, 15) + "\n";
}

struct Total {
  int64_t modules = 0, weights = 0, bytes = 0;
};

std::map<FormatId, Total> totals_of(const ModuleTable& table) {
  std::map<FormatId, Total> totals;
  for (const ModuleLine& module : table.modules) {
    Total& total = totals[module.format];
    ++total.modules;
    total.weights += module.weights;
    total.bytes += module.bytes;
  }
  return totals;
}

std::string totals_text(const ModuleTable& table) {
  std::string text = line("modules", "weights", "mode", "bits", "bytes");
  for (const auto& [format, total] : totals_of(table))
    text += line(show_count(total.modules), show_weights(total.weights), mode_name(format), bits_text(format),
                 show_count(total.bytes));
  return text + line("others", show_weights(table.other_weights), "", "", show_count(table.other_bytes));
}

ordered_json mode_json(FormatId format) {
  const auto mode = mlx_mode_of(format);
  ordered_json json{{"mode", mode_name(format)}, {"bits", code_bits(format)}};
  if (mode) json["group_size"] = mode->group_size;
  return json;
}

ordered_json modules_json(const ModuleTable& table) {
  auto modules = ordered_json::array();
  for (const ModuleLine& module : table.modules) {
    ordered_json entry{{"module", printable(module.path)}, {"shape", module.shape}};
    entry.update(mode_json(module.format));
    entry["bytes"] = module.bytes;
    modules.push_back(entry);
  }
  return modules;
}

ordered_json totals_json(const ModuleTable& table) {
  auto formats = ordered_json::array();
  for (const auto& [format, total] : totals_of(table)) {
    ordered_json entry = mode_json(format);
    entry.update({{"modules", total.modules}, {"weights", total.weights}, {"bytes", total.bytes}});
    formats.push_back(entry);
  }
  return formats;
}

}  // namespace

std::string module_report(const ModuleTable& table, const Recipe& recipe, const FileLayout& files) {
  std::string text = line("module", "shape", "mode", "bits", "bytes");
  for (const ModuleLine& module : table.modules)
    text += line(printable(module.path), shape_text(module.shape), mode_name(module.format), bits_text(module.format),
                 show_count(module.bytes));
  return text + "\n" + totals_text(table) + "\n" +
         str(recipe.method, " for ", recipe.runtime, ": ", show_size(table.tensor_bytes()), " of tensors (",
             show_count(table.tensor_bytes()), " bytes), ", show_count(files.bytes), " bytes in ",
             files.file_bytes.size(), files.file_bytes.size() == 1 ? " file\n" : " files\n",
             fixed(table.bits_per_weight(), 4), " bits per weight, scales, biases and all tensors counted; ",
             fixed(table.raw_bits_per_weight(), 4), " raw, codes of the modules alone\n");
}

ordered_json module_report_json(const ModuleTable& table, const Recipe& recipe, const FileLayout& files) {
  return {{"recipe", recipe.method},
          {"runtime", recipe.runtime},
          {"model", printable(recipe.model_name)},
          {"architecture", printable(recipe.architecture)},
          {"tensor_bytes", table.tensor_bytes()},
          {"file_bytes", files.bytes},
          {"weights", table.weights()},
          {"bits_per_weight", table.bits_per_weight()},
          {"raw_bits_per_weight", table.raw_bits_per_weight()},
          {"others", {{"weights", table.other_weights}, {"bytes", table.other_bytes}}},
          {"formats", totals_json(table)},
          {"modules", modules_json(table)}};
}

}  // namespace snug::cli
