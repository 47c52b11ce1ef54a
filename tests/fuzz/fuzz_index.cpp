// Reads any bytes as model.safetensors.index.json: an Error, or names of files that lie in the folder itself.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "safetensors/checkpoint.hpp"
#include "snug/error.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  try {
    for (const auto& [tensor, file] :
         snug::safetensors::read_index({reinterpret_cast<const char*>(data), size}, "fuzz"))
      if (file.empty() || file == "." || file == ".." || file.find('/') != file.npos) std::abort();
  } catch (const snug::Error&) {
  }
  return 0;
}
