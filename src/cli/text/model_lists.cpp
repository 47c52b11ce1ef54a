#include "cli/text/model_lists.hpp"

#include <algorithm>
#include <type_traits>
#include <variant>

#include "base/json_reader.hpp"
#include "base/printable.hpp"
#include "base/str.hpp"
#include "base/units.hpp"
#include "cli/text/text_table.hpp"

namespace snug::cli {

using nlohmann::ordered_json;

ordered_json value_json(const MetadataValue& value) {
  return std::visit(
      [](const auto& v) -> ordered_json {
        using T = std::decay_t<decltype(v)>;
        if constexpr (std::is_same_v<T, MetadataArray>)
          return str("[", v.count, " values]");
        else if constexpr (std::is_same_v<T, std::string_view>)
          return printable(v);
        else
          return v;
      },
      value);
}

Inspection list_metadata(const ModelSource& model) {
  Inspection found{{}, {{"kind", "metadata"}, {"metadata", ordered_json::object()}}};
  for (const MetadataEntry& entry : model.metadata().entries()) {
    const ordered_json value = value_json(entry.value);
    found.json["metadata"][printable(entry.key)] = value;
    found.text += str(printable(entry.key), " = ", json_text(value), "\n");
  }
  return found;
}

Inspection list_tensors(const ModelSource& model) {
  constexpr size_t kFormatWidth = 10, kShapeWidth = 24, kBytesWidth = 16, kBitsWidth = 9;
  size_t widest = std::string_view{"tensor"}.size();
  for (const Tensor& tensor : model.tensors()) widest = std::max(widest, printable(tensor.name).size());
  const auto line = [&](const std::string& name, const std::string& format, const std::string& shape,
                        const std::string& bytes, const std::string& bits) {
    return left(name, widest + 2) + left(format, kFormatWidth) + left(shape, kShapeWidth) + right(bytes, kBytesWidth) +
           right(bits, kBitsWidth) + "\n";
  };
  Inspection found{line("tensor", "format", "shape", "bytes", "bpw"), {{"kind", "tensors"}, {"tensors", ordered_json::array()}}};
  for (const Tensor& tensor : model.tensors()) {
    std::string shape;
    auto sizes = ordered_json::array();
    for (int d = 0; d < tensor.dims; ++d) {
      const int64_t size = tensor.shape[static_cast<size_t>(d)];
      shape += str(d ? " x " : "", size);
      sizes.push_back(size);
    }
    const double bits = 8.0 * static_cast<double>(tensor.bytes()) / static_cast<double>(std::max<int64_t>(tensor.weights(), 1));
    found.text += line(printable(tensor.name), std::string{format_name(tensor.format)}, shape, show_count(tensor.bytes()), fixed(bits, 4));
    found.json["tensors"].push_back({{"name", printable(tensor.name)},
                                     {"format", format_name(tensor.format)},
                                     {"shape", sizes},
                                     {"bytes", tensor.bytes()}});
  }
  return found;
}

}  // namespace snug::cli
