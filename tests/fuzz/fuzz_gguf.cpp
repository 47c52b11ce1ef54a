// Reads any bytes as a GGUF file and walks all that was found: an Error or a file, nothing else.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "gguf/metadata.hpp"
#include "base/printable.hpp"
#include "gguf/reader.hpp"
#include "gguf/writer.hpp"
#include "model/roles.hpp"
#include "snug/error.hpp"

namespace {

using namespace snug;

size_t sink = 0;

template <class Call>
void tolerate(Call call) {
  try {
    call();
  } catch (const Error& error) {
    sink += error.problem().size();
  }
}

void walk_key(const ModelSource& file, const MetadataEntry& pair) {
  sink += printable(pair.key).size();
  tolerate([&] { sink += file.metadata().integer(pair.key).has_value(); });
  tolerate([&] { sink += file.metadata().real(pair.key).has_value(); });
  tolerate([&] { sink += file.metadata().boolean(pair.key).has_value(); });
  tolerate([&] { sink += printable(file.metadata().text(pair.key).value_or("")).size(); });
  tolerate([&] {
    const MetadataArray& array = *file.metadata().array(pair.key);
    tolerate([&] { sink += array.integers().size(); });
    tolerate([&] { sink += array.reals().size(); });
    tolerate([&] {
      for (const auto text : array.strings()) sink += text.size();
    });
  });
}

void walk_tensor(const ModelSource& file, const Tensor& tensor) {
  if (file.find(tensor.name) != &tensor) std::abort();
  sink += static_cast<size_t>(role_of(tensor.name)) + static_cast<size_t>(layer_of(tensor.name)) +
          is_quantizable(tensor);
  for (const std::byte byte : tensor.row(tensor.rows() - 1)) sink += static_cast<size_t>(byte);
}

/// What was read can be planned again, and takes up the bytes planned.
void plan_again(const ModelSource& file) {
  std::vector<gguf::OutputTensor> tensors;
  for (const Tensor& t : file.tensors())
    tensors.push_back({std::string{t.name}, t.format, t.dims, t.shape});
  const gguf::Layout layout = gguf::plan_layout("out.gguf", gguf::quantized_keys(file, 0, nullptr, {}),
                                                tensors, file.bytes() / 2);
  if (layout.tensors.size() != file.tensors().size()) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  tolerate([&] {
    const ModelSource file = gguf::read_model(std::as_bytes(std::span{data, size}), "fuzz.gguf");
    for (const MetadataEntry& pair : file.metadata().entries()) walk_key(file, pair);
    for (const Tensor& tensor : file.tensors()) walk_tensor(file, tensor);
    tolerate([&] { sink += static_cast<size_t>(shape_of(file).layers); });
    plan_again(file);
  });
  return 0;
}
