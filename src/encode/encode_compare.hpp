#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "snug/format.hpp"

namespace snug {

struct EncodeComparison {
  std::filesystem::path ggml;                 // libggml-base.so or its folder; empty: only our own figures
  std::vector<std::filesystem::path> models;  // f16 or f32 GGUF files whose rows join the synthetic ones
  std::vector<std::filesystem::path> importances;  // their imatrix files, in the same order; may be fewer
  std::vector<std::string> formats;                // empty: all
  int64_t rows = 64;                               // of each data set
  int repeats = 5;                                 // of each timing; the median counts
  bool max = true;                                 // Effort::max too
  bool floor = false;  // the least error there can be, for the formats that EncodeFloor knows; slow
};

/// One format, over all data sets. Errors are geometric means of ours / ggml's weighted squared error; means
/// of columns are left out, which ggml does not know.
struct EncodeFigures {
  std::string format;
  double plain_ratio = 0,
         plain_ratio_max = 0;  // without importance; 0 where there is nothing to compare with
  double weighted_ratio = 0, weighted_ratio_max = 0;  // with importance
  double plain_floor = 0, weighted_floor = 0;         // the least error there can be over ggml's
  double worst_ratio = 0;                             // of any data set, normal effort
  double speed = 0, speed_max = 0;                    // million weights a second, one thread, with importance
  double speed_ratio = 0;                             // to ggml's, normal effort, interleaved
  double plain_speed = 0, plain_speed_ratio = 0;      // without importance
};

/// Encodes the same rows with our encoders and with ggml's. One thread. Throws Error if the library does not
/// load.
std::vector<EncodeFigures> compare_encoders(const EncodeComparison& options);

/// The figures as a Markdown table.
std::string to_markdown(const std::vector<EncodeFigures>& figures);

}  // namespace snug
