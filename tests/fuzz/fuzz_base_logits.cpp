// Reads any bytes as a file of base logits: an Error, or logits that can be read and scored.
#include <unistd.h>

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "eval/base_logits.hpp"
#include "snug/error.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace snug;
  static const std::string path =
      (std::filesystem::temp_directory_path() / ("snug-fuzz-" + std::to_string(getpid()))).string();
  std::ofstream{path, std::ios::binary}.write(reinterpret_cast<const char*>(data),
                                              static_cast<std::streamsize>(size));
  try {
    const infer::BaseLogits file{path};
    const infer::Chunks& chunks = file.chunks();
    if (chunks.context <= 0 || chunks.count() * chunks.context != static_cast<int64_t>(chunks.tokens.size()))
      std::abort();
    if (chunks.count() == 0) return 0;
    std::vector<float> row(static_cast<size_t>(file.vocabulary()));
    for (int64_t c = 0; c < chunks.count(); ++c)
      for (int64_t r = 0; r < chunks.scored(); ++r) file.read(c, r, row);
  } catch (const Error&) {
    return 0;
  }
  return 0;
}
