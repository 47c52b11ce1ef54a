// Reads any bytes as a safetensors file, and as an index: an Error or tensors that lie inside the file.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "safetensors/checkpoint.hpp"
#include "safetensors/header.hpp"
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

void read_file(std::span<const std::byte> file) {
  const safetensors::Header header = safetensors::read_header(file, "fuzz");
  uint64_t at = header.data_begin;
  for (const safetensors::Entry& entry : header.tensors) {
    if (header.data_begin + entry.begin != at || entry.end > file.size() - header.data_begin) std::abort();
    if (safetensors::bytes_of(entry.dtype, entry.shape) != entry.end - entry.begin) std::abort();
    at = header.data_begin + entry.end;
  }
  if (at != file.size()) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  tolerate([&] { read_file(std::as_bytes(std::span{data, size})); });
  tolerate([&] { sink += safetensors::read_index({reinterpret_cast<const char*>(data), size}, "fuzz").size(); });
  return 0;
}
