// Gives a model a wider feed-forward part without changing what it computes, for tests of awkward row lengths
// on trained weights:
//   widen_ffn dense-f16.gguf --ffn 2112 --imatrix dense.imatrix.gguf --imatrix-out wide.imatrix.gguf -o
//   wide.gguf
// Each hidden neuron becomes several: the same rows of gate and up, and columns of down that are 1/2, 1/4,
// ... of the old one and add up to it. Halving is exact in F16 and F32 (but for F16's smallest numbers).
#include <CLI/CLI.hpp>

#include <cmath>
#include <cstring>
#include <iostream>
#include <string>
#include <vector>

#include "base/half.hpp"
#include "base/str.hpp"
#include "base/units.hpp"
#include "gguf/metadata.hpp"
#include "gguf/writer.hpp"
#include "imatrix/imatrix_file.hpp"
#include "snug/error.hpp"

namespace {

using namespace snug;

struct Options {
  std::string model, out, imatrix, imatrix_out;
  int64_t ffn = 0;
  bool force = false;
};

enum class Part { none, rows, columns };  // where a tensor has the hidden neurons

Part part_of(std::string_view name) {
  for (const char* text : {"ffn_gate.weight", "ffn_up.weight", "ffn_gate_exps.weight", "ffn_up_exps.weight"})
    if (name.ends_with(text)) return Part::rows;
  return name.ends_with("ffn_down.weight") || name.ends_with("ffn_down_exps.weight") ? Part::columns
                                                                                     : Part::none;
}

/// Which old neuron a new one is, and what part of it.
struct Split {
  int64_t from, to;

  int64_t old(int64_t neuron) const { return neuron % from; }
  float share(int64_t neuron) const {
    const int64_t copies = to / from + (old(neuron) < to % from), copy = neuron / from;
    return std::ldexp(1.0f, -static_cast<int>(copy + 1 < copies ? copy + 1 : copies - 1));
  }
};

void scale(FormatId format, std::byte* value, float factor) {
  if (format == FormatId::f32) {
    float number;
    std::memcpy(&number, value, sizeof number);
    number *= factor;
    std::memcpy(value, &number, sizeof number);
  } else {
    uint16_t bits;
    std::memcpy(&bits, value, sizeof bits);
    bits = to_f16(from_f16(bits) * factor);
    std::memcpy(value, &bits, sizeof bits);
  }
}

std::vector<std::byte> widened(const Tensor& tensor, const Split& split) {
  const int64_t element = tensor.format == FormatId::f32 ? 4 : 2;
  std::vector<std::byte> out;
  if (part_of(tensor.name) == Part::rows) {
    for (int64_t expert = 0; expert < tensor.experts(); ++expert)
      for (int64_t neuron = 0; neuron < split.to; ++neuron) {
        const auto row = tensor.row(expert * split.from + split.old(neuron));
        out.insert(out.end(), row.begin(), row.end());
      }
    return out;
  }
  for (int64_t r = 0; r < tensor.rows(); ++r)
    for (int64_t neuron = 0; neuron < split.to; ++neuron) {
      const auto value = tensor.row(r).subspan(static_cast<size_t>(split.old(neuron) * element),
                                               static_cast<size_t>(element));
      out.insert(out.end(), value.begin(), value.end());
      scale(tensor.format, &*(out.end() - element), split.share(neuron));
    }
  return out;
}

/// The width the model has now; every tensor's must be the same.
int64_t ffn_of(const ModelSource& model) {
  int64_t width = 0;
  for (const Tensor& tensor : model.tensors()) {
    const Part part = part_of(tensor.name);
    if (part == Part::none) continue;
    const int64_t now = part == Part::rows ? tensor.shape[1] : tensor.shape[0];
    if (tensor.format != FormatId::f16 && tensor.format != FormatId::f32)
      throw Error{str("'", tensor.name, "' is ", format_name(tensor.format)), model.path().string(),
                  "give an F16 or F32 model"};
    if (width != 0 && now != width)
      throw Error{"feed-forward parts of several widths", model.path().string(), "not known how to widen"};
    width = now;
  }
  if (width == 0) throw Error{"no feed-forward tensors", model.path().string(), "is it a whole model?"};
  return width;
}

void write_model(const ModelSource& model, const Split& split, const Options& o) {
  const std::string arch{model.metadata().text("general.architecture").value_or("")};
  std::vector<snug::OutputKey> changed;
  for (const char* key : {"feed_forward_length", "expert_feed_forward_length"})
    if (model.metadata().integer(str(arch, ".", key)) == split.from)
      changed.push_back({str(arch, ".", key), MetadataValue{static_cast<uint32_t>(split.to)}});
  const auto type = static_cast<uint32_t>(model.metadata().integer("general.file_type").value_or(1));
  std::vector<gguf::OutputTensor> tensors;
  for (const Tensor& tensor : model.tensors()) {
    tensors.push_back({std::string(tensor.name), tensor.format, tensor.dims, tensor.shape});
    const Part part = part_of(tensor.name);
    if (part != Part::none) tensors.back().shape[part == Part::rows ? 1 : 0] = split.to;
  }
  gguf::Writer writer{gguf::plan_layout(o.out, gguf::quantized_keys(model, type, nullptr, changed), tensors),
                      o.force ? Existing::replace : Existing::refuse};
  for (size_t i = 0; i < tensors.size(); ++i) {
    const Tensor& tensor = model.tensors()[i];
    if (part_of(tensor.name) == Part::none)
      writer.write(i, 0, tensor.contiguous());
    else
      writer.write(i, 0, widened(tensor, split));
  }
  const int64_t bytes = writer.layout().bytes;
  writer.commit();
  std::cout << o.out << ": feed-forward " << split.from << " to " << split.to << ", " << show_size(bytes)
            << "\n";
}

/// What a down projection is given: a copy of a neuron is the neuron.
void write_imatrix_of(const Split& split, const Options& o) {
  Imatrix imatrix = read_imatrix(o.imatrix);
  for (auto& [name, sums] : imatrix.tensors) {
    if (part_of(name) != Part::columns || sums.cols != split.from) continue;
    for (std::vector<float>* values : {&sums.in_sum2, &sums.in_sum}) {
      if (values->empty()) continue;
      std::vector<float> wide;
      for (int64_t mat = 0; mat < sums.mats; ++mat)
        for (int64_t neuron = 0; neuron < split.to; ++neuron)
          wide.push_back((*values)[static_cast<size_t>(mat * split.from + split.old(neuron))]);
      *values = std::move(wide);
    }
    sums.cols = split.to;
  }
  write_imatrix(o.imatrix_out, imatrix, o.force ? Existing::replace : Existing::refuse);
}

void widen(const Options& o) {
  const ModelSource model = open_model(o.model);
  const Split split{ffn_of(model), o.ffn};
  if (split.to < split.from)
    throw Error{str("the model's feed-forward part is wider: ", split.from), "--ffn", "name a larger width",
                Fault::usage};
  write_model(model, split, o);
  if (!o.imatrix.empty()) write_imatrix_of(split, o);
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  CLI::App app{"widens the feed-forward part of a model without changing what it computes"};
  app.add_option("model", o.model)->required();
  app.add_option("--ffn", o.ffn, "the new width")->required()->check(CLI::Range(1, 1 << 24));
  app.add_option("-o,--output", o.out)->required();
  auto* imatrix = app.add_option("--imatrix", o.imatrix, "the model's, to be widened as well");
  auto* imatrix_out = app.add_option("--imatrix-out", o.imatrix_out)->needs(imatrix);
  imatrix->needs(imatrix_out);
  app.add_flag("--force", o.force, "replace what is there");
  CLI11_PARSE(app, argc, argv);
  try {
    widen(o);
  } catch (const Error& error) {
    std::cerr << "widen_ffn: " << error.what() << "\n";
    return static_cast<int>(error.fault());
  }
}
