#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "snug/measure_options.hpp"

namespace snug {

/// How it is found out what each tensor does to the output.
enum class Probing {
  automatic,  // forward where that takes at most five minutes of a core, else reverse
  forward,  // the model is run once for every tensor
  reverse,  // one reverse pass tells of all tensors and formats; the few that matter most are run as well
};

/// How the model is run to see what each tensor does to its output.
struct CalibrationRequest {
  bool run = true;       // false: weigh tensors by role and position
  std::string text;      // a file; "self": what the model writes itself; "built-in": a text that comes with the program;
                         // empty: self, built-in where the model does not stay in memory
  int64_t chunks = 24;   // of the text to measure on, at most; as many again are held out to judge by
  int64_t context = 256; // tokens of a chunk
  Probing probing = Probing::automatic;
};

/// Whether errors of a row are to make up for each other (error feedback, as in GPTQ): automatic where it takes
/// less than 16 hours of one core and proves better.
enum class Feedback { automatic, on, off };

/// Files of column statistics, empty where there are none.
struct InputFiles {
  std::filesystem::path imatrix, moments;  // moments: second moments; empty: those of the imatrix
};

/// How it is found out what each tensor suffers in each format.
struct EvidenceOptions {
  InputFiles inputs{};
  MeasureOptions measuring{};
  CalibrationRequest calibration{};
  Feedback feedback = Feedback::automatic;
  bool fold = false;         // move factors between tensors first, where they quantize better for it (Recipe::folds)
  bool strict = false;       // an error at the start where something would be left out (Recipe::left_out)
  bool decide_anew = false;  // by the memory and disk that are free now, and plans searched for anew, whatever an earlier
                             // start of this fit chose and found
};

}  // namespace snug
