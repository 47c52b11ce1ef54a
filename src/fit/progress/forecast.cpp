#include "fit/progress/forecast.hpp"

#include <algorithm>
#include <thread>

#include "base/files/output_path.hpp"
#include "base/memory.hpp"
#include "base/str.hpp"
#include "base/units.hpp"
#include "calibrate/hessian_budget.hpp"
#include "fit/calibration_run.hpp"
#include "fit/machine_choices.hpp"
#include "fit/run_time.hpp"
#include "measure/recipe_evaluator.hpp"
#include "model/roles.hpp"

namespace snug {
namespace {

/// What a core of 2023 does in a second, in stages that nobody has timed yet.
constexpr double kEncodedWeights = 4e7, kReadBytes = 1e9;
constexpr double kSampledRows = 1024;  // of a tensor, until its errors are known to 2 %
constexpr double kRounds = 2;          // of corrections for a size
constexpr double kReverseRuns = 8, kReverseChunks = 12;  // what the reverse pass costs, of a run over so many chunks
constexpr int64_t kBeside = int64_t{200} << 20;          // of memory that a stage takes beside its limit, at most

class Estimator {
 public:
  Estimator(const FitRequest& request, const ModelSource& model)
      : request_(request), model_(model), cores_(std::max(1u, std::thread::hardware_concurrency())) {
    if (std::filesystem::exists(request.state)) times_ = kept_times(Store::open(request.state, Access::read));
    for (const Tensor& tensor : model.tensors()) {
      if (!is_quantizable(tensor)) continue;
      ++tensors_;
      const auto weights = static_cast<double>(tensor.weights());
      weights_ += weights;
      sampled_ += std::min(weights, kSampledRows * static_cast<double>(tensor.cols()));
    }
  }

  Forecast of_all_sizes() const {
    Forecast result;
    result.is_measured = !times_.empty();
    const auto count = static_cast<double>(request_.sizes.size());
    once(result, "checking weights", static_cast<double>(model_.bytes()) / kReadBytes);
    if (calibration_.run) {
      if (stays_ && !names_a_text(calibration_)) once(result, "writing calibration text", 3 * pass(2 * chunks()));
      if (request_.evidence.inputs.imatrix.empty() || width_ > 0) once(result, "collecting", collecting());
    }
    once(result, "measuring", kFormats * sampled_ / kEncodedWeights / cores_);
    if (calibration_.run) {
      const double runs = seconds_per_tensor_runs(model_, calibration_) / cores_ + reading();
      if (probing_of(model_, calibration_) == Probing::reverse)
        once(result, "sensitivity", kReverseRuns * pass(std::min(kReverseChunks, chunks())));
      else
        once(result, "probing", runs);
      if (corrects_) {
        const auto steps = static_cast<double>(2 * shape_of(model_).layers + 2);
        each(result, "correcting", kRounds * count, steps, correcting() / steps);
      }
      const double items = tensors_ + chunks();  // to encode, then to run
      each(result, "judging", recipes() * count, items, judging() / recipes() / items);
    }
    const auto bytes = static_cast<double>(model_.bytes());
    if (!request_.dry_run) each(result, "writing", count, bytes, (encoding() + feedback()) / bytes);
    result.memory_bytes = stays_ ? model_.bytes() + (calibration_.run ? model_.bytes() / 2 + kept_bytes() : 0)
                                 : memory_for(MemoryUse::all) + kBeside;
    result.maps_model = stays_;
    result.disk_bytes = collected_bytes() + waiting_bytes();
    return result;
  }

 private:
  static constexpr double kFormats = 25;

  double chunks() const { return static_cast<double>(calibration_.chunks); }

  /// The model's own run over so many chunks.
  double pass(double chunks) const {
    const auto tokens = static_cast<int64_t>(chunks * static_cast<double>(calibration_.context));
    return run_seconds(model_, tokens) / cores_ + reading();
  }

  /// The weights once, where they come from the disk each time.
  double reading() const { return stays_ ? 0 : static_cast<double>(model_.bytes()) / kReadBytes; }

  /// Hidden states of the chunks that are on their way through the model and a recipe of it together.
  int64_t waiting_bytes() const {
    if (stays_ || !calibration_.run) return 0;
    const auto chunks = static_cast<int64_t>(4 * calibration_.chunks);
    const int64_t all = chunks * calibration_.context * shape_of(model_).embedding * int64_t{sizeof(float)};
    return std::max<int64_t>(0, 2 * all - memory_for(MemoryUse::hidden_states));  // and once more where they are saved
  }

  /// Tensors of recipes that were judged, and those of one decoded.
  int64_t kept_bytes() const {
    const auto decoded = static_cast<int64_t>(weights_) * int64_t{sizeof(float)};
    return std::min(memory_for(MemoryUse::encodings), kKeptModels * model_.bytes() + decoded);
  }

  double encoding() const { return weights_ / kEncodedWeights / cores_; }

  /// A stage that is done once for a model and then known.
  void once(Forecast& result, const std::string& stage, double seconds) const {
    const bool known = times_.contains(stage);
    result.stages.push_back({.name = stage, .seconds = known ? 0 : seconds, .is_known = known});
  }

  /// A stage of every size, gone through so many times: units of work each time, which take `unit_seconds` unless they
  /// were timed.
  void each(Forecast& result, const std::string& stage, double times, double units, double unit_seconds) const {
    const auto found = times_.find(stage);
    if (found != times_.end()) unit_seconds = found->second.seconds / static_cast<double>(found->second.done);
    result.stages.push_back({.name = stage,
                             .seconds = times * units * unit_seconds,
                             .times = static_cast<int64_t>(times),
                             .of_each_size = true});
  }

  /// All of the text goes into what is collected; a word is some four letters.
  double text_chunks() const {
    if (!names_a_text(calibration_)) return 2 * chunks();
    std::error_code missing;
    const auto bytes = std::filesystem::file_size(calibration_.text, missing);
    return missing ? 2 * chunks() : static_cast<double>(bytes) / 4 / static_cast<double>(calibration_.context);
  }

  /// The run itself, and a multiply-add a token for every number of the second moments.
  double collecting() const {
    const double tokens = text_chunks() * static_cast<double>(calibration_.context);
    const auto numbers = static_cast<double>(hessian_bytes(model_, width_)) / sizeof(float);
    return (1 + parts()) * pass(text_chunks()) + tokens * numbers / kMultiplyAdds / cores_;
  }

  /// A round.
  double correcting() const {
    return seconds_of_correcting(model_, calibration_, width_) / cores_ + 2 * reading();
  }

  /// That are judged for a size: the plan and a preset, and what is tried to better it.
  double recipes() const { return 2 + (width_ > 0 ? 1 : 0) + (corrects_ ? 1 : 0); }

  /// All of a size.
  double judging() const {
    return recipes() * (pass(chunks()) + encoding()) + (recipes() - 1) * feedback();
  }

  double feedback() const { return width_ > 0 ? feedback_seconds(model_, width_) / cores_ : 0; }

  /// How often a layer is run to sum the Hessians of all its inputs.
  double parts() const {
    const double room = std::max(1.0, static_cast<double>(memory_for(MemoryUse::hessians)));
    const double layers = std::max<double>(1, static_cast<double>(shape_of(model_).layers));
    return std::max(1.0, static_cast<double>(hessian_bytes(model_, width_)) / layers / room);
  }

  int64_t collected_bytes() const { return times_.contains("collecting") ? 0 : hessian_bytes(model_, width_); }

  /// Of the Hessians that are to be collected; 0: none.
  static int64_t width_of(const FitRequest& request, const ModelSource& model) {
    const Feedback feedback = request.evidence.feedback;
    const bool may_collect = request.evidence.calibration.run && request.evidence.inputs.moments.empty();
    if (!may_collect || feedback == Feedback::off) return 0;
    return hessian_width(model, feedback, room_now(folder_of(request.state)));
  }

  const FitRequest& request_;
  const CalibrationRequest& calibration_ = request_.evidence.calibration;
  const ModelSource& model_;
  const double cores_;
  const bool stays_ = stays_in_memory(model_.bytes());
  const int64_t width_ = width_of(request_, model_);
  const bool corrects_ = corrects(model_, calibration_, width_);
  StageTimes times_;
  double tensors_ = 0, weights_ = 0, sampled_ = 0;
};

}  // namespace

double Forecast::seconds() const {
  double sum = 0;
  for (const Stage& stage : stages) sum += stage.seconds;
  return sum;
}

Forecast forecast(const FitRequest& request, const ModelSource& model) {
  return Estimator{request, model}.of_all_sizes();
}

std::string to_text(const Forecast& forecast) {
  std::string stages;
  for (const Forecast::Stage& stage : forecast.stages)
    stages += str(stages.empty() ? "" : ", ", stage.name,
                  stage.is_known ? " (done before)" : str(" ", show_duration(stage.seconds)));
  return str("stages: ", stages, "\nabout ", show_duration(forecast.seconds()),
             forecast.is_measured ? " by what this model took here before" : " by a core of 2023, right to a factor of three",
             "; memory at most ", show_size(forecast.memory_bytes),
             forecast.maps_model ? ", the model's mapped pages included; " : ", and pages of the model as there is room; ",
             forecast.disk_bytes > 0 ? str(show_size(forecast.disk_bytes), " of disk for what is collected and waits")
                                     : "no disk beside the output",
             "\n");
}

}  // namespace snug
