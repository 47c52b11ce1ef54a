#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "snug/budget.hpp"
#include "snug/estimate.hpp"
#include "snug/events.hpp"
#include "snug/format.hpp"
#include "snug/output.hpp"
#include "snug/profile.hpp"
#include "snug/recipe.hpp"

namespace snug {

/// What is asked of single tensors: pins "REGEX=FORMAT", least and most bits "[REGEX=]FORMAT", groups "REGEX".
/// A regex (Perl's) matches anywhere in a tensor's name; anchor it with ^ and $ to match the whole.
struct SelectionRules {
  std::vector<std::string> pins, mins, maxs, groups;
};

/// The budget, and wishes beyond it.
struct PlanOptions {
  Budget budget{};
  SelectionRules rules{};
  std::vector<std::string> caps{};     // REGEX=SIZE: the tensors it finds take no more together
  int max_formats = 0;                 // at most so many different formats; 0: any number
  std::optional<int64_t> active_bytes{};  // read per token: a used/experts share of expert tensors, one row of token_embd
  int64_t split_bytes = 0;
  double seconds = 60;                 // the solver's time
  std::string runtime = "llama.cpp";   // that will load the output; fit() takes that of MeasureOptions
  bool notes = true;                   // keys of ours in the file, left out where their bytes buy enough
  /// The text that the plan will be run on, whose name and figures the file then says: room for them is planned. Empty:
  /// it will not be run.
  std::string judged_on{};

  /// The wishes beyond the budget that a recipe has to keep, by their options: "--max-formats 2, --pin".
  std::string limits() const;

  /// No wishes beyond the budget: any recipe of that size will do.
  bool is_plain() const;
};

/// How tensors are measured.
struct MeasureOptions {
  double precision = 0.02;         // wanted relative standard error of each rho
  Effort effort = Effort::normal;
  std::string formats;             // comma-separated; empty: all that the runtime loads
  std::string runtime = "llama.cpp";
  int shard = 0, shards = 1;       // measures shard `shard` of `shards`, balanced by bytes
  bool allow_requantize = false;
};

/// What measuring took.
struct MeasureReport {
  int64_t measured = 0, reused = 0;           // (tensor, format) pairs
  int64_t rows = 0, weights_encoded = 0;      // work done in this run
  double seconds = 0;
  std::vector<std::pair<std::string, int64_t>> format_nanoseconds;  // encoding and decoding, over all threads
};

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

/// What a recipe and its original say of the same tokens, beside the divergence. Errors are over chunks.
struct TextScores {
  Estimate same_top;               // share of predictions where both find the same token likeliest
  Estimate perplexity;             // of the recipe
  double original_perplexity = 0;

  bool operator==(const TextScores&) const = default;
};

/// One recipe that was measured, on the held-out chunks.
struct EvaluatedRecipe {
  std::string label;   // "plan", "correction 1", "preset iq3_xxs"
  std::string digest;  // recipe_digest()
  int64_t tensor_bytes = 0, file_bytes = 0;
  double predicted = 0;
  Estimate measured;      // nats per token, over chunks
  Estimate against_best;  // minus the best one before it, chunk by chunk
  bool accepted = false;
  std::optional<TextScores> scores{};  // nothing where a state of an earlier snug has the divergence alone
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

/// One size that a model is fitted into.
struct FitSize {
  PlanOptions plan;
  std::filesystem::path output{};  // the model that is written
  std::filesystem::path recipe{};  // where the recipe is written too, as JSON; empty: nowhere
};

/// A model, the sizes wanted of it, and how hard to try.
struct FitRequest {
  std::filesystem::path model;
  std::vector<FitSize> sizes{};
  EvidenceOptions evidence{};
  std::filesystem::path state{};  // where measurements are kept; empty: the one place for all models
  Existing existing = Existing::refuse;
  bool dry_run = false;  // the plans alone, no model is written
};

/// What running the model with one tensor encoded at a time took.
struct ProbeSummary {
  int64_t tensors = 0, measured = 0, reused = 0;  // measured and reused: runs
  double seconds = 0, forward_passes = 0;         // in units of one pass over the text
};

/// What a stage has read of the model's weights.
struct StageRead {
  std::string stage;
  int64_t bytes = 0;
};

struct FitResult {
  Recipe recipe;
  std::vector<EvaluatedRecipe> judged;  // in the order they were run; the last accepted one is the recipe
  int64_t holdout_tokens = 0;           // that nothing was learnt from: they were judged on
  Profile profile;
  MeasureReport measured;
  ProbeSummary probes;
  std::filesystem::path moments{};       // second moments that error feedback used; empty without
  std::optional<WrittenModel> written{};
  bool was_known = false;                // the files were there already, with the same bytes: nothing was written
  std::filesystem::path state{};         // where measurements are kept
  std::vector<StageRead> reads{};        // of this start, all sizes together
  int64_t model_bytes = 0;               // of the weights, that reads are told in
};

/// Fits a model into each size, in the order given: measures, plans, judges the plan against the original, writes the
/// model and checks what was written. All outputs are checked before work begins, and what does not depend on the size,
/// measuring, calibration text, the original's own run, is done once. Stopped at any instant, the same call goes on where
/// it was. Reports to `events`. An output that the same call has written before is left as it is, if its bytes are those
/// that would be written. Returns one result a size. Throws Error: of Fault::usage where no size is named, of
/// Fault::unreachable_budget before anything is measured, of Fault::interrupted once cancelled.
std::vector<FitResult> fit(const FitRequest& request, Events& events);

/// What fit() would go through and take, in a few lines, which it says itself before it begins: stages, what is known
/// already, time, memory, disk. Opens the model, measures nothing.
std::string fit_estimate(const FitRequest& request, Events& events);

}  // namespace snug
