#include "snug/fit.hpp"

#include <utility>

#include "base/events.hpp"
#include "base/files/output_path.hpp"
#include "base/memory.hpp"
#include "fit/evidence.hpp"
#include "fit/measurements.hpp"
#include "fit/outputs/fit_outputs.hpp"
#include "fit/progress/fit_course.hpp"
#include "fit/progress/forecast.hpp"
#include "fit/size_planner.hpp"
#include "snug/error.hpp"

namespace snug {
namespace {

namespace fs = std::filesystem;

/// Where earlier versions kept what is made on the way.
fs::path folder_beside(const FitRequest& request) {
  return folder_of(without_last_slash(request.sizes.front().output));
}

/// With what a request leaves to us: where measurements are kept, and one runtime to measure and to plan for.
FitRequest completed(FitRequest request, const ModelSource& model) {
  if (request.sizes.empty()) throw Error{"no size named", "", "name a budget", Fault::usage};
  if (request.state.empty()) request.state = measurements_of(model, folder_beside(request));
  for (FitSize& size : request.sizes) size.plan.runtime = request.evidence.measuring.runtime;
  return request;
}

EvidenceRequest evidence_request(const FitRequest& request) {
  EvidenceRequest wanted{.state = request.state,
                         .options = request.evidence,
                         .collect = {folder_of(request.state), folder_beside(request)}};
  for (const FitSize& size : request.sizes) wanted.plans.push_back(size.plan);
  return wanted;
}

ProbeSummary summary_of(const ProbeResults& probes) {
  return {static_cast<int64_t>(probes.tensors.size()), probes.measured, probes.reused, probes.seconds,
          probes.forward_passes};
}

FitResult result_of(const FitRequest& request, const Evidence& evidence, RefinedPlan plan,
                    FitOutputs::Output output) {
  FitResult result{.recipe = std::move(plan.plan.recipe),
                   .judged = std::move(plan.judged),
                   .holdout_tokens = plan.holdout_tokens,
                   .profile = evidence.profile,
                   .measured = evidence.measured,
                   .probes = summary_of(evidence.probes),
                   .written = std::move(output.model),
                   .was_known = output.was_known,
                   .state = request.state};
  const InputFiles& files = evidence.files;
  if (result.recipe.error_feedback) result.moments = files.moments.empty() ? files.imatrix : files.moments;
  return result;
}

int64_t weight_bytes(const ModelSource& model) {
  int64_t bytes = 0;
  for (const Tensor& tensor : model.tensors()) bytes += tensor.bytes();
  return bytes;
}

/// The way of a model: what is known of it, then for each size a plan and what is written by it.
std::vector<FitResult> fit_sizes(const ModelSource& model, const FitRequest& request, const FitOutputs& outputs,
                                 FitCourse& course) {
  Evidence evidence = gather(model, evidence_request(request));
  SizePlanner planner{evidence, request.evidence};
  std::vector<FitResult> results;
  for (size_t i = 0; i < request.sizes.size(); ++i) {
    course.begin_size(i);
    RefinedPlan plan = planner.plan(request.sizes[i].plan);
    FitOutputs::Output output = outputs.write(i, evidence, plan.plan.recipe, planner.known_blocks());
    results.push_back(result_of(request, evidence, std::move(plan), std::move(output)));
  }
  course.finish(evidence.state);
  return results;
}

void add_reads(std::vector<FitResult>& results, const ModelSource& model, const std::vector<StageRead>& reads) {
  for (FitResult& result : results) {
    result.reads = reads;
    result.model_bytes = weight_bytes(model);
  }
}

}  // namespace

std::vector<FitResult> fit(const FitRequest& wanted, Events& events) {
  const EventScope scope{events};
  const ModelSource model = open_model(wanted.model);
  const FitRequest request = completed(wanted, model);
  const FitOutputs outputs{model, request};
  FitCourse course{events, request, forecast(request, model)};
  try {
    std::vector<FitResult> results = fit_sizes(model, request, outputs, course);
    if (!stays_in_memory(model.bytes())) add_reads(results, model, course.reads());
    return results;
  } catch (const Error& error) {
    course.stop(error);
    throw;
  }
}

std::string fit_estimate(const FitRequest& wanted, Events& events) {
  const EventScope scope{events};
  const ModelSource model = open_model(wanted.model);
  const FitRequest request = completed(wanted, model);
  const FitOutputs refused_as_in_fit{model, request};
  return to_text(forecast(request, model));
}

}  // namespace snug
