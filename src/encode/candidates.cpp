#include "encode/candidates.hpp"

#include <algorithm>

#include "base/str.hpp"
#include "quant/mlx_modes.hpp"
#include "recipe/target.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

std::string join(const auto& names) {
  std::string text;
  for (const auto& name : names) text += str(text.empty() ? "" : ", ", name);
  return text;
}

std::string known_formats(Family family) {
  std::vector<std::string_view> names;
  for (const Format& format : formats(family)) names.push_back(format.name);
  return join(names);
}

bool is_float(FormatId id) { return id == FormatId::f32 || id == FormatId::f16 || id == FormatId::bf16; }

}  // namespace

std::vector<const Format*> wanted_formats(std::string_view list, std::string_view runtime) {
  const Target& target = find_target(runtime);
  std::vector<const Format*> wanted;
  if (list.empty()) {
    for (const Format& format : formats(target.family))
      if (target.loads(format.id)) wanted.push_back(&format);
    return wanted;
  }
  while (!list.empty()) {
    const size_t comma = std::min(list.find(','), list.size());
    const std::string_view name = list.substr(0, comma);
    list.remove_prefix(std::min(comma + 1, list.size()));
    const Format* format = find_format(name);
    if (!format) throw Error{str("unknown format '", name, "'"), "the list of formats", str("known are ", known_formats(target.family)), Fault::usage};
    if (!target.loads(format->id))
      throw Error{str(target.name, " does not load ", format->name), "the list of formats", "leave it out, or name another runtime",
                  Fault::usage};
    wanted.push_back(format);
  }
  std::ranges::sort(wanted, {}, &Format::id);
  wanted.erase(std::unique(wanted.begin(), wanted.end()), wanted.end());
  return wanted;
}

std::vector<const Format*> candidates_of(const Tensor& tensor, const std::vector<const Format*>& wanted) {
  const Format* source = find_format(tensor.format);
  std::vector<const Format*> candidates;
  for (const Format* any : wanted) {
    const Format* format = find_format(with_scales_of(any->id, tensor.format));
    if (format != source && format->fits(tensor.cols()) && std::ranges::find(candidates, format) == candidates.end() &&
        format->row_bytes(tensor.cols()) < source->row_bytes(tensor.cols()))
      candidates.push_back(format);
  }
  candidates.push_back(source);
  return candidates;
}

void check_source(const Tensor& tensor, const std::filesystem::path& path, bool allow_requantize) {
  const std::string where = str(path.string(), ": tensor '", tensor.name, "'");
  if (!find_format(tensor.format))
    throw Error{str("snug cannot decode ", format_name(tensor.format)), where, "start from the model in F32, F16 or BF16"};
  // MXFP4 experts are what some models were trained in: there is no better source.
  if (!is_float(tensor.format) && tensor.format != FormatId::mxfp4 && !allow_requantize)
    throw Error{str("the tensor is quantized already (", format_name(tensor.format), ")"), where,
                "start from the model in F32, F16 or BF16, or allow requantizing and lose some more"};
}

}  // namespace snug
